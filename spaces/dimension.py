"""One dimension of a space: options to choose from, or a range of numbers. A fixed dimension has one option."""

import math
import random
from dataclasses import dataclass

Choice = str | int | float | bool


@dataclass(frozen=True)
class Options:
    """A finite set of values, in the order in which the space names them."""

    values: tuple[Choice, ...]

    @property
    def fixed(self) -> bool:
        """Whether nothing is left to choose."""
        return len(self.values) == 1

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def distance(self, one: Choice, other: Choice) -> float:
        """How far apart two values are: by size for numbers, by position in the list for words."""
        if _number(one) and _number(other):
            return abs(float(one) - float(other))
        return abs(self.values.index(one) - self.values.index(other))

    def has(self, value: Choice) -> bool:
        """Whether a value is one of the options."""
        return value in self.values

    def nearest(self, value: Choice) -> Choice:
        """Return the option that equals `value`, or else the closest number; ValueError for an unknown word."""
        if value in self.values:
            return self.values[self.values.index(value)]
        numbers = [option for option in self.values if _number(option)]
        if not _number(value) or not numbers:
            raise ValueError(f"{value!r} is none of {', '.join(map(str, self.values))}")
        return min(numbers, key=lambda option: abs(float(option) - float(value)))

    @property
    def least(self) -> Choice:
        """The least of the numbers among the options."""
        return min((option for option in self.values if _number(option)), key=float)

    def at_most(self, value: float) -> Choice | None:
        """Return the largest number among the options that is not above `value`, or None if all are."""
        return max(
            (option for option in self.values if _number(option) and float(option) <= value), key=float, default=None
        )

    def draw(self, random_source: random.Random) -> Choice:
        """Return one value, all equally likely."""
        return random_source.choice(self.values)


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`: whole ones where `whole`, in steps of `step` where it is given.

    With `log` equal ratios are equally likely, so that 0.0001 to 0.001 gets as much attention as 0.001 to 0.01.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    fixed = False

    @property
    def values(self) -> tuple[Choice, ...] | None:
        """Every value in order, or None where the range is continuous."""
        return None if self._step is None else tuple(self._at(i) for i in range(self._count(self._step)))

    @property
    def count(self) -> int | None:
        """How many values there are, perhaps more than a list can hold; None where the range is continuous."""
        return None if self._step is None else self._count(self._step)

    def has(self, value: Choice) -> bool:
        """Whether a value is a number of the range, except for rounding."""
        return _number(value) and math.isclose(float(self.nearest(value)), float(value), rel_tol=1e-9, abs_tol=1e-12)

    def nearest(self, value: Choice) -> Choice:
        """Return the number of the range that is closest to `value`."""
        if not _number(value):
            raise ValueError(f"{value!r} is not a number from {self.low:g} to {self.high:g}")
        number = min(max(float(value), self.low), self.high)
        if self._step is None:
            return number
        return self._at(min(round((number - self.low) / self._step), self._count(self._step) - 1))

    @property
    def least(self) -> Choice:
        """The least number of the range."""
        return self.nearest(self.low)

    def at_most(self, value: float) -> Choice | None:
        """Return the largest number of the range that is not above `value`, or None if all are."""
        if value < self.low:
            return None
        if self._step is None:
            return min(value, self.high)
        return self._at(min(math.floor((value - self.low) / self._step + 1e-9), self._count(self._step) - 1))

    def draw(self, random_source: random.Random) -> Choice:
        """Return one number of the range."""
        if self.log:
            return self.nearest(math.exp(random_source.uniform(math.log(self.low), math.log(self.high))))
        if self._step is None:
            return random_source.uniform(self.low, self.high)
        return self._at(random_source.randrange(self._count(self._step)))

    @property
    def _step(self) -> float | None:
        return 1 if self.whole and self.step is None else self.step

    def _count(self, step: float) -> int:
        return math.floor((self.high - self.low) / step + 1e-9) + 1

    def _at(self, i: int) -> Choice:
        number = self.low + i * (self._step or 0)
        return int(number) if self.whole else round(number, 12)


Dimension = Options | Range


def _number(value: Choice) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
