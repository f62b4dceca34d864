"""Jobs, and their lives in executors: what tests of trials and of all executors share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from terminal import PATIENCE

from convsearch.search.data import Dataset
from convsearch.search.executors.protocol import Broken, Event, Executor, Lost, Returned, Started
from convsearch.search.values.job import EpochReport, Job, Length, Outcome
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe

MakeJob = Callable[..., Job]
FAST = Recipe(optimizer="adam", learning_rate=0.01, schedule="constant", batch_size=64)
SMALL = (Layer(filters=8, pooling="max", pool_size=2, pool_stride=2),)
WIDE = (60_000,)  # units: some hundred megabytes of weights, gradients and moments


def always(report: EpochReport) -> bool:
    """Go on."""
    return True


def job(
    digits: Dataset,
    weights: Path,
    number: int = 0,
    layers: tuple[Layer, ...] = SMALL,
    units: tuple[int, ...] = (),
    recipe: Recipe = FAST,
    **more: Any,
) -> Job:
    """A job for the digits, of a small network and three epochs by default; `more` may be fields of its Length."""
    candidate = Candidate(
        architecture=Architecture(
            input=digits.input, layers=layers, head=Head(pooling="flatten", units=units), classes=10
        ),
        recipe=recipe,
    )
    length = {"epochs": 3, "patience": 10**6} | {name: more.pop(name) for name in Length.model_fields if name in more}
    settings = {
        "data": str(digits.folder),
        "split": str(digits.folder.parent / "split.npz"),
        "length": Length(**length),
        "seed": 1,
        "weights": str(weights),
    } | more
    return Job(number=number, candidate=candidate, **settings)


def following(executor: Executor) -> Event:
    """The next event, which has to come."""
    deadline = time.monotonic() + PATIENCE
    while (event := executor.next_event(1.0)) is None:
        assert time.monotonic() < deadline, "nothing happened"
    return event


def life(executor: Executor, answers: tuple[bool, ...] = ()) -> list[Event]:
    """All events until a job's end; each report is answered in turn, with yes after the last answer."""
    events: list[Event] = []
    given = iter(answers)
    while True:
        events.append(following(executor))
        match events[-1]:
            case EpochReport() as report:
                executor.answer(report.number, next(given, True))
            case Outcome() | Lost() | Returned() | Broken():
                return events


def wait_until_started(executor: Executor, count: int) -> None:
    """Let so many jobs begin; what they report meanwhile is told to go on."""
    started = 0
    while started < count:
        match following(executor):
            case Started():
                started += 1
            case EpochReport(number=number):
                executor.answer(number, True)
