"""The database of a shared study: its definition, its trials as Optuna stores them, and their heartbeats.

A thin layer over Optuna's RDBStorage, so that `optuna-dashboard` can open it. What several loops must not do at once is
done under one of PostgreSQL's advisory locks, which is released with the connection that holds it.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from ...spaces.errors import InputError, WorkError
from ..engines.optuna_internals import study_id
from ..study.shared import Shared, identity_of
from ..system.addresses import SCHEMA, optuna_url, place

ATTRIBUTE = "convsearch"  # of Optuna's study: its definition
LOOPS, WINNER = "convsearch.loops", "convsearch.winner"  # the same: the loops that joined, what was exported
LOST = "interrupted"  # attribute of a trial that failed through no fault of its own
# A server that does not answer is given up after seconds, not after the many minutes of the system's defaults.
CONNECTION = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# The same on the server, where the holder of a lock may vanish; and no one waits for a lock forever.
LOCK_SETTINGS = (
    "SET LOCAL lock_timeout = '60s'; SET LOCAL tcp_keepalives_idle = 10; "
    "SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3"
)
LOCK = "SELECT pg_advisory_xact_lock(hashtext('convsearch'), hashtext(:key))"
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext('convsearch'), hashtext(:key))"
HEARTBEATS = """
    SELECT trials.number,
        extract(epoch FROM localtimestamp - greatest(heartbeat, pg_postmaster_start_time()::timestamp)),
        extract(epoch FROM heartbeat)
    FROM trials LEFT JOIN trial_heartbeats USING (trial_id)
    WHERE study_id = :study AND state = 'RUNNING'
"""
CLOCK = "SELECT extract(epoch FROM localtimestamp)"


class UnreachableError(WorkError):
    """The database is unreachable at the moment."""


class GivenUpError(Exception):
    """Another loop has given up the trial whose end was to be written."""


class Heartbeat(NamedTuple):
    """The latest heartbeat of a running trial: its age in seconds, and when it came, by the database's clock.

    None can be sent while the server is down, so the age counts from the server's start at the earliest. `at` is None
    where there has been no heartbeat yet.
    """

    age: float
    at: float | None


class Database:
    """One study in the database; `storage` is the address without a password, `name` the study's."""

    def __init__(self, storage: str, name: str) -> None:
        """Connect, and create the tables if they are missing.

        Raises:
            WorkError: the database refuses; the message says why.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.storage, self.name, self.place = storage, name, place(storage)
        self._engine = create_engine(optuna_url(storage), pool_pre_ping=True, connect_args=CONNECTION)
        with ExitStack() as unless_opened:
            unless_opened.callback(self._engine.dispose)
            with self._reached(), self.locked("tables"):
                with self._engine.begin() as connection:
                    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                self._rdb = self._optuna_tables()
            unless_opened.pop_all()
        self._study: optuna.Study | None = None

    def _optuna_tables(self) -> optuna.storages.RDBStorage:
        try:
            return optuna.storages.RDBStorage(
                optuna_url(self.storage), {"pool_pre_ping": True, "connect_args": CONNECTION}
            )
        except RuntimeError as error:  # how Optuna says that its tables are of another version
            reason = " ".join(str(error).split())
            raise WorkError(f"{self.place}: Optuna {optuna.__version__} cannot use the tables: {reason}") from error

    def close(self) -> None:
        """Close all connections."""
        self._rdb.remove_session()
        self._rdb.engine.dispose()
        self._engine.dispose()

    # ------------------------------------------------------------------ locks

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Wait for a lock, and hold it."""
        with self._reached(), self._engine.begin() as connection:
            connection.execute(text(LOCK_SETTINGS))
            connection.execute(text(LOCK), {"key": key})
            yield

    @contextmanager
    def try_lock(self, key: str) -> Iterator[bool]:
        """Hold a lock of this study for as long as needed, unless another loop has it; yield whether it is held."""
        with self._reached():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            with self._reached():
                held = bool(connection.execute(text(TRY_LOCK), {"key": f"{key}/{self.name}"}).scalar())
            yield held
        finally:
            connection.invalidate()  # closed, not kept in the pool: the lock goes with it
            connection.close()

    # ------------------------------------------------------------------ the study

    def definition(self) -> Shared | None:
        """Return the study's definition, or None where there is no study of this name.

        Raises:
            InputError: there is one that Convsearch did not create.
        """
        with self._reached():
            if self.name not in optuna.get_all_study_names(self._rdb):
                return None
            self._study = optuna.load_study(study_name=self.name, storage=self._rdb)
            found = self._study.user_attrs.get(ATTRIBUTE)
            trials = len(self._study.get_trials(deepcopy=False))
        if found is not None:
            return Shared.model_validate(found)
        if not trials:  # the loop that was creating it was killed
            return None
        raise InputError(
            f"--study {self.name}: {self.place} already has a study of this name that Convsearch did not create; "
            "choose another name"
        )

    def find(self, identity: str) -> None:
        """Take the name that a study has here, which its folder need not have any more; keep it where there is none."""
        with self._reached():
            studies = self._rdb.get_all_studies()
        names = [study.study_name for study in studies if identity_of(study.user_attrs.get(ATTRIBUTE)) == identity]
        if names and self.name not in names:
            self.name = names[0]

    def make(self, shared: Shared, directions: Sequence[str]) -> bool:
        """Create the study; return False if another loop was first."""
        with self.locked("tables"):
            if self.definition() is not None:
                return False
            with self._reached():
                self._study = optuna.create_study(
                    storage=self._rdb, study_name=self.name, directions=list(directions), load_if_exists=True
                )
                self._study.set_user_attr(ATTRIBUTE, shared.model_dump(mode="json"))
            return True

    def join(self, loop: str) -> int:
        """Add a loop to the study and return its index, counted from 0; a loop that comes back keeps its index."""
        with self.locked(self.name), self._reached():
            loops = list(self._open.user_attrs.get(LOOPS, []))
            if loop not in loops:
                loops.append(loop)
                self._open.set_user_attr(LOOPS, loops)
            return loops.index(loop)

    def note_winner(self, note: dict[str, Any]) -> None:
        """Store which loop exported the winner, and from how many trials it was chosen."""
        with self._reached():
            self._open.set_user_attr(WINNER, note)

    def winner(self) -> dict[str, Any] | None:
        """Return what `note_winner` stored last."""
        with self._reached():
            found: dict[str, Any] | None = self._open.user_attrs.get(WINNER)
            return found

    # ------------------------------------------------------------------ trials

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number; only new and running ones are read from the server."""
        with self._reached(), self._found():
            return list(self._open.get_trials(deepcopy=False))

    def begin(self, frozen: FrozenTrial) -> int:
        """Store a trial that begins, with a first heartbeat, and return its number."""
        with self._reached(), self._found():
            trial_id = self._rdb.create_new_trial(study_id(self._open), frozen)
            self._rdb.record_heartbeat(trial_id)
            return int(self._rdb.get_trial(trial_id).number)

    def end(self, number: int, frozen: FrozenTrial) -> None:
        """Store how a trial ended: values, attributes and state of `frozen`. Idempotent.

        Raises:
            GivenUpError: the database has another end for it.
        """
        with self._reached(), self._found():
            trial_id = self._rdb.get_trial_id_from_study_id_trial_number(study_id(self._open), number)
            try:
                for step, value in frozen.intermediate_values.items():
                    self._rdb.set_trial_intermediate_value(trial_id, step, value)
                for key, attribute in frozen.user_attrs.items():
                    self._rdb.set_trial_user_attr(trial_id, key, attribute)
                self._rdb.set_trial_state_values(trial_id, frozen.state, frozen.values)
            except optuna.exceptions.UpdateFinishedTrialError as error:
                stored = self._rdb.get_trial(trial_id)
                if stored.state != frozen.state or is_lost(stored) != is_lost(frozen):
                    raise GivenUpError from error

    def heartbeat(self, numbers: Sequence[int]) -> None:
        """Record a heartbeat for each of these trials."""
        with self._reached(), self._found():
            for number in numbers:
                trial_id = self._rdb.get_trial_id_from_study_id_trial_number(study_id(self._open), number)
                self._rdb.record_heartbeat(trial_id)

    def heartbeats(self) -> dict[int, Heartbeat]:
        """Return the latest heartbeat of each running trial."""
        with self._reached(), self._engine.connect() as connection:
            rows = connection.execute(text(HEARTBEATS), {"study": study_id(self._open)}).all()
        return {number: Heartbeat(float(age or 0.0), None if at is None else float(at)) for number, age, at in rows}

    def clock(self) -> float:
        """Return the time by the database's clock, in the seconds of `Heartbeat.at`."""
        with self._reached(), self._engine.connect() as connection:
            return float(connection.execute(text(CLOCK)).scalar() or 0.0)

    @property
    def _open(self) -> optuna.Study:
        assert self._study is not None, "the study is created or loaded first"
        return self._study

    @contextmanager
    def _found(self) -> Iterator[None]:
        """Raise a WorkError if the study, or a trial of it, was deleted."""
        try:
            yield
        except KeyError as error:
            raise WorkError(f"{self.place}: the study '{self.name}' no longer exists: it was deleted") from error

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            cause = error if isinstance(error, SQLAlchemyError) else error.__cause__ or error
            message = f"{self.place}: {_reason(cause)}"
            if isinstance(cause, OperationalError | InterfaceError):
                raise UnreachableError(message) from error
            raise WorkError(message) from error


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial ended through no fault of its own, so that its candidate has to be tried again."""
    return trial.state == TrialState.FAIL and (LOST in trial.user_attrs or "trial" not in trial.user_attrs)


def _reason(error: BaseException) -> str:
    """Return the database's reason in one line: the last one that gives one, as a name may have several addresses."""
    text = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    line = lines[-1].strip() if lines else type(error).__name__
    _, failed, why = line.rpartition(" failed: ")
    return (why if failed else line).removeprefix("FATAL:").strip()
