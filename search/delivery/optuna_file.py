"""`optuna.db`: a study's trials as Optuna stores them, so that `optuna-dashboard` and Optuna itself can read them.

It follows the record, and is rebuilt from it if it is lost: no study resumes from it.
"""

import sqlite3
import warnings
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ...spaces.errors import WorkError
from ...spaces.space import SearchSpace
from ..engines.optuna import STATES
from ..engines.optuna_internals import study_id
from ..engines.sampling import distribution
from ..shared.optuna_trial import frozen
from ..study.trial import Trial
from ..system.addresses import sqlite_url

FILE = "optuna.db"
LOCK_TIMEOUT = 60.0  # seconds to wait for another program's lock
BROKEN = (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError, ValueError, KeyError)
OF_THE_MACHINE = (OSError, AssertionError)  # Optuna asserts that it finds its own files: not without descriptors
# What SQLite says of a file that has to be rebuilt; of a lock, a full disk and the like it says something else.
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)
PRIMARY = 0xFF  # the part of SQLite's error codes that tells the kind


class DamagedError(Exception):
    """The file is damaged, of another version of Optuna, or of another study: it has to be rebuilt."""


class OptunaFile:
    """Writes trials to a study in one of Optuna's storages, under their own numbers."""

    def __init__(
        self, folder: Path, space: SearchSpace, objectives: tuple[str, ...], patience: float = LOCK_TIMEOUT
    ) -> None:
        """Open the file in a study's folder, or create it.

        In a new file the study has the name of its folder, as `optuna-dashboard` shows it. It keeps that name if the
        folder gets another one; earlier versions called all studies `study`.

        Args:
            folder: of the study.
            space: of the study.
            objectives: of the study.
            patience: seconds to wait for another program's lock, whenever it is read or written.

        Raises:
            DamagedError: it is damaged, or of another version.
            WorkError: it cannot be opened for another reason, such as a lock or a full disk.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.path = folder / FILE
        self._objectives = objectives
        self._distributions: dict[str, BaseDistribution] = {
            name: distribution(dimension) for name, dimension in space.dimensions.items()
        }
        storage: optuna.storages.RDBStorage | None = None
        try:
            self._storage = storage = optuna.storages.RDBStorage(
                sqlite_url(self.path), engine_kwargs={"connect_args": {"timeout": patience}}
            )
            names = optuna.get_all_study_names(storage)
            self._study = optuna.create_study(
                storage=storage,
                study_name=names[0] if names else folder.name,
                directions=["maximize", *["minimize"] * (len(objectives) - 1)],
                load_if_exists=True,
            )
            stored = self._study.get_trials(deepcopy=False)
        except (*BROKEN, *OF_THE_MACHINE) as error:
            if storage is not None:
                self.close()
            code = _code(error)
            damaged = code in DAMAGE if code is not None else isinstance(error, BROKEN)
            raise (DamagedError if damaged else WorkError)(f"{self.path}: {_first_line(error)}") from error
        self._states = [trial.state for trial in stored]
        self._hashes = [trial.user_attrs.get("hash") for trial in stored]

    def began(self, trial: Trial) -> None:
        """Add a running trial; one that exists already is left as it is.

        Raises:
            DamagedError: another trial has its number, or the file is damaged.
            WorkError: it cannot be written for another reason.
        """
        self._prepare(trial)
        if trial.number == len(self._states):
            self._add(self._frozen(trial, TrialState.RUNNING))

    def ended(self, trial: Trial) -> None:
        """Write the end of a trial, unless the file has it already; raises as `began` does."""
        self._prepare(trial)
        state = STATES[trial.state]
        if trial.number == len(self._states):
            self._add(self._frozen(trial, state))
        elif self._states[trial.number] == TrialState.RUNNING:
            frozen = self._frozen(trial, state)
            try:
                trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id(self._study), trial.number)
                for step, value in frozen.intermediate_values.items():
                    self._storage.set_trial_intermediate_value(trial_id, step, value)
                if trial.state == "interrupted":
                    self._storage.set_trial_user_attr(trial_id, "interrupted", True)
                self._storage.set_trial_state_values(trial_id, state, frozen.values)
            except (*BROKEN, *OF_THE_MACHINE) as error:
                raise self._not_written(error) from error
            self._states[trial.number] = state

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _prepare(self, trial: Trial) -> None:
        """Fill the gap before a trial, as Optuna numbers consecutively; check that a stored one is the same trial."""
        while len(self._states) < trial.number:
            self._add(create_trial(state=TrialState.FAIL))
        if trial.number < len(self._states) and self._hashes[trial.number] != trial.hash:
            raise DamagedError(f"{self.path}: its trial {trial.number} is a different one")

    def _add(self, frozen: FrozenTrial) -> None:
        try:
            self._study.add_trial(frozen)
        except (*BROKEN, *OF_THE_MACHINE) as error:
            raise self._not_written(error) from error
        self._states.append(frozen.state)
        self._hashes.append(frozen.user_attrs.get("hash"))

    def _not_written(self, error: BaseException) -> Exception:
        # Only what SQLite says: whatever else is wrong with a trial would be wrong in the next file too.
        return (DamagedError if _code(error) in DAMAGE else WorkError)(f"{self.path}: {_first_line(error)}")

    def _frozen(self, trial: Trial, state: TrialState) -> FrozenTrial:
        return frozen(trial, state, self._distributions, self._objectives)


def _code(error: BaseException) -> int | None:
    """Return SQLite's code of the kind of an error; None where SQLite has not failed."""
    cause = _of_sqlite(error)
    return None if cause is None else getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY


def _of_sqlite(error: BaseException | None) -> sqlite3.Error | None:
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = str(_of_sqlite(error) or error.__cause__ or error).splitlines()
    return lines[0] if lines else type(error).__name__
