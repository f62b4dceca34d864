"""The objectives of a study: validation accuracy, and the costs of a network. With several, which trials are best.

With several objectives no single trial is the best. What remains is the front: the trials that no other trial
dominates. One of them is chosen, by its place on the front or by a limit.
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
    """A measure of trials: its heading in tables, its value of a trial and as text, and which direction is better."""

    name: str
    heading: str
    of: Callable[[Trial], float | None]
    text: Callable[[float], str]
    maximize: bool = False

    @property
    def direction(self) -> str:
        """`maximize` or `minimize`, as in Optuna and in `--json`."""
        return "maximize" if self.maximize else "minimize"

    def loss(self, value: float) -> float:
        """Return the value with its sign such that lower is better."""
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
        InputError: one is unknown or given twice, or the accuracy is missing.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(f"--objective {name}: unknown objective: {nearest(name, OBJECTIVES)}")
        if list(names).count(name) > 1:
            raise InputError(f"--objective {name}: given twice")
    if names and ACCURACY not in names:
        raise InputError(
            f"--objective {names[0]}: the smallest network is useless without accuracy; "
            f"add --objective {ACCURACY} to search the trade-off between them"
        )
    return (ACCURACY, *(name for name in names if name != ACCURACY)) if names else DEFAULT


def checked_limit(text: str, names: Sequence[str]) -> tuple[str, float]:
    """Return measure and limit of a text such as `parameters=50000`.

    Raises:
        InputError: it is not of that form, or the measure is not among the study's costs.
    """
    name, _, number = text.partition("=")
    costs = [objective for objective in names if not OBJECTIVES[objective].maximize]
    if name not in costs:
        if not costs:
            raise InputError(
                f"--under {text}: this study has one objective, {ACCURACY}; give the search a second one "
                f"(--objective {ACCURACY} --objective {name if name in OBJECTIVES else 'parameters'}), or set limits "
                "for all candidates in the space"
            )
        raise InputError(f"--under {text}: '{name}' is not a cost of this study: {nearest(name, costs)}")
    try:
        limit = float(number.replace("_", "").replace(",", ""))
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit > 0):
        raise InputError(f"--under {text}: write MEASURE=NUMBER, as in --under {name}=50000")
    return name, limit


def measured(trial: Trial, names: Sequence[str]) -> tuple[float, ...] | None:
    """Return a trial's values of the objectives, or None if one of them is unknown."""
    values = [OBJECTIVES[name].of(trial) for name in names]
    found = tuple(value for value in values if value is not None)
    return found if len(found) == len(values) else None


def costs(trial: Trial, names: Sequence[str]) -> tuple[float, ...]:
    """Return a trial's values of the objectives other than accuracy; 0 for those that were not measured."""
    return tuple(OBJECTIVES[name].of(trial) or 0.0 for name in names if name != ACCURACY)


def front(trials: Iterable[Trial], names: Sequence[str]) -> list[Trial]:
    """Return the complete trials that no other trial dominates, the most accurate first."""
    found = [
        (trial, tuple(OBJECTIVES[name].loss(value) for name, value in zip(names, values, strict=True)))
        for trial in trials
        if trial.state == "complete" and (values := measured(trial, names)) is not None
    ]
    best: list[tuple[Trial, tuple[float, ...]]] = []
    for trial, losses in sorted(found, key=lambda one: one[1]):  # a trial comes after all that dominate it
        if not any(_dominates(others, losses) for _, others in best):
            best.append((trial, losses))
    return sorted((trial for trial, _ in best), key=lambda trial: (-(trial.value or 0.0), trial.number))


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class Preference:
    """Which trial of a study is chosen: the most accurate, the one at the front's knee, or the best under a limit."""

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
        """Return the trials that may be chosen, the first choice first.

        Raises:
            InputError: there are trials, but none within the limit.
        """
        if not self.several:
            return record.best(len(record.trials))
        candidates = front(record.trials.values(), self.objectives)
        if not candidates:
            candidates = record.best(len(record.trials))  # no trial is complete: pruned ones are all there is
        if candidates and self.under is not None:
            candidates = self._within(candidates, *self.under)
        score = self.scores(candidates)
        return sorted(candidates, key=lambda trial: (-score(trial, trial.value or 0.0), trial.number))

    def scores(self, candidates: Sequence[Trial]) -> Callable[[Trial, float], float]:
        """Return a function of a trial and the accuracy to assume for it; the highest score is preferred.

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
        values = {trial.number: value for trial in candidates if (value := OBJECTIVES[name].of(trial)) is not None}
        if not values:
            raise InputError(f"--under {name}={limit:g}: it was not measured for any trial: all were stopped early")
        candidates = [trial for trial in candidates if trial.number in values]
        found = [trial for trial in candidates if values[trial.number] <= limit]
        if not found:
            least = min(candidates, key=lambda trial: values[trial.number])
            text = OBJECTIVES[name].text
            raise InputError(
                f"--under {name}={limit:g}: no trial is within that limit; the lowest is {text(values[least.number])}, "
                f"by trial {least.number} ({least.candidate.architecture}, validation accuracy {least.value:.1%})"
            )
        return found


def front_facts(record: Record, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the front for `--json`: each trial's number, its one-line form, and its value of each objective."""
    return [
        {"number": trial.number, "architecture": str(trial.candidate.architecture)}
        | {name: OBJECTIVES[name].of(trial) for name in names}
        for trial in front(record.trials.values(), names)
    ]
