"""Queries MLflow: its answers, how old they are, and errors where it cannot be read. Nothing is written."""

import gc
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from shlex import quote
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")  # seconds; show an error rather than keep a viewer waiting
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from ...search.delivery.pages import every
from ...search.delivery.reach import reach
from ...search.delivery.tracking import DATA_TAG
from ...search.system.addresses import discreet, masked, sqlite_path
from ...search.values.commands import command

PAGE = 500  # runs per query
FAILED = 3.0  # seconds for which a failed server is not queried again
FRESH = 1.0  # seconds for which an answer is reused
FIRST = 5.0  # seconds that a store has to answer for the first time


class StoreError(Exception):
    """MLflow cannot be read; `remedy` is what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class Stamp:
    """When MLflow was queried, by the monotonic clock, and the state of its file then; None if there is no file."""

    at: float
    file: tuple[int, ...] | None


NEVER = Stamp(float("-inf"), None)


class Reader:
    """Queries one MLflow store. Every method raises StoreError if it cannot be read."""

    def __init__(
        self,
        uri: str,
        fresh: float = FRESH,
        page: int = PAGE,
        patience: float = FIRST,
        artifacts: Path | None = None,
        home: Path | None = None,
    ) -> None:
        """Start without a query.

        Args:
            uri: of the store.
            fresh: seconds for which an answer counts as current.
            page: runs per query.
            patience: seconds that the store has to answer, and to wait for its lock, when it is first looked at.
            artifacts: the folder of all artifacts, if the store is a home's own.
            home: whose store it is, for the commands that errors suggest; None is the usual one.
        """
        self.uri = uri
        self.path = sqlite_path(uri)
        self.page = page
        self._fresh, self._patience = fresh, patience
        self._artifacts, self._home = artifacts, home
        self._failed: tuple[float, StoreError] | None = None
        self._inode: int | None = None  # of the file that MLflow has opened
        self._opened: MlflowClient | None = None
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they also raise the errors that they log

    # ------------------------------------------------------------------ how old an answer is

    def now(self) -> Stamp:
        """Return a stamp to compare with later; take it before a query."""
        return Stamp(time.monotonic(), self._file())

    def is_fresh(self, stamp: Stamp) -> bool:
        """Whether nothing can have changed: the stamp is recent, or the file is unchanged since."""
        if time.monotonic() - stamp.at < self._fresh:
            return True
        return stamp.file is not None and stamp.file == self._file()

    def _file(self) -> tuple[int, ...] | None:
        """Return a value that changes whenever MLflow's SQLite file does; None if there is no file."""
        if self.path is None:
            return None
        found: tuple[int, ...] = ()
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(OSError):
                status = path.stat()
                found += (status.st_ino, status.st_size, status.st_mtime_ns)
        return found or None

    # ------------------------------------------------------------------ queries

    def experiments(self) -> list[Experiment]:
        """Return the experiments that are studies, newest first; none if there is no store yet."""
        if not self._is_there():
            return []
        which, order = f"tags.`{DATA_TAG}` LIKE '%'", ["creation_time DESC"]  # a server may have others
        with self._read():
            search = self._client().search_experiments
            return list(every(lambda token: search(filter_string=which, order_by=order, page_token=token)))

    def runs(self, experiments: Sequence[str], which: str, view: int = ViewType.ACTIVE_ONLY) -> Iterator[Run]:
        """Yield runs of experiments in the order in which they began.

        Args:
            experiments: their IDs.
            which: a filter in MLflow's syntax.
            view: one of MLflow's ViewTypes: those that exist, or those that were deleted.
        """
        if experiments:  # without any, MLflow would search all of them
            order = ["attributes.start_time ASC"]
            yield from every(lambda token: self._page(experiments, which, order, self.page, token, view))

    def newest(self, experiment: str, which: str) -> Sequence[Run]:
        """Return the run of an experiment that began last, if any."""
        return list(self._page([experiment], which, ["attributes.start_time DESC"], 1, None))

    def changed(
        self, experiments: Sequence[str], which: str, since: int, ran: Iterable[str], running: Mapping[str, Run]
    ) -> dict[str, Run]:
        """Return the runs that may have changed, by their IDs: running, recently ended, and formerly running ones.

        Args:
            experiments: their IDs.
            which: a filter in MLflow's syntax.
            since: when the others had ended for good, in milliseconds since 1970.
            ran: the IDs of those that were running at the last query: clocks may disagree about when they ended. One
                that is not returned was deleted.
            running: those that are running now.
        """
        ended = self.runs(experiments, f"{which} and attributes.end_time >= {since}")
        found = {**running, **{run.info.run_id: run for run in ended}}
        if others := set(ran) - set(found):
            named = ", ".join(f"'{run_id}'" for run_id in sorted(others))
            found |= {run.info.run_id: run for run in self.runs(experiments, f"attributes.run_id IN ({named})")}
        return found

    def history(self, run_id: str, metric: str) -> dict[int, float]:
        """Return the values of a run's metric by their steps."""
        with self._read():
            return {found.step: found.value for found in self._client().get_metric_history(run_id, metric)}

    def text(self, run_id: str, path: str) -> str | None:
        """Return an artifact of a run as text, or None if it is missing, or outside the run, or cannot be read here."""
        if ".." in Path(path).parts or Path(path).is_absolute():  # MLflow would follow it
            return None
        with self._read(), tempfile.TemporaryDirectory() as place:
            try:
                found = self._in_home(run_id, path) or Path(self._client().download_artifacts(run_id, path, place))
                return found.read_text(encoding="utf-8", errors="replace")
            except (OSError, MlflowException):
                return None
            except Exception as error:  # each kind of artifact store has errors of its own, and packages that it needs
                logging.getLogger(__name__).warning("%s of run %s: %s", path, run_id, discreet(str(error)))
                return None

    def _in_home(self, run_id: str, path: str) -> Path | None:
        """Return an artifact's file in the home; where MLflow looks for it, the home may not be any more."""
        if self._artifacts is None:
            return None
        place = PurePath(self._client().get_run(run_id).info.artifact_uri)
        found = self._artifacts.joinpath(*place.parts[-3:], path)  # STUDY/RUN/artifacts
        return found if found.is_file() else None

    def _page(
        self,
        experiments: Sequence[str],
        which: str,
        order: list[str],
        count: int,
        token: str | None,
        view: int = ViewType.ACTIVE_ONLY,
    ) -> Any:
        with self._read(), _uncollected():
            found = self._client().search_runs(list(experiments), which, view, count, order, token)
        for run in found:
            for name in [name for name, value in run.data.tags.items() if value is None]:  # MLflow stores that too
                del run.data.tags[name]
        return found

    # ------------------------------------------------------------------ the store

    def _is_there(self) -> bool:
        """Whether there is a complete store to read.

        MLflow would create what is missing; if a starting search and the dashboard did so at once, they would corrupt
        it. Its first experiment is the last thing that MLflow creates.
        """
        if self.path is None or not self.path.exists():
            return self.path is None
        if self._opened is not None:
            if self.path.stat().st_ino != self._inode:  # MLflow keeps reading the old one
                raise StoreError(f"{self.path} was deleted and recreated.", "Restart the dashboard.")
            return True
        try:
            # Not `ro`: SQLite could not undo what a killed search has left half-written, and would refuse to read.
            address = f"{self.path.resolve().as_uri()}?mode=rw"
            with closing(sqlite3.connect(address, uri=True, timeout=self._patience)) as database:
                return database.execute("select 1 from experiments").fetchone() is not None
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return False
            raise _store_error(self.uri, error, self._home) from error

    def _client(self) -> MlflowClient:
        if self._opened is None:
            reached, said = reach(self.uri, self._patience)  # MLflow would try a database again for two minutes
            if reached is False:
                raise OSError(said)
            self._inode = None if self.path is None else self.path.stat().st_ino
            self._opened = MlflowClient(self.uri)
        return self._opened

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Convert MLflow's errors to StoreError; for a while, all viewers get the same error without waiting."""
        if self._failed is not None and time.monotonic() - self._failed[0] < FAILED:
            raise self._failed[1]
        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            failure = _store_error(self.uri, error, self._home)
            self._failed = time.monotonic(), failure
            raise failure from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable garbage collection: a page is a hundred thousand objects, all of them in use.

    It would take two thirds of the time. With two threads, one may enable it again for the other, which is only slow.
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _store_error(uri: str, error: Exception, home: Path | None) -> StoreError:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    shown = masked(uri)
    if "out-of-date database schema" in str(error):
        remedy = f"Keep a copy of it, then: mlflow db upgrade {quote(shown)}"
        return StoreError(f"The MLflow store at {shown} is of another version.", remedy)
    if uri.startswith("http") and "error code" not in line:
        return StoreError(f"The MLflow server at {shown} does not answer.", "Check the server; this page tries again.")
    remedy = f"{command('doctor', home=home)} says what is wrong with it."
    if "database is locked" in str(error):
        remedy = "Another program is writing to it; this page tries again."
    return StoreError(f"MLflow cannot be read at {shown}: {discreet(line)}", remedy)
