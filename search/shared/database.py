"""The database of a shared study: the study's definition, its trials as Optuna stores them, and who is alive.

A thin layer over Optuna's RDBStorage, so that `optuna-dashboard` opens what is here. What several loops must not do at
once they do under a lock of PostgreSQL's, which ends with the connection of whoever holds it.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from ...spaces.errors import InputError, WorkError
from ..engines.optuna_internals import study_id
from ..study.shared import Shared
from ..system.addresses import SCHEMA, optuna_url, place

GRACE = float(os.environ.get("CONVSEARCH_GRACE", "60"))  # seconds without a heartbeat, after which a trial is lost
ATTRIBUTE = "convsearch"  # of Optuna's study: its definition
LOOPS, WINNER = "convsearch.loops", "convsearch.winner"  # the same: the loops that joined, what was exported
LOST = "interrupted"  # attribute of a trial that failed through no fault of its own
# Whoever does not answer at all is given up in seconds, not in the system's many minutes.
CONNECTION = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# The same for the server, where the holder of a lock is gone without a word; and nobody waits for a lock for ever.
HOLDING = (
    "SET LOCAL lock_timeout = '60s'; SET LOCAL tcp_keepalives_idle = 10; "
    "SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3"
)
LOCK = "SELECT pg_advisory_xact_lock(hashtext('convsearch'), hashtext(:key))"
TRY = "SELECT pg_try_advisory_lock(hashtext('convsearch'), hashtext(:key))"
BEATS = """
    SELECT trials.number,
        extract(epoch FROM localtimestamp - greatest(heartbeat, pg_postmaster_start_time()::timestamp)),
        extract(epoch FROM heartbeat)
    FROM trials LEFT JOIN trial_heartbeats USING (trial_id)
    WHERE study_id = :study AND state = 'RUNNING'
"""
MOMENT = "SELECT extract(epoch FROM localtimestamp)"


class AwayError(WorkError):
    """The database cannot be reached at the moment."""


class GivenUpError(Exception):
    """A trial whose end is to be written has been given up by another loop in the meantime."""


class Beat(NamedTuple):
    """The latest sign of life of a running trial: its age in seconds, and its moment by the database's clock.

    While the server was down none could be given, so it is no older than the server's start. The moment is None where
    there was none yet.
    """

    age: float
    moment: float | None


class Database:
    """One study in the database; `storage` is the address without a password, `name` the study's."""

    def __init__(self, storage: str, name: str) -> None:
        """Connect, and make the tables where there are none.

        Raises:
            WorkError: the database refuses; the message says why.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.storage, self.name, self.place = storage, name, place(storage)
        self._engine = create_engine(optuna_url(storage), pool_pre_ping=True, connect_args=CONNECTION)
        with self._reached(), self.locked("tables"):
            with self._engine.begin() as connection:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            try:
                self._rdb = optuna.storages.RDBStorage(
                    optuna_url(storage), {"pool_pre_ping": True, "connect_args": CONNECTION}
                )
            except RuntimeError as error:  # how Optuna says that its tables are of another version
                self._engine.dispose()
                reason = " ".join(str(error).split())
                raise WorkError(f"{self.place}: Optuna {optuna.__version__} cannot use the tables: {reason}") from error
        self._study: optuna.Study | None = None

    def close(self) -> None:
        """Let go of the database."""
        self._rdb.remove_session()
        self._rdb.engine.dispose()
        self._engine.dispose()

    # ------------------------------------------------------------------ locks

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold a lock, when whoever else holds it has let go of it."""
        with self._reached(), self._engine.begin() as connection:
            connection.execute(text(HOLDING))
            connection.execute(text(LOCK), {"key": what})
            yield

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Hold a lock for long; whether it is held, for another loop may have it."""
        with self._reached():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            with self._reached():
                held = bool(connection.execute(text(TRY), {"key": f"{what}/{self.name}"}).scalar())
            yield held
        finally:
            connection.invalidate()  # closed, not kept in the pool: the lock goes with it
            connection.close()

    # ------------------------------------------------------------------ the study

    def definition(self) -> Shared | None:
        """Return the study's definition, or None where there is no study of this name.

        Raises:
            InputError: there is one that Convsearch has not made.
        """
        with self._reached():
            known = self.name in optuna.get_all_study_names(self._rdb)
            if not known:
                return None
            self._study = optuna.load_study(study_name=self.name, storage=self._rdb)
            found = self._study.user_attrs.get(ATTRIBUTE)
            trials = len(self._study.get_trials(deepcopy=False))
        if found is not None:
            return Shared.model_validate(found)
        if not trials:  # whoever was making it was killed
            return None
        raise InputError(
            f"--study {self.name}: in {self.place} is a study of this name that Convsearch did not make; "
            "choose another name"
        )

    def make(self, shared: Shared, directions: Sequence[str]) -> bool:
        """Make the study; return False where another loop was first."""
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
        """Note that a loop takes part, and return the how manieth it is, from 0 on; one that comes again keeps it."""
        with self.locked(self.name), self._reached():
            loops = list(self._open.user_attrs.get(LOOPS, []))
            if loop not in loops:
                loops.append(loop)
                self._open.set_user_attr(LOOPS, loops)
            return loops.index(loop)

    def note_winner(self, note: dict[str, Any]) -> None:
        """Keep of which trials the winner was exported, and by whom."""
        with self._reached():
            self._open.set_user_attr(WINNER, note)

    def winner(self) -> dict[str, Any] | None:
        """Return what was noted of the winner."""
        with self._reached():
            found: dict[str, Any] | None = self._open.user_attrs.get(WINNER)
            return found

    # ------------------------------------------------------------------ trials

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number; only what is new or was running is read."""
        with self._reached(), self._found():
            return list(self._open.get_trials(deepcopy=False))

    def begin(self, frozen: FrozenTrial) -> int:
        """Store a trial that begins, with a first heartbeat, and return its number."""
        with self._reached(), self._found():
            trial_id = self._rdb.create_new_trial(study_id(self._open), frozen)
            self._rdb.record_heartbeat(trial_id)
            return int(self._rdb.get_trial(trial_id).number)

    def end(self, number: int, frozen: FrozenTrial) -> None:
        """Store how a trial ended: values, attributes and state of `frozen`; again makes no difference.

        Raises:
            GivenUpError: it has ended otherwise.
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

    def beat(self, numbers: Sequence[int]) -> None:
        """Say that trials are alive."""
        with self._reached(), self._found():
            for number in numbers:
                trial_id = self._rdb.get_trial_id_from_study_id_trial_number(study_id(self._open), number)
                self._rdb.record_heartbeat(trial_id)

    def beats(self) -> dict[int, Beat]:
        """Return the latest signs of life of all running trials."""
        with self._reached(), self._engine.connect() as connection:
            rows = connection.execute(text(BEATS), {"study": study_id(self._open)}).all()
        return {
            number: Beat(float(age or 0.0), None if moment is None else float(moment)) for number, age, moment in rows
        }

    def moment(self) -> float:
        """Return what the database's clock says."""
        with self._reached(), self._engine.connect() as connection:
            return float(connection.execute(text(MOMENT)).scalar() or 0.0)

    @property
    def _open(self) -> optuna.Study:
        assert self._study is not None, "a study is made or found before it is worked on"
        return self._study

    @contextmanager
    def _found(self) -> Iterator[None]:
        """Raise a WorkError where somebody has deleted the study, or a trial of it."""
        try:
            yield
        except KeyError as error:
            gone = f"the study '{self.name}' is not there any more: somebody deleted it"
            raise WorkError(f"{self.place}: {gone}") from error

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
            cause = error if isinstance(error, SQLAlchemyError) else error.__cause__ or error
            message = f"{self.place}: {_reason(cause)}"
            if isinstance(cause, OperationalError | InterfaceError):
                raise AwayError(message) from error
            raise WorkError(message) from error


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial ended through no fault of its own, so that its candidate is to be tried again."""
    return trial.state == TrialState.FAIL and (LOST in trial.user_attrs or "trial" not in trial.user_attrs)


def _reason(error: BaseException) -> str:
    """Return what the database says, in a line: the last one that says why, for a name may have several addresses."""
    text = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    line = lines[-1].strip() if lines else type(error).__name__
    _, failed, why = line.rpartition(" failed: ")
    return (why if failed else line).removeprefix("FATAL:").strip()
