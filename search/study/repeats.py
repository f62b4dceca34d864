"""Noise: the best few trials trained again with other seeds, before one of them is chosen.

The best of many noisy trials is partly the luckiest. The mean and the spread of several trainings of a candidate say
more; `repeats.jsonl` keeps their values beside the record.
"""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..system.files import write_text
from ..values.bounds import Count, Finite, Share
from .objectives import Preference
from .record import Record
from .trial import Trial

FILE = "repeats.jsonl"
DEFAULT_REPEATS = 3  # the number of best trials that are trained again
SIGMAS = 2.0  # standard errors; larger differences count as real
# The same if the error is estimated from few trainings: Student's t, 97.5 %, by degrees of freedom.
FEW = {1: 12.7, 2: 4.3, 3: 3.2, 4: 2.8, 5: 2.6, 6: 2.4}


class Repeat(BaseModel):
    """One more training of a trial's candidate, and the validation accuracy that it reached."""

    model_config = ConfigDict(frozen=True)

    number: Count
    seed: Count
    value: Share
    epochs: Count
    seconds: Finite


@dataclass(frozen=True)
class Standing:
    """A trial with all the values that its candidate reached, its own first."""

    trial: Trial
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean validation accuracy."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """The standard deviation from training to training; None if there was only one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def summary(self) -> str:
        """Mean and spread as text; there must be several trainings."""
        assert self.spread is not None
        return f"mean of {len(self.values)} seeds {self.mean:.1%}, standard deviation {self.spread:.1%}"


@dataclass(frozen=True)
class Spread:
    """How much trainings of one network differ, pooled over `trials` that were trained more than once.

    They are of the study itself and of `others` other ones. `squares` is the sum of the squared deviations from the
    mean of each trial, `freedom` the number of trainings less that of trials.
    """

    squares: float
    freedom: int
    trials: int
    others: int

    @property
    def deviation(self) -> float:
        """The pooled standard deviation."""
        return math.sqrt(self.squares / self.freedom)


class Repeats:
    """All repeats of a study, on disk and in memory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.all: list[Repeat] = []
        if self._path.exists():
            lines = self._path.read_bytes().splitlines(keepends=True)
            self.all = [Repeat.model_validate_json(line) for line in lines if line.endswith(b"\n")]

    def add(self, repeat: Repeat) -> None:
        """Write a repeat to the disk."""
        self.all.append(repeat)
        text = "".join(json.dumps(one.model_dump(mode="json")) + "\n" for one in self.all)
        write_text(self._path, text)

    def standing(self, trial: Trial) -> Standing:
        """Return a trial with its repeats."""
        again = tuple(repeat.value for repeat in self.all if repeat.number == trial.number)
        return Standing(trial, (trial.value or 0.0, *again))


def standings(record: Record, repeats: Repeats, preference: Preference) -> list[Standing]:
    """Return the trials that were repeated, the one to choose first; if there are none, only the first choice.

    A trial that was not repeated, because it came later or time was short, is included if its single value is higher
    than the first values of all that were.

    Raises:
        InputError: no trial satisfies the preference.
    """
    ranked = preference.ranked(record)
    found = [repeats.standing(trial) for trial in ranked]
    score = preference.scores(ranked)
    repeated = [standing for standing in found if standing.spread is not None]
    if not repeated:
        return found[:1]
    most = max(score(one.trial, one.trial.value or 0.0) for one in repeated)
    ahead = [one for one in found if one.spread is None and score(one.trial, one.mean) > most]
    return sorted([*repeated, *ahead], key=lambda one: (-score(one.trial, one.mean), one.trial.number))


def first_two(record: Record, repeats: Repeats, preference: Preference) -> tuple[Standing, Standing] | None:
    """Return the trial to choose and, of all others, the one with the highest mean; None if there are fewer than two.

    The second may have the higher value, if it was trained only once.

    Raises:
        InputError: no trial satisfies the preference.
    """
    ranked = preference.ranked(record)
    if len(ranked) < 2:
        return None
    score = preference.scores(ranked)
    first = standings(record, repeats, preference)[0]
    others = [repeats.standing(trial) for trial in ranked if trial.number != first.trial.number]
    second = min(others, key=lambda one: (-score(one.trial, one.mean), one.spread is None, one.trial.number))
    return first, second


def within_noise(first: Standing, second: Standing, images: int, spread: Spread | None = None) -> bool | None:
    """Return whether the lead of the first may be due to chance; None if that is unknown.

    Chance has two sources. The choice of validation images: the difference of two shares p has the variance
    2 p (1 - p) / images; one more hit and one more miss keep it from vanishing at 100 %. And the standard deviation s
    between trainings, pooled from both: the difference of two means has the variance s^2 (1 / n1 + 1 / n2). If neither
    was trained again, s is that of a `spread` that other trials have shown; without one it is unknown, but the images
    alone may explain the difference.
    """
    apart = first.mean - second.mean
    share = ((first.mean + second.mean) / 2 * images + 1) / (images + 2)
    sampling = 2 * share * (1 - share) / images
    freedom = len(first.values) + len(second.values) - 2
    squares = sum((value - one.mean) ** 2 for one in (first, second) for value in one.values)
    if freedom < 1:
        if apart <= SIGMAS * math.sqrt(sampling):
            return True
        if spread is None:
            return None
        freedom, squares = spread.freedom, spread.squares
    training = squares / freedom * (1 / len(first.values) + 1 / len(second.values))
    return apart <= math.sqrt(FEW.get(freedom, SIGMAS) ** 2 * training + SIGMAS**2 * sampling)
