"""Sizes of images, and the dimension of a space that chooses at which of them a candidate takes its images."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from .dimension import Choice, Options, Range
from .domain import Domain

AUTO = "auto"
Fit = Literal["stretch", "crop", "pad"]
"""How an image of another shape is brought to a size: each side by itself, its middle alone, or with grey beside it."""

FITS: tuple[Fit, ...] = get_args(Fit)
MAX_SIDE = 4096
"""The largest height or width, in pixels, that images may be brought to."""

_WORD = re.compile(r"(\d{1,9})[xX×](\d{1,9})")


class Size(NamedTuple):
    """The height and width of an image in pixels; as text `HxW`."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.height * self.width

    def with_shorter_side(self, side: int) -> "Size":
        """Return the size of this shape whose shorter side is `side`; the other one is at least as long, and rounded.

        >>> str(Size(375, 500).with_shorter_side(96))
        '96x128'
        """
        if self.height <= self.width:
            return Size(side, max(side, round(side * self.width / self.height)))
        return Size(max(side, round(side * self.height / self.width)), side)


def size_of(word: Choice) -> Size | None:
    """Return the size that a word such as `64x96` stands for; None if it is none."""
    found = _WORD.fullmatch(word) if isinstance(word, str) else None
    return None if found is None else Size(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Sizes(Options):
    """The sizes that candidates may take their images at, as words, `64x96`, the smallest first."""

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes themselves."""
        return tuple(size for word in self.values if (size := size_of(word)) is not None)

    def distance(self, one: Choice, other: Choice) -> float:
        """How far apart two sizes are, by the ratios of their heights and widths."""
        first, second = size_of(one), size_of(other)
        if first is None or second is None:
            return super().distance(one, other)
        return sum(abs(math.log(a / b)) for a, b in zip(first, second, strict=True))

    def nearest(self, value: Choice) -> Choice:
        """Return the size nearest to a size of any space; ValueError for what is none."""
        if value in self.values:
            return value
        if size_of(value) is None:
            raise ValueError(f"{value!r} is none of {', '.join(map(str, self.values))}")
        return min(self.values, key=lambda word: self.distance(word, value))


class _Domain(Domain):
    """What `input_size` may be: `auto`, sizes as `64x96`, and numbers, which are the shorter side."""

    def _one(self, value: Any) -> Choice:
        size = size_of(value)
        if size is None:
            return super()._one(value)
        for side in size:
            if not 1 <= side <= MAX_SIDE:
                raise ValueError(f"{value} has a side of {side:,}; it takes sides from 1 to {MAX_SIDE}")
        return str(size)

    def __call__(self, value: Any) -> Any:
        found = super().__call__(value)
        if AUTO in (found.values or ()) and found.count != 1:
            raise ValueError(f"`{AUTO}` stands for itself: give it alone, or the sizes without it")
        return found

    def __str__(self) -> str:
        return f"a size as 64x96 (height x width), or the shorter side alone, from 1 to {MAX_SIDE}"


INPUT_SIZE = _Domain(1, MAX_SIDE, words=(AUTO,), finite=True)
"""The values of the key `input_size` in a space's file."""


def sizes_in(given: Options | Range, own: Size) -> Sizes:
    """Return the sizes that a space's `input_size` stands for, where the images themselves have the size `own`.

    A number is the shorter side of a size of their shape. `auto` is their own size here: which others suit them and
    the time is decided when a study begins.
    """
    found: dict[str, Size] = {}
    for value in given.values or ():
        size = own if value == AUTO else size_of(value) or own.with_shorter_side(int(value))
        found[str(size)] = size
    return Sizes(tuple(str(size) for size in sorted(found.values(), key=lambda size: (size.pixels, size))))
