"""A store of MLflow as a long search leaves it: so many trials, made by rows instead of by training.

The first trial is written by the real tracker; the others are its rows again, with values of their own, and artifacts
beside them. What MLflow's own calls take half an hour for takes half a minute.
"""

import json
import random
import sqlite3
import uuid
from contextlib import closing
from typing import Any

from convsearch.search.delivery.tracking import ARCHITECTURE_FILE, Tracker, figures_of
from convsearch.search.study.home import Home
from convsearch.search.study.settings import DataFacts, StudySettings
from convsearch.search.study.trial import CURVES, Trial
from convsearch.search.values.job import Outcome, Seconds
from convsearch.search.values.limits import Limits
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.space import SearchSpace

EPOCHS = 10
SPACE = "classic"
INPUT = Volume(32, 32, 3)
LASTS = 9_000  # milliseconds that a trial lasts, and that eight workers take to begin eight
WORKERS = 8


class Generated:
    """A study in a home's store, of any number of trials, to which more can be added as a search would."""

    def __init__(self, home: Home, name: str, trials: int) -> None:
        """Make the store, and the study with its trials."""
        home.path.mkdir(parents=True, exist_ok=True)
        facts = DataFacts(
            name="cifar10",
            source="cifar10",
            fingerprint="0" * 64,
            input=INPUT,
            classes=tuple("0123456789"),
            folder="cifar10",
            train=5000,
            val=1000,
            test=1000,
        )
        study = StudySettings(
            id=uuid.uuid4().hex,
            name=name,
            created_at="2026-01-01T00:00:00+00:00",
            space=SPACE,
            data=facts,
            engine="optuna",
            algorithm="tpe",
            pruner="hyperband",
            epochs=EPOCHS,
            trials=trials,
            seed=0,
            class_weights=False,
            versions={},
        )
        self._name, self._source = name, random.Random(0)
        self._space = SearchSpace(load(SPACE), INPUT, len(facts.classes))
        self._tracker = Tracker(home, study)
        self._launch = self._tracker.launch(presets()[SPACE].read_text(encoding="utf-8"), Limits(trials))
        self._next = 0
        self._first = self.add()
        self._fill(home, trials)

    def add(self) -> str:
        """Begin and end one more trial by MLflow's own calls, as a search does; return its run."""
        trial = self._trial()
        run = self._tracker.began(trial, self._launch)
        self._tracker.ended(trial.end("complete", self._outcome(trial.number), 0.0), run)
        return run

    def finish(self) -> None:
        """End the launch."""
        self._tracker.end_launch(self._launch, finished=True)

    def _trial(self) -> Trial:
        values = self._space.draw(self._source)
        self._next += 1
        return Trial.begin(Proposal(self._next - 1, values, self._space.candidate(values)))

    def _outcome(self, number: int) -> Outcome:
        reached = 0.3 + 0.6 * self._source.random() * (1 - 0.5 ** (1 + number / 50))
        curve = tuple(reached * (1 - 0.6**epoch) for epoch in range(1, EPOCHS + 1))
        return Outcome(
            number=number,
            ended="complete",
            value=max(curve),
            best_epoch=EPOCHS,
            gap=0.1 * self._source.random(),
            epochs=EPOCHS,
            loss=tuple(2 - value for value in curve),
            accuracy=tuple(1.05 * value for value in curve),
            val_loss=tuple(2.1 - value for value in curve),
            val_accuracy=curve,
            seconds=Seconds(waiting=0.1, building=0.3, tracing=1.2, training=6.0, evaluating=0.6),
        )

    def _fill(self, home: Home, trials: int) -> None:
        """Write the rows of all trials but the first."""
        with closing(sqlite3.connect(home.path / "mlflow.db")) as database:
            database.row_factory = sqlite3.Row
            template = dict(database.execute("select * from runs where run_uuid = ?", (self._first,)).fetchone())
            tags = dict(map(tuple, database.execute("select key, value from tags where run_uuid = ?", (self._first,))))
            rows: dict[str, list[dict[str, Any]]] = {
                table: [] for table in ("runs", "tags", "params", "metrics", "latest_metrics")
            }
            for number in range(1, trials):
                trial = self._trial()
                trial = trial.end("complete", self._outcome(number), 0.0)
                run = uuid.UUID(int=self._source.getrandbits(128)).hex
                began = template["start_time"] - (trials - number) * LASTS // WORKERS
                place = str(template["artifact_uri"]).replace(self._first, run)
                own = {"run_uuid": run, "name": f"trial {number}", "artifact_uri": place}
                rows["runs"].append(template | own | {"start_time": began, "end_time": began + LASTS})
                for name, text in (tags | _tags(trial)).items():
                    rows["tags"].append({"key": name, "value": text, "run_uuid": run})
                for name, value in trial.candidate.flat().items():
                    rows["params"].append({"key": name, "value": str(value), "run_uuid": run})
                for name in CURVES:
                    for epoch, value in enumerate(getattr(trial, name), start=1):
                        _measure(rows, run, name, value, began + epoch, epoch, newest=epoch == EPOCHS)
                for name, value in figures_of(trial).items():
                    _measure(rows, run, name, value, began + LASTS, 0, newest=True)
                folder = home.artifacts / self._name / run / "artifacts"
                folder.mkdir(parents=True)
                drawn = json.dumps(trial.candidate.model_dump(mode="json"))
                (folder / ARCHITECTURE_FILE).write_text(drawn, encoding="utf-8")
            with database:
                for table, found in rows.items():
                    names = list(found[0]) if found else []
                    marks = ", ".join(f":{name}" for name in names)
                    database.executemany(f"insert into {table} ({', '.join(names)}) values ({marks})", found)


def _measure(
    rows: dict[str, list[dict[str, Any]]], run: str, name: str, value: float, moment: int, step: int, newest: bool
) -> None:
    row = {"key": name, "value": value, "timestamp": moment, "run_uuid": run, "step": step, "is_nan": False}
    rows["metrics"].append(row)
    if newest:
        rows["latest_metrics"].append(row)


def _tags(trial: Trial) -> dict[str, str]:
    return {
        "number": str(trial.number),
        "hash": trial.hash,
        "architecture": str(trial.candidate.architecture),
        "mlflow.runName": f"trial {trial.number}",
        "worker": f"worker-{trial.number % WORKERS}",
    }
