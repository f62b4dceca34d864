"""The runs of MLflow as tables: all are read once, and from then on only what has changed. Nothing is written.

MLflow takes more than a millisecond for a run, so that ten thousand trials take a while the first time. What is read
is kept for all who look, and for the next time in the user's cache (`copies.py`).
"""

import gc
import logging
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")  # seconds; whoever looks is told instead of kept waiting
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import pandas as pd
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ..search.home import Home
from ..search.record import CURVES
from ..search.tracking import DATA_TAG, SPACE_TAG, tracking_uri
from . import copies
from .rows import merged, moment, table_of, typed
from .study import Launch, Study

PAGE = 500  # runs that are asked for at a time
WORTH_COPYING, COPIED = 200, 60.0  # runs, from which on a study is copied; seconds between two copies of it
FAILED = 3.0  # seconds for which a server that failed is not asked again
FRESH = 1.0  # seconds for which nobody asks MLflow again
# Milliseconds: what ended within them is asked for again, for it may have come after what ended later. A loop delivers
# in order, but for what it does within the same moment; several loops do not, up to the minutes that one may be away.
OVERLAP, OVERLAP_SHARED = 10_000, 600_000
Progress = Callable[[float], object]
"""Is told which share of a study has been read."""


class StoreError(Exception):
    """MLflow cannot be read; `remedy` is what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class _Asked:
    """When MLflow was asked last, by the monotonic clock, and the state of its file then; None where it has no file."""

    at: float
    file: tuple[int, ...] | None


NEVER = _Asked(float("-inf"), None)


_Mark = tuple[str | None, int | None]
"""The state of a trial's run, and when it ended, in milliseconds since 1970; None while it runs."""


@dataclass
class _Kept:
    """What is kept of a study, and what it takes to ask for the rest."""

    study: Study | None = None
    runs: pd.DataFrame = field(default_factory=lambda: table_of([]))  # as MLflow has them: all options are text
    asked: _Asked = NEVER
    newest_end: int = 0  # milliseconds since 1970
    saved: float = float("-inf")  # when it was copied last, by the monotonic clock
    marks: dict[str, _Mark] = field(default_factory=dict)  # of all runs, damaged ones too
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)  # of runs that have ended

    def running(self) -> set[str]:
        """Return the runs that had not ended."""
        return {run for run, (_, end) in self.marks.items() if end is None}

    def is_at_rest(self, launches: tuple[Launch, ...]) -> bool:
        """Whether nothing can have changed: no launch is open, none is new, and all trials have ended."""
        is_open = any(launch.status == "RUNNING" for launch in launches)
        return self.study is not None and self.study.launches == launches and not is_open and not self.running()


class Store:
    """Reads where a home's runs are logged; one for all who look at it."""

    def __init__(self, home: Path, fresh: float = FRESH, page: int = PAGE, worth_copying: int = WORTH_COPYING) -> None:
        """Begin with nothing read.

        Args:
            home: whose runs are read.
            fresh: seconds for which nobody asks MLflow again.
            page: runs that are asked for at a time.
            worth_copying: runs, from which on a study is copied to the user's cache.
        """
        self.uri = tracking_uri(Home(home))
        self.path = Path(self.uri.partition(":///")[2]) if self.uri.startswith("sqlite:") else None
        self._fresh, self._page_size, self._worth_copying = fresh, page, worth_copying
        self._kept: dict[str, _Kept] = {}
        self._names: tuple[_Asked, list[str]] = (NEVER, [])
        self._locks: dict[str, threading.Lock] = {}
        self._shares: dict[str, float] = {}  # which share has been read of what is read for the first time
        self._texts: dict[tuple[str, str], str] = {}
        self._lock, self._names_lock = threading.Lock(), threading.Lock()
        self._failed: tuple[float, StoreError] | None = None
        self._inode: int | None = None  # of the file that MLflow has opened
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what they log as an error they raise as well
        self._made: MlflowClient | None = None

    def names(self) -> list[str]:
        """Return the names of all studies, the newest first.

        Raises:
            StoreError: MLflow cannot be read.
        """
        with self._names_lock:
            before, names = self._names
            if not self._is_fresh(before):
                asked = self._now()
                names = [experiment.name for experiment in self._experiments()]
                self._names = asked, names
            return names

    def study(self, name: str, progress: Progress = lambda share: None) -> Study | None:
        """Return a study as it is now, or None where there is none of this name.

        Args:
            name: of the study; it may be anything that somebody typed.
            progress: is told how much has been read, when it is read for the first time.

        Raises:
            StoreError: MLflow cannot be read.
        """
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        while not lock.acquire(timeout=0.2):  # whoever comes second waits, and has what the first one has read
            progress(self._shares.get(name, 0.0))
        try:
            kept = self._kept.get(name)
            if kept is None or not self._is_fresh(kept.asked):
                kept = self._refreshed(name, kept, progress)
                if kept is None:
                    self._kept.pop(name, None)
                    return None
                self._kept[name] = kept
            return kept.study
        finally:
            lock.release()

    def curves(self, study: Study, trials: Iterable[int]) -> dict[int, pd.DataFrame]:
        """Return the learning curves of trials, a row an epoch: CURVES.

        Raises:
            StoreError: MLflow cannot be read.
        """
        there = set(study.trials["trial"])
        return {number: self._curve(study.name, study.row(number)) for number in trials if number in there}

    def text(self, run_id: str, path: str, keep: bool = False) -> str | None:
        """Return an artifact of a run as text, or None where it is missing, or outside of the run.

        Args:
            run_id: of the run.
            path: of the artifact.
            keep: whether it is asked for again and again, and never changes.

        Raises:
            StoreError: MLflow cannot be read.
        """
        if (run_id, path) in self._texts:
            return self._texts[run_id, path]
        text = self._text(run_id, path)
        if keep and text is not None:
            self._texts[run_id, path] = text
        return text

    def _text(self, run_id: str, path: str) -> str | None:
        if ".." in Path(path).parts or Path(path).is_absolute():  # MLflow would follow it
            return None
        with self._read(), tempfile.TemporaryDirectory() as place:
            try:
                found = Path(self._client().download_artifacts(run_id, path, place))
                return found.read_text(encoding="utf-8", errors="replace")
            except (OSError, MlflowException):
                return None

    # ------------------------------------------------------------------ when it is asked

    def _is_fresh(self, asked: _Asked) -> bool:
        """Whether nothing can be new: it was asked just now, or its file is the one that it was then."""
        if time.monotonic() - asked.at < self._fresh:
            return True
        return asked.file is not None and asked.file == self._file()

    def _now(self) -> _Asked:
        return _Asked(time.monotonic(), self._file())

    def _file(self) -> tuple[int, ...] | None:
        """Return what changes whenever somebody writes to MLflow's SQLite file; None where it is in no file."""
        if self.path is None:
            return None
        found: tuple[int, ...] = ()
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(OSError):
                facts = path.stat()
                found += (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        return found or None

    def _is_there(self) -> bool:
        """Whether there is a whole store to read.

        MLflow would make what is missing; two that do so at once, a search that begins and this, would spoil it. The
        last thing that it makes is its first experiment.
        """
        if self.path is None or not self.path.exists():
            return self.path is None
        if self._made is not None:
            if self.path.stat().st_ino != self._inode:  # MLflow reads the old one on
                raise StoreError(f"{self.path} was deleted and made anew.", "Begin the dashboard again.")
            return True
        try:
            with closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)) as database:
                return database.execute("select 1 from experiments").fetchone() is not None
        except sqlite3.Error as error:
            if "no such table" in str(error) or "locked" in str(error):
                return False
            raise _store_error(self.uri, error) from error

    # ------------------------------------------------------------------ what is asked for

    def _refreshed(self, name: str, kept: _Kept | None, progress: Progress) -> _Kept | None:
        asked = self._now()
        if not self._is_there():
            return None
        with self._read():
            experiment = self._client().get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active" or DATA_TAG not in experiment.tags:
            return None
        if kept is not None and (kept.study is None or kept.study.created != moment(experiment.creation_time)):
            kept = None  # it was deleted, and another one made of the same name
        place = copies.place_of(self.uri, experiment)
        if kept is None and (copy := copies.load(place)) is not None:
            kept = _of_copy(name, experiment, copy)
        launches = tuple(
            sorted(map(_launch, self._runs(experiment, "tags.kind = 'launch'")), key=lambda one: one.began)
        )
        if kept is not None and kept.is_at_rest(launches):
            return replace(kept, asked=asked)
        if kept is None:
            kept, runs = _Kept(), list(self._all(experiment, progress))
        else:
            runs = list(self._changed(experiment, kept, any("loop" in launch.tags for launch in launches)))
        before, table = kept.study, merged(kept.runs, table_of(runs))
        changed = before is None or bool(runs) or before.launches != launches
        made = replace(kept, runs=table, asked=asked, marks=kept.marks | {run.info.run_id: _mark(run) for run in runs})
        for run in runs:
            made.curves.pop(run.info.run_id, None)  # it has gone on
        made.newest_end = max([kept.newest_end, *(run.info.end_time or 0 for run in runs)])
        if before is None or changed:
            made.study = Study(
                name=name,
                experiment_id=experiment.experiment_id,
                data=experiment.tags.get(DATA_TAG, ""),
                space=experiment.tags.get(SPACE_TAG, ""),
                created=moment(experiment.creation_time),
                launches=launches,
                trials=typed(table),
                version=(before.version if before else 0) + 1,
            )
        if changed and len(table) >= self._worth_copying and asked.at - made.saved > COPIED:
            copies.save(place, table)
            made.saved = asked.at
        return made

    def _all(self, experiment: Experiment, progress: Progress) -> Iterator[Run]:
        """Yield the runs of all trials."""
        newest = self._page(experiment, "tags.kind = 'trial'", ["attributes.start_time DESC"], 1, None)
        expected = 1 + max(table_of(newest)["trial"], default=0)
        for count, run in enumerate(self._runs(experiment, "tags.kind = 'trial'"), start=1):
            if count % self._page_size == 0:
                self._shares[experiment.name] = min(1.0, count / expected)
                progress(self._shares[experiment.name])
            yield run

    def _changed(self, experiment: Experiment, kept: _Kept, shared: bool) -> Iterator[Run]:
        """Yield the runs of trials that are not as they were: those that run, those that ended, those that did run."""
        since = kept.newest_end - (OVERLAP_SHARED if shared else OVERLAP)
        found: dict[str, Run] = {}
        for which in ("attributes.status = 'RUNNING'", f"attributes.end_time >= {since}"):
            found |= {run.info.run_id: run for run in self._runs(experiment, f"tags.kind = 'trial' and {which}")}
        for run_id in kept.running() - set(found):  # it ended longer ago than any clock should have it
            with self._read(), suppress(MlflowException):
                found[run_id] = self._client().get_run(run_id)
        yield from (run for run_id, run in found.items() if kept.marks.get(run_id) != _mark(run))

    def _runs(self, experiment: Experiment, which: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._page(experiment, which, ["attributes.start_time ASC"], self._page_size, token)
            yield from page
            token = page.token
            if not token:
                return

    def _page(self, experiment: Experiment, which: str, order: list[str], count: int, token: str | None) -> Any:
        with self._read(), _uncollected():
            return self._client().search_runs(
                [experiment.experiment_id], which, ViewType.ACTIVE_ONLY, count, order, token
            )

    def _curve(self, name: str, trial: "pd.Series[Any]") -> pd.DataFrame:
        known = self._kept.get(name)  # another viewer may have seen that it was deleted
        kept = {} if known is None else known.curves
        if trial["run"] not in kept:
            with self._read():
                found = {
                    curve: {m.step: m.value for m in self._client().get_metric_history(trial["run"], curve)}
                    for curve in CURVES
                }
            table = pd.DataFrame(found).sort_index()
            table.index.name = "epoch"
            if trial["state"] == "running":
                return table
            kept[trial["run"]] = table
        return kept[trial["run"]]

    def _experiments(self) -> list[Experiment]:
        if not self._is_there():
            return []
        with self._read():
            found = self._client().search_experiments(order_by=["creation_time DESC"])
        return [experiment for experiment in found if DATA_TAG in experiment.tags]  # a server may have others

    def _client(self) -> MlflowClient:
        if self._made is None:
            self._inode = None if self.path is None else self.path.stat().st_ino
            self._made = MlflowClient(self.uri)
        return self._made

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Tell what MLflow fails with; for a while, all who ask have the same answer, instead of waiting in a row."""
        if self._failed is not None and time.monotonic() - self._failed[0] < FAILED:
            raise self._failed[1]
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            told = _store_error(self.uri, error)
            self._failed = time.monotonic(), told
            raise told from error


def _of_copy(name: str, experiment: Experiment, copy: pd.DataFrame) -> _Kept:
    """Return what is known by a copy: what had ended, for good or to go on."""
    study = Study(name, experiment.experiment_id, "", "", moment(experiment.creation_time), (), copy)
    ends = [None if pd.isna(end) else round(end.timestamp() * 1000) for end in copy["ended"]]
    marks = dict(zip(copy["run"], zip(copy["state"], ends, strict=True), strict=True))
    newest = max((end for end in ends if end is not None), default=0)
    return _Kept(study, copy, NEVER, newest, time.monotonic(), marks)


def _mark(run: Run) -> _Mark:
    """Return what changes whenever a run does."""
    return run.data.tags.get("state"), run.info.end_time if run.info.status != "RUNNING" else None


def _launch(run: Run) -> Launch:
    info = run.info
    ended = moment(info.end_time) if info.end_time else None
    return Launch(
        info.run_id, info.status, moment(info.start_time), ended, run.data.params, run.data.metrics, run.data.tags
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage: a page is a hundred thousand objects, all of them in use.

    It would take two thirds of the time. Where two threads are at it, one may end it for the other, which is only slow.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def told_uri(uri: str) -> str:
    """Return an address without the password in it."""
    try:
        return str(make_url(uri).render_as_string(hide_password=True))
    except ArgumentError:
        return uri


def _store_error(uri: str, error: Exception) -> StoreError:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    told = told_uri(uri)
    if "out-of-date database schema" in str(error):
        remedy = f"Keep a copy of it, then: mlflow db upgrade {told}"
        return StoreError(f"The store of MLflow at {told} is of another version.", remedy)
    if uri.startswith("http") and "error code" not in line:
        return StoreError(f"The MLflow server at {told} does not answer.", "See to the server; this page tries again.")
    return StoreError(
        f"MLflow cannot be read at {told}: {line.replace(uri, told)}", "convsearch doctor says what is wrong with it."
    )
