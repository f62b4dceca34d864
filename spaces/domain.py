"""The values that one key of a space takes, and how a YAML value becomes a dimension.

A value may be fixed (`3`), a list of options (`[3, 5]`) or a range (`{min: 1, max: 7, step: 2}`).
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .dimension import Choice, Dimension, Options, Range
from .errors import nearest


@dataclass(frozen=True)
class Domain:
    """The values that a key takes: numbers from `low` to `high`, whole ones where `whole`, and these words."""

    low: float = math.inf
    high: float = -math.inf
    whole: bool = True
    words: tuple[Choice, ...] = ()
    off: bool = False  # whether `off` means 0, as for strengths
    finite: bool = False  # whether a range must be one of whole numbers or have a step

    def __call__(self, value: Any) -> Dimension:
        """Return the dimension that a YAML value stands for; ValueError says what would be right."""
        if isinstance(value, Options | Range):
            return value
        if isinstance(value, dict):
            return self._range(value)
        if isinstance(value, list):
            if not value:
                raise ValueError("an empty list leaves nothing to choose")
            options = tuple(self._one(item) for item in value)
            for i, option in enumerate(options):
                if option in options[:i]:
                    raise ValueError(f"{option!r} is in the list twice")
            return Options(options)
        return Options((self._one(value),))

    @property
    def numbers(self) -> bool:
        """Whether numbers are allowed."""
        return self.low <= self.high

    def _one(self, value: Any) -> Choice:
        if self.off and (value is False or value == "off"):
            return 0 if self.whole else 0.0
        if any(value is word or (isinstance(value, str) and value == word) for word in self.words):
            return value  # type: ignore[no-any-return]
        if value is None and "none" in self.words:
            return "none"
        if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
            with suppress(ValueError):
                value = float(value)
        if not self.numbers or isinstance(value, bool) or not isinstance(value, int | float):
            hint = nearest(value, self.words) if self.words else ""
            also = f"{hint}; or {self}" if hint and self.numbers else hint or f"it takes {self}"
            raise ValueError(f"{value!r} is not a valid value; {also}")
        if not self.low <= value <= self.high:  # no NaN either
            raise ValueError(f"{_short(value)} is out of bounds; it takes {self}")
        if self.whole and value != int(value):
            raise ValueError(f"{value!r} is not a whole number; it takes {self}")
        return int(value) if self.whole else float(value)

    def _range(self, value: dict[Any, Any]) -> Range | Options:
        known = ("min", "max", "step", "log")
        for key in value:
            if key not in known:
                raise ValueError(f"{key!r} is not part of a range; {nearest(key, known)}")
        if "min" not in value or "max" not in value:
            raise ValueError("a range needs both `min` and `max`")
        if not self.numbers:
            raise ValueError(f"a range is for numbers; this key takes {', '.join(map(str, self.words))}")
        low, high = self._one(value["min"]), self._one(value["max"])
        step, log = value.get("step"), value.get("log", False)
        if isinstance(low, str) or isinstance(high, str):
            raise ValueError("`min` and `max` must be numbers")
        if low > high:
            raise ValueError(f"the range is upside down: min {low:g} is above max {high:g}")
        if low == high:
            return Options((low,))
        if not isinstance(log, bool):
            raise ValueError(f"`log` must be true or false, not {log!r}")
        if log and (low <= 0 or step is not None):
            raise ValueError("a logarithmic range must start above 0 and cannot have a step")
        if step is not None and (
            isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step <= high - low
        ):
            raise ValueError(f"`step` must be a number above 0 and at most max - min, not {step!r}")
        if step is not None and self.whole and step != int(step):
            raise ValueError(f"`step` must be a whole number here, not {step!r}")
        if self.finite and log:
            raise ValueError("this key does not accept a logarithmic range: list the options instead")
        found = Range(float(low), float(high), step, log, self.whole)
        return Options(found.values) if self.finite and found.values else found

    def __str__(self) -> str:
        parts = []
        if self.numbers:
            parts.append(f"{'a whole number' if self.whole else 'a number'} from {self.low:g} to {self.high:g}")
        parts += [str(word).lower() for word in self.words] + (["off"] if self.off else [])
        return " or ".join(parts) if self.numbers else ", ".join(parts)


def _short(number: float) -> str:
    try:
        return f"{number:g}"
    except OverflowError:  # a whole number beyond what a float holds
        return f"{str(number)[:9]}..."
