"""What a study is to be good at: validation accuracy, and what a network costs. With several, which trials are best.

With several objectives no trial is the best one. What remains is the front: the trials that no other one beats or
equals in everything and beats in something. One of them is named, by its place on the front or by a limit.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...spaces.errors import InputError, nearest
from .record import Record
from .trial import Trial

ACCURACY = "val_accuracy"


@dataclass(frozen=True)
class Objective:
    """A measure of trials: its heading in tables, how it is read off a trial and said, and which way is better."""

    name: str
    heading: str
    of: Callable[[Trial], float | None]
    text: Callable[[float], str]
    maximize: bool = False

    @property
    def direction(self) -> str:
        """`maximize` or `minimize`, as Optuna and scripts have it."""
        return "maximize" if self.maximize else "minimize"

    def loss(self, value: float) -> float:
        """Return the value turned so that less is better."""
        return -value if self.maximize else value


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(ACCURACY, "validation", lambda trial: trial.value, lambda value: f"{value:.1%}", maximize=True),
        Objective("parameters", "parameters", lambda trial: trial.parameters, lambda value: f"{value:,.0f}"),
        Objective("macs", "MACs", lambda trial: trial.macs, lambda value: f"{value:,.0f}"),
        Objective("latency_ms", "latency ms", lambda trial: trial.latency_ms, lambda value: f"{value:.2f}"),
        Objective(
            "size_kb", "size kB", lambda trial: trial.candidate.architecture.size_kb, lambda value: f"{value:,.1f}"
        ),
    )
}
DEFAULT = (ACCURACY,)


def checked_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of objectives in the order given, accuracy first.

    Raises:
        InputError: one is unknown or said twice, or the accuracy is not among them.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(f"--objective {name}: unknown objective: {nearest(name, OBJECTIVES)}")
        if list(names).count(name) > 1:
            raise InputError(f"--objective {name}: said twice")
    if names and ACCURACY not in names:
        raise InputError(
            f"--objective {names[0]}: the smallest network is no use if it knows nothing; "
            f"add --objective {ACCURACY}, and the trade-off between them is searched"
        )
    return (ACCURACY, *(name for name in names if name != ACCURACY)) if names else DEFAULT


def checked_limit(text: str, names: Sequence[str]) -> tuple[str, float]:
    """Return measure and limit of a text such as `parameters=50000`.

    Raises:
        InputError: it is not of that form, or the measure is none of the study's objectives.
    """
    name, _, number = text.partition("=")
    costs = [known for known in names if not OBJECTIVES[known].maximize]
    if name not in costs:
        if not costs:
            raise InputError(
                f"--under {text}: this study has one objective, {ACCURACY}; give the search a second one "
                f"(--objective {ACCURACY} --objective {name if name in OBJECTIVES else 'parameters'}), or set limits "
                "for all candidates in the space"
            )
        raise InputError(f"--under {text}: '{name}' is no cost of this study: {nearest(name, costs)}")
    try:
        limit = float(number.replace("_", "").replace(",", ""))
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit > 0):
        raise InputError(f"--under {text}: write MEASURE=NUMBER, as in --under {name}=50000")
    return name, limit


def measured(trial: Trial, names: Sequence[str]) -> tuple[float, ...] | None:
    """Return a trial's values of the objectives, or None where one of them is not known."""
    values = [OBJECTIVES[name].of(trial) for name in names]
    found = tuple(value for value in values if value is not None)
    return found if len(found) == len(values) else None


def costs(trial: Trial, names: Sequence[str]) -> tuple[float, ...]:
    """Return what a trial costs by the objectives besides its accuracy; 0 for what an unfinished one was not asked."""
    return tuple(OBJECTIVES[name].of(trial) or 0.0 for name in names if name != ACCURACY)


def front(trials: Iterable[Trial], names: Sequence[str]) -> list[Trial]:
    """Return the complete trials that no other one dominates, the most accurate first."""
    found = [
        (trial, tuple(OBJECTIVES[name].loss(value) for name, value in zip(names, values, strict=True)))
        for trial in trials
        if trial.state == "complete" and (values := measured(trial, names)) is not None
    ]
    best: list[tuple[Trial, tuple[float, ...]]] = []
    for trial, losses in sorted(found, key=lambda one: one[1]):  # whatever dominates another one comes before it
        if not any(_dominates(others, losses) for _, others in best):
            best.append((trial, losses))
    return sorted((trial for trial, _ in best), key=lambda trial: (-(trial.value or 0.0), trial.number))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class Preference:
    """Which trial of a study is named: the most accurate one, that at the front's knee, or the best under a limit."""

    objectives: tuple[str, ...] = DEFAULT
    under: tuple[str, float] | None = None

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.objectives) > 1

    def __str__(self) -> str:
        if self.under is not None:
            name, limit = self.under
            return f"the most accurate with {name} up to {OBJECTIVES[name].text(limit)}"
        return "the knee of the front" if self.several else "the most accurate"

    def ranked(self, record: Record) -> list[Trial]:
        """Return the trials that may be named, the first choice first.

        Raises:
            InputError: there are trials, and none of them keeps the limit.
        """
        if not self.several:
            return record.best(len(record.trials))
        candidates = front(record.trials.values(), self.objectives)
        if not candidates:
            candidates = record.best(len(record.trials))  # nothing was finished: what was cut off is all there is
        if candidates and self.under is not None:
            candidates = self._within(candidates, *self.under)
        score = self.scores(candidates)
        return sorted(candidates, key=lambda trial: (-score(trial, trial.value or 0.0), trial.number))

    def scores(self, candidates: Sequence[Trial]) -> Callable[[Trial, float], float]:
        """Return a function of a trial and the accuracy it is given credit for; the highest score is preferred.

        Without a limit and with several objectives this is the distance from the plane through the ends of the front,
        whose largest marks the knee (Das, 1999). All objectives are first brought to 0 for the best on the front and 1
        for the worst; the distance is then, but for a factor, how much the sum of these stays under 1.
        """
        if not self.several or self.under is not None:
            return lambda trial, accuracy: accuracy
        rows = [self._losses(trial, trial.value or 0.0) for trial in candidates]
        lows = [min(column) for column in zip(*rows, strict=True)]
        highs = [max(column) for column in zip(*rows, strict=True)]

        def score(trial: Trial, accuracy: float) -> float:
            parts = zip(self._losses(trial, accuracy), lows, highs, strict=True)
            return 1.0 - sum((loss - low) / (high - low) if high > low else 0.0 for loss, low, high in parts)

        return score

    def _losses(self, trial: Trial, accuracy: float) -> list[float]:
        values = {name: OBJECTIVES[name].of(trial) for name in self.objectives} | {ACCURACY: accuracy}
        return [OBJECTIVES[name].loss(value) for name, value in values.items() if value is not None]

    def _within(self, candidates: list[Trial], name: str, limit: float) -> list[Trial]:
        known = {trial.number: value for trial in candidates if (value := OBJECTIVES[name].of(trial)) is not None}
        if not known:
            raise InputError(
                f"--under {name}={limit:g}: of no trial is it known: all were cut off before it was measured"
            )
        candidates = [trial for trial in candidates if trial.number in known]
        found = [trial for trial in candidates if known[trial.number] <= limit]
        if not found:
            least = min(candidates, key=lambda trial: known[trial.number])
            text = OBJECTIVES[name].text
            raise InputError(
                f"--under {name}={limit:g}: no trial keeps that; the least is {text(known[least.number])}, by trial "
                f"{least.number} ({least.candidate.architecture}, validation accuracy {least.value:.1%})"
            )
        return found


def front_facts(record: Record, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the front as scripts see it: a trial's number, its one-line form, and its value of each objective."""
    return [
        {"number": trial.number, "architecture": str(trial.candidate.architecture)}
        | {name: OBJECTIVES[name].of(trial) for name in names}
        for trial in front(record.trials.values(), names)
    ]
