"""Which size suits images of many: the one to take them at if there is to be one."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from ...spaces.errors import InputError
from ...spaces.sizes import MAX_SIDE, Size

THUMBNAIL = 64
"""Images whose shorter side is at most this, at the median, are taken at the size that most of them have."""


def commonest(sizes: Mapping[Size, int]) -> Size:
    """Return the size that most images have, the largest if several are as common."""
    return max(sizes, key=lambda size: (sizes[size], size))


def own_size(sizes: Mapping[Size, int]) -> Size:
    """Return the size of images as one: of thumbnails the commonest; of larger ones none that most fall short of.

    This has the commonest ratio of the sides, and the median shorter side, unless the longer one is then longer than
    the median.

    Args:
        sizes: how many images have each size.

    >>> str(own_size({Size(333, 500): 3, Size(500, 375): 2, Size(400, 600): 1}))
    '333x500'
    """
    counts = list(sizes.values())
    shorter = int(np.median(np.repeat([min(size) for size in sizes], counts)))
    longer = min(MAX_SIDE, int(np.median(np.repeat([max(size) for size in sizes], counts))))
    if shorter <= THUMBNAIL:
        return commonest(sizes)
    ratios = Counter[float]()
    for size, count in sizes.items():
        ratios[round(size.width / size.height, 2)] += count
    ratio, _ = max(ratios.items(), key=lambda item: (item[1], item[0]))
    shape = commonest({size: n for size, n in sizes.items() if round(size.width / size.height, 2) == ratio})
    found = shape.with_shorter_side(shorter)
    if max(found) <= longer:
        return found
    side = max(1, round(longer * min(shape) / max(shape)))
    found = shape.with_shorter_side(side)
    return found if max(found) <= longer else shape.with_shorter_side(max(1, side - 1))


def require_usable(size: tuple[int, int], what: str) -> None:
    """Reject a height or width, in pixels, that no search can use; `what` says where the size comes from."""
    height, width = size
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InputError(
            f"{what} is {height}x{width}: each side must be from 1 to {MAX_SIDE} pixels, as in --image-size 32x32."
        )


def resized_note(sizes: Mapping[Size, int], to: Size) -> str | None:
    """Return a note on how many images have another size than they are brought to; None if none has."""
    total = sum(sizes.values())
    others = total - sizes.get(to, 0)
    if not others:
        return None
    of = f", of {len(sizes):,} sizes," if len(sizes) > 1 else ""
    return f"image size {to}: {others:,} of {total:,} images{of} have another and are resized"
