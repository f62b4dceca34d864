"""Where white is in decoded images: a part that never comes near it may have been meant for another white.

Each part of a source is judged beside the others: training images that are read as black are no fault of the test
images.
"""

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import InputError
from ..data.source import IMAGES_OF, Role

DARK_NOTE = "dark: "
"""How each note on dark images begins."""

_DARK = 64  # of 255


class Brightest:
    """The brightest pixel, 0 to 255, of each part of a source whose images are given one batch after the other."""

    def __init__(self) -> None:
        self._tops = np.full(len(Role), -1)

    def add(self, images: NDArray[np.uint8], given: NDArray[np.int8]) -> None:
        """Add images (m, height, width, depth) with their roles (m,)."""
        roles = np.maximum(given, Role.TRAIN)  # what is undecided comes from the source's training images
        np.maximum.at(self._tops, roles, images.max(axis=(1, 2, 3)))

    def notes(self, spec: str) -> tuple[str, ...]:
        """Return notes on dark parts; InputError where all pixels of a part are 0 or 1."""
        parts = [(int(top), IMAGES_OF[role]) for role, top in zip(Role, self._tops, strict=True) if top >= 0]
        brightest, bright = max(parts)
        beside = f"; those of {bright} reach {brightest}"
        for top, part in parts:
            if top == 1:
                where, beside, which = ("", "", "them") if brightest == 1 else (f" of {part}", beside, "the former")
                raise InputError(
                    f"{spec}: all pixels{where} are 0 or 1, where white is 255{beside}. Multiply {which} by 255; in an "
                    ".npz they may also be true and false."
                )
        if brightest < _DARK:
            return (f"{DARK_NOTE}no pixel is brighter than {brightest}, where white is 255",)
        return tuple(
            f"{DARK_NOTE}no pixel of {part} is brighter than {top}, where white is 255{beside}"
            for top, part in parts
            if top < _DARK
        )
