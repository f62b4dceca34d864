"""Images augmented outside Keras: to measure, after a trial, how well the network classifies them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...spaces.architecture import Candidate
from ...spaces.space import SearchSpace

SHIFT = 0.12  # of the side, if the space allows that much
Images = NDArray[np.uint8]


def variations(strengths: dict[str, float]) -> dict[str, Callable[[Images], Images]]:
    """Return a function of images (n, height, width, depth) for each augmentation that has a strength."""
    found: dict[str, Callable[[Images], Images]] = {}
    if "horizontal_flip" in strengths:
        found["horizontal_flip"] = mirrored
    if "translation" in strengths:
        found["translation"] = lambda images: shifted(images, strengths["translation"])
    return found


def mirrored(images: Images) -> Images:
    """Return images (n, height, width, depth) with left and right swapped."""
    return images[:, :, ::-1]


def shifted(images: Images, share: float) -> Images:
    """Return images (n, height, width, depth) shifted by a share of their sides, in turn towards each corner.

    As in training, the edges are filled with mirrored pixels.
    """
    down, right = (max(1, round(share * side)) for side in images.shape[1:3])
    wide = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)), mode="symmetric")
    height, width = images.shape[1:3]
    found = np.empty_like(images)
    for turn in range(4):
        top, left = 2 * down * (turn // 2), 2 * right * (turn % 2)
        found[turn::4] = wide[turn::4, top : top + height, left : left + width]
    return found


def augmentations(candidate: Candidate, space: SearchSpace) -> dict[str, float]:
    """Return the augmentations that a candidate lacks and the space allows, each with its strength."""
    found = {}
    has = candidate.recipe.augmentation
    if "augmentation.horizontal_flip" in space.dimensions and not has.horizontal_flip:
        found["horizontal_flip"] = 1.0
    translation = space.dimensions.get("augmentation.translation")
    if translation is not None and not has.translation and (most := float(translation.nearest(SHIFT))):
        found["translation"] = most
    return found
