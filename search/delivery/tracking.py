"""MLflow: an experiment per study, a parent run per launch, a nested run per trial. The only module that writes there.

The default store is `mlflow.db` and `artifacts/` in the home; MLFLOW_TRACKING_URI is honoured. A run depends on the
record alone, timestamps included, so that writing it twice changes nothing.
"""

import io
import json
import logging
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # into our logs, as it was configured

import mlflow
import numpy as np
from mlflow.entities import Experiment, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ...spaces.errors import WorkError
from ..engines.importance import Importances
from ..study.home import Home
from ..study.runs import Runs
from ..study.settings import StudySettings
from ..study.trial import CURVES, Trial, now
from ..system.addresses import TRACKING, artifact_place, discreet, masked
from ..system.lock import locked
from ..values.evaluation import Evaluation
from ..values.limits import Limits
from .experiment import (
    STUDY_TAG,
    create_experiment,
    has_model,
    in_experiment,
    own_experiment,
    own_model,
    quoted,
    restored_run,
    run_of,
)
from .home_store import make_whole
from .moved import follow_home
from .pages import every
from .reach import PATIENCE, own_server, reach, tracking_uri

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
DATA_TAG, SPACE_TAG = "convsearch.data", "convsearch.space"  # of an experiment: they mark it as a study
UNTIL_TAG = "until"  # of a launch: when its minutes will be used up
ARCHITECTURE_FILE, TEST_FILE = "architecture.json", "test.json"
SERVERS = ("http://", "https://")
LOGGED = re.compile("models:/(m-[0-9a-f]+)")  # the address of a model that was logged
SERVED = "mlflow-artifacts:"  # the scheme of artifacts that only an MLflow server can find
SEVERAL = 5  # noted runs that are looked for: one of them may have been deleted
LONGEST_PARAMETER = 6000  # characters; MLflow's own limit


def open_store(home: Home, storage: str | None = None) -> str:
    """Point MLflow to the runs of this home, and return the address.

    MLflow also sets it in the environment, from where another home would take it for the user's own server.
    """
    uri, configured = tracking_uri(home, storage), os.environ.get(TRACKING)
    mlflow.set_tracking_uri(uri)
    if configured:
        os.environ[TRACKING] = configured
    else:
        os.environ.pop(TRACKING, None)
    return uri


class Tracker:
    """Writes a study to MLflow: trials by `began` and `ended`, and the launch that they are nested in.

    Raises:
        WorkError: MLflow cannot be reached or written to, at any call.
    """

    def __init__(self, home: Home, study: StudySettings) -> None:
        """Find the study's experiment, or create it."""
        self._address = tracking_uri(home, study.storage)
        self.uri = masked(self._address)  # as it is shown and stored
        self._study = study
        self._common_tags = _common_tags(study)
        self._local = own_server(home) is None
        hush()
        reached, said = reach(self._address, PATIENCE)  # MLflow would try a database again for two minutes
        if reached is False:
            raise WorkError(f"MLflow at {self.uri}: {said}")
        self.note: str | None = None  # what was wrong with the store and is mended
        with self._reached(), ExitStack() as held:
            own = self._local and study.storage is None
            if own:
                held.enter_context(locked(home.path))  # other launches may be about to do the same
                self.note = make_whole(home)
            open_store(home, study.storage)
            self._client = MlflowClient(self._address)
            self._experiment = self._own_experiment(home)
            self._require_artifacts()
            if own:
                follow_home(home, str(self._experiment.experiment_id))
        self.experiment_id = str(self._experiment.experiment_id)
        self._artifacts = (home.artifacts / self._experiment.name).resolve()

    def _own_experiment(self, home: Home) -> Experiment:
        noted = Runs(home.path / self._study.name).all[:SEVERAL]
        if (found := own_experiment(self._client, self._study, noted)) is not None:
            return found
        place = artifact_place(home.artifacts.resolve()) if self._local else None
        tags = {DATA_TAG: self._study.data.name, SPACE_TAG: self._study.space}
        return self._client.get_experiment(create_experiment(self._client, self._study, tags, place))

    def _require_artifacts(self) -> None:
        """Raise a WorkError if the artifacts can be reached only through the server that made the experiment."""
        if not self._experiment.artifact_location.startswith(SERVED) or self._address.lower().startswith(SERVERS):
            return
        if self._study.storage is None or not self._local:  # otherwise each loop keeps its own in its home
            raise WorkError(
                f"MLflow at {self.uri}: the experiment '{self._experiment.name}' was made through a server, which "
                "keeps its artifacts: start that server, as `mlflow server` or `mlflow ui` was started then, and set "
                f"{TRACKING} to its address, http://HOST:PORT"
            )

    @property
    def store(self) -> str:
        """What tells the study's experiment from those of other stores, by whatever address they are reached."""
        return f"{self.experiment_id}-{self._experiment.creation_time}"

    def has_any(self, run_ids: Sequence[str]) -> bool:
        """Whether one of the first few runs is in the study's experiment."""
        with self._reached():
            return any(in_experiment(self._client, run_id, self.experiment_id) for run_id in run_ids[:SEVERAL])

    def restored(self, run_id: str) -> bool:
        """Whether a run exists; one that somebody deleted is restored."""
        with self._reached():
            return restored_run(self._client, run_id)

    def has_end(self, trial: Trial, run_id: str) -> bool:
        """Whether the end of a trial, or a later one, was written to its run; the run may have been deleted since."""
        with self._reached():
            run = run_of(self._client, run_id)
        return run is not None and (trial.ended_at is None or (run.info.end_time or 0) >= _milliseconds(trial.ended_at))

    def has_model(self, uri: str) -> bool:
        """Whether the store has the model that was logged as `uri`."""
        found = LOGGED.fullmatch(uri)
        with self._reached():
            return found is None or has_model(self._client, found[1])

    # ------------------------------------------------------------------ a launch

    def launch(self, space: str, limits: Limits) -> str:
        """Open the run of a launch, and return its id; runs left open are closed.

        Args:
            space: the YAML text of its space.
            limits: of this launch, which may differ from those that the study was started with.
        """
        study = self._study
        tags = {"mlflow.runName": f"{study.name} launch", "kind": "launch", **self._common_tags}
        if limits.until is not None:
            tags[UNTIL_TAG] = limits.until.isoformat()
        parameters = {
            "data": study.data.source,
            "space": study.space,
            "objectives": ", ".join(study.objectives),
            "epochs": study.epochs,
            "trials": limits.trials,
            "minutes": study.minutes,
            "seed": study.seed,
        }
        with self._reached():
            self._close_left_open("" if study.loop is None else f" and tags.loop = {quoted(study.loop)}")
            run = self._client.create_run(self.experiment_id, tags=tags)
            self._keep_run_here(run.info.run_id)
            for name, value in parameters.items():
                if value is not None:
                    self._client.log_param(run.info.run_id, name, value)
            self._client.log_text(run.info.run_id, space, "space.yaml")
        return str(run.info.run_id)

    def end_launch(self, parent: str, finished: bool) -> None:
        """Close the run of a launch, as finished or as ended early, unless it no longer exists."""
        if self.restored(parent):
            with self._reached():
                self._client.set_terminated(parent, "FINISHED" if finished else "KILLED")

    def close_launches(self) -> None:
        """Close all launches that ended loops have left open; a loop that is about to end closes its own again."""
        with self._reached():
            self._close_left_open("")

    def _close_left_open(self, which: str) -> None:
        left_open = f"attributes.status = 'RUNNING' and tags.kind = 'launch'{which}"
        search = self._client.search_runs
        found = every(lambda token: search([self.experiment_id], left_open, page_token=token))
        for run in list(found):  # all, before the first is closed and no longer found
            self._client.set_terminated(run.info.run_id, "KILLED")

    def _keep_run_here(self, run_id: str) -> None:
        """Keep the artifacts of a run in this home, if several loops share the experiment.

        MLflow keeps them where the experiment was created: in the home of the first loop, perhaps on another machine.
        It has no call to change that.
        """
        change = "UPDATE runs SET artifact_uri = :place WHERE run_uuid = :key"
        self._change_place(change, self._artifacts / run_id / "artifacts", run_id)

    def _keep_models_here(self) -> None:
        """Do the same for models that are logged from now on."""
        change = "UPDATE experiments SET artifact_location = :place WHERE experiment_id = :key"
        self._change_place(change, self._artifacts, int(self.experiment_id))

    def _change_place(self, change: str, place: Path, key: str | int) -> None:
        if self._study.storage is None or not self._local:
            return
        engine = create_engine(self._address, poolclass=NullPool)  # closes what it has opened, whatever happens
        with engine.begin() as connection:
            connection.execute(text(change), {"place": artifact_place(place), "key": key})

    # ------------------------------------------------------------------ a trial

    def find(self, number: int) -> str | None:
        """Return the id of a trial's run, if there is one."""
        with self._reached():
            runs = self._client.search_runs([self.experiment_id], f"tags.kind = 'trial' and tags.number = '{number}'")
        return str(runs[0].info.run_id) if runs else None

    def began(self, trial: Trial, parent: str, found: str | None = None) -> str:
        """Open the nested run of a trial, with all its parameters, and return its id.

        Args:
            trial: as the record has it.
            parent: the run of the launch.
            found: the trial's run, if there is one already: an attempt that was cut short may have left it incomplete.
        """
        tags = {
            "mlflow.parentRunId": parent,
            "mlflow.runName": f"trial {trial.number}",
            "kind": "trial",
            "number": str(trial.number),
            "state": "running",
            "hash": trial.hash,
            "architecture": str(trial.candidate.architecture),
            **self._common_tags,
        }
        parameters = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in trial.candidate.flat().items()]
        with self._reached():
            start = _milliseconds(trial.started_at)
            run = self._client.get_run(found) if found else self._client.create_run(self.experiment_id, start, tags)
            if run.data.tags.get("loop") == self._study.loop:  # another loop may have logged a trial that it gave up
                self._keep_run_here(run.info.run_id)
            self._client.log_batch(run.info.run_id, params=parameters)
        return str(run.info.run_id)

    def resumed(self, run_id: str) -> None:
        """Reopen the run of a trial that was resumed or runs again."""
        with self._reached():
            self._client.update_run(run_id, "RUNNING")
            self._client.set_tag(run_id, "state", "running")

    def ended(self, trial: Trial, run_id: str) -> None:
        """Write a trial's curves, figures and state, and close its run."""
        began, ended = _milliseconds(trial.started_at), _milliseconds(trial.ended_at or now())
        metrics = [
            Metric(name, value, began + step, step)  # the timestamp gives the order, and is the same when written again
            for name in CURVES
            for step, value in enumerate(getattr(trial, name), start=1)
        ]
        metrics += [Metric(name, value, ended, 0) for name, value in figures_of(trial).items()]
        tags = {"state": trial.state, "worker": trial.worker, "error": trial.error, "lost": "; ".join(trial.lost)}
        tags["spells"] = _spells(trial)
        drawn = json.dumps(trial.candidate.model_dump(mode="json"), indent=2)
        with self._reached():
            self._client.log_batch(
                run_id,
                metrics=metrics,
                tags=[RunTag(name, value[:LONGEST_PARAMETER]) for name, value in tags.items() if value],
            )
            self._client.log_text(run_id, drawn, ARCHITECTURE_FILE)
            self._client.set_terminated(run_id, STATUS[trial.state], ended)

    # ------------------------------------------------------------------ results

    def log_importances(self, parent: str, found: Importances, at: str) -> None:
        """Write the importance of each dimension to the launch, and the number of trials behind it."""
        moment = _milliseconds(at)
        metrics = [Metric(f"importance.{name}", share, moment, 0) for name, share in found.shares.items()]
        with self._reached():
            self._client.log_batch(parent, metrics=[*metrics, Metric("importance_trials", found.trials, moment, 0)])

    def log_front(self, parent: str, front: list[dict[str, Any]]) -> None:
        """Write the Pareto front to the launch."""
        with self._reached():
            self._client.log_text(parent, json.dumps(front, indent=2) + "\n", "front.json")

    def log_test(self, parent: str, number: int, test: Evaluation) -> None:
        """Write the test of the winner, trial `number`, to the launch."""
        content = {"trial": number, **test.model_dump(mode="json")}
        with self._reached():
            self._client.log_text(parent, json.dumps(content) + "\n", TEST_FILE)

    def log_model(self, parent: str, model: Any, example: Any, figures: dict[str, float]) -> str:
        """Log and register the final model so that `mlflow models serve` answers images; return its URI.

        Args:
            parent: the run of the launch.
            model: the Keras model, raw images in, probabilities out.
            example: float32 (n, height, width, depth), some images for the signature.
            figures: its metrics, such as `test_accuracy`.
        """
        import keras

        backend = keras.backend.backend()
        answers = np.asarray(model.predict(example, verbose=0))
        with self._reached():
            name = own_model(self._client, self._study, self._experiment)
        details = {
            "name": "model",
            "signature": mlflow.models.infer_signature(example, answers),
            "registered_model_name": name,
            "pip_requirements": [f"{name}=={version(name)}" for name in ("keras", "numpy", backend)],
        }
        with self._reached():
            self._keep_models_here()
        silence = redirect_stderr(io.StringIO())  # MLflow prints what it registers
        with self._reached(), mlflow.start_run(run_id=parent), silence:
            mlflow.log_metrics(figures)
            if backend == "tensorflow":
                logged = mlflow.tensorflow.log_model(model, input_example=example, **details)
            else:
                # Without an input example, which this writes before it creates the folder, and fails.
                logged = mlflow.keras.log_model(model, **details)
            return str(logged.model_uri)

    def _reached(self) -> AbstractContextManager[None]:
        return reached(self.uri)


@contextmanager
def reached(uri: str) -> Iterator[None]:
    """Turn an error of MLflow in the block into a WorkError that names the store, `uri`, as it is shown."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise WorkError(f"MLflow at {uri}: {discreet(_reason(error))}") from error


def hush() -> None:
    """Keep MLflow and what it uses from logging: they also raise what they log as errors."""
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def figures_of(trial: Trial) -> dict[str, float]:
    """Return the known figures of a trial, by their names in MLflow."""
    figures = {
        "best_val_accuracy": trial.value,
        "best_epoch": trial.best_epoch,
        "gap": trial.gap,
        "parameters": trial.parameters,
        "macs": trial.macs,
        "size_kb": trial.candidate.architecture.size_kb,
        "latency_ms": trial.latency_ms,
        "seconds": trial.seconds,
        **{f"seconds.{name}": value for name, value in trial.clock},
    }
    return {name: value for name, value in figures.items() if value is not None}


def _spells(trial: Trial) -> str | None:
    """Return when a trial ran and what it had reached by then, unless that is what its run says anyway.

    It is JSON: begin and end in milliseconds since 1970, and the value, for each spell. A trial that a killed launch
    has left has none, as it is not known until when it ran.
    """
    plain = [(spell.began, spell.ended) for spell in trial.spells] == [(trial.started_at, trial.ended_at)]
    if plain or (not trial.spells and trial.state != "interrupted"):  # earlier versions stored none
        return None
    return json.dumps([[_milliseconds(began), _milliseconds(ended), value] for began, ended, value in trial.spells])


def _milliseconds(moment: str) -> int:
    """Return a timestamp of the record, ISO 8601, in MLflow's milliseconds since 1970."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _reason(error: BaseException) -> str:
    """Return the reason of an error in one line: the database's message, if it is the cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DBAPIError) and cause.orig is not None:
            return " ".join(str(cause.orig).split())
        cause = cause.__cause__ or cause.__context__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _common_tags(study: StudySettings) -> dict[str, str]:
    """Return the tags of every run of a launch."""
    commit = _git_commit()
    return {
        STUDY_TAG: study.id,
        "engine": study.engine,
        "algorithm": study.algorithm,
        "pruner": study.pruner,
        "fingerprint": study.data.fingerprint,
        **{f"version.{name}": found for name, found in study.versions.items()},
        **({"mlflow.source.git.commit": commit} if commit else {}),
        **({"loop": study.loop} if study.loop else {}),
    }


def _git_commit() -> str | None:
    """Return the commit of the user's folder, if it is a git checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, errors="replace", timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None
