"""Stores of MLflow as searches leave them, written by the real tracker."""

import os
import random
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mlflow.tracking import MlflowClient
from samples import a_study

from convsearch.search.delivery.tracking import Tracker
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.values.job import Outcome, Seconds
from convsearch.search.values.limits import Limits
from convsearch.search.values.proposal import Proposal, State
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.space import SearchSpace

NONE = Limits()
SPACE = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)


@cache
def empty_store() -> bytes:
    """MLflow's SQLite file without studies: it takes a second to make one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{file}").search_experiments()
        return file.read_bytes()


class Written:
    """A study in a home's store, which a test adds trials to."""

    def __init__(self, home: Path, name: str = "birds", limits: Limits = NONE, **study: object) -> None:
        home.mkdir(parents=True, exist_ok=True)
        if "MLFLOW_TRACKING_URI" not in os.environ and not (home / "mlflow.db").exists():
            (home / "mlflow.db").write_bytes(empty_store())
        self.tracker = Tracker(Home(home), a_study(name=name, **study))
        self.parent = self.tracker.launch(presets()["tiny"].read_text(encoding="utf-8"), limits)
        self.source = random.Random(0)
        self.trials: list[tuple[Trial, str]] = []

    def begin(self) -> int:
        """Begin a trial, and return its number."""
        values = SPACE.draw(self.source)
        trial = Trial.begin(Proposal(len(self.trials), values, SPACE.candidate(values)))
        trial = trial.model_copy(update={"worker": f"worker-{len(self.trials) % 2}"})
        self.trials.append((trial, self.tracker.began(trial, self.parent)))
        return trial.number

    def end(self, number: int, value: float | None, state: State = "complete", error: str | None = None) -> None:
        """End a trial that was begun, after two epochs."""
        trial, run = self.trials[number]
        curve = () if value is None else (value / 2, value)
        outcome = Outcome(
            number=number,
            ended="failed" if value is None else "complete",
            value=value,
            best_epoch=2,
            gap=0.05,
            epochs=len(curve),
            loss=curve,
            accuracy=curve,
            val_loss=curve,
            val_accuracy=curve,
            seconds=Seconds(training=1.0, building=0.5),
            error=error,
        )
        self.tracker.ended(trial.end(state, outcome, 0.0), run)

    def add(self, values: Sequence[float | None]) -> None:
        """Add a trial for each value; one that is None has failed."""
        for value in values:
            number = self.begin()
            state: State = "failed" if value is None else "complete"
            self.end(number, value, state, "the loss became NaN in epoch 1" if value is None else None)

    def finish(self, finished: bool = True) -> None:
        """End the launch."""
        self.tracker.end_launch(self.parent, finished)
