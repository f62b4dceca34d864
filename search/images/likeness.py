"""Finds near copies among decoded images: saved anew, at another size, a little cropped, a little brighter.

Two images are near copies if their perceptual hashes differ in few bits and their colours nowhere by much: the hash
knows neither colours nor how bright an image is. An image with hardly any contrast has no near copies: there is nothing
to tell it by.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.groups import Numbers, Pairs, same, united
from ..data.source import Progress, Step
from .threads import THREADS

SIDE = 16
"""The perceptual hash has so many bits in each direction."""

DISTANCE = 40
"""So many of the 256 bits may differ. In docs/performance.md stands what this finds, and what it joins wrongly."""

COLOUR = 64
"""In a grid of 8 x 8, no colour of near copies differs by more, of 255."""

CONTRAST = 4.0
"""The least standard deviation of the grey values, of 255, for a hash to mean anything."""

_TILE = 512  # as many images are compared with as many others at a time: at most 100 MB of colours


class _Look(NamedTuple):
    """How an image looks: its hash as 256 numbers of -1 and 1, its colours in a grid (192,), and whether both count."""

    bits: NDArray[np.float32]
    colours: NDArray[np.int16]
    clear: bool


def near_copies(images: NDArray[np.uint8], chosen: Numbers, step: Step | None = None) -> Pairs:
    """Return pairs that connect all near copies among the chosen rows of images (n, height, width, depth).

    Each is compared with each other, which takes a time that grows with the square of their number; `step` is told how
    far that is.
    """
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow and NumPy release the GIL
        looks = []
        progress = _progress(step, "perceptual hashes computed")
        for look in pool.map(lambda row: _look(images[row]), chosen):
            looks.append(look)
            if not len(looks) % _TILE:
                progress(len(looks), len(chosen))
    rows = chosen[[look.clear for look in looks]]
    clear = [look for look in looks if look.clear]
    if not clear:
        return np.empty((0, 2), np.int64)
    bits, colours = (np.stack([look[part] for look in clear]) for part in (0, 1))
    return rows[same(_alike(bits, colours, _progress(step, "pairs compared")))]


def _progress(step: Step | None, what: str) -> Progress:
    """Begin a step; return what to call as it goes on."""
    return (lambda done, total: None) if step is None else step(what)


def _look(image: NDArray[np.uint8]) -> _Look:
    from imagehash import phash  # with SciPy; takes a moment

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    bits = np.where(phash(picture, SIDE).hash.ravel(), np.float32(1), np.float32(-1))
    colours = np.asarray(picture.convert("RGB").resize((8, 8), Image.Resampling.BOX), dtype=np.int16).ravel()
    return _Look(bits, colours, float(np.std(np.asarray(picture.convert("L")))) >= CONTRAST)


def _alike(bits: NDArray[np.float32], colours: NDArray[np.int16], progress: Progress) -> Numbers:
    """Return numbers that are the same for near copies, by their hashes (n, 256) and colours (n, 192)."""
    least = SIDE * SIDE - 2 * DISTANCE  # the product of two hashes is the number of equal bits less that of the others
    count = len(bits)
    numbers = np.arange(count)
    for top in range(0, count, _TILE):
        for left in range(top, count, _TILE):
            near = bits[top : top + _TILE] @ bits[left : left + _TILE].T >= least
            if left == top:
                np.fill_diagonal(near, False)
            if near.any():
                # Where very many look alike, most pairs are connected already.
                near &= numbers[top : top + _TILE, np.newaxis] != numbers[left : left + _TILE]
                one, other = np.nonzero(near)
                pairs = np.stack([one + top, other + left], axis=1)
                apart = np.abs(colours[pairs[:, 0]] - colours[pairs[:, 1]]).max(axis=1, initial=0)
                numbers = united(count, same(numbers), pairs[apart <= COLOUR])
        begun = min(top + _TILE, count)
        if begun < count:
            progress(begun * (2 * count - begun - 1) // 2, count * (count - 1) // 2)
    return numbers
