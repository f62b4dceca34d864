"""The program that delivers a study's record to MLflow and to Optuna's file.

`python -P -m convsearch.search.delivery.program FOLDER LIMITS` delivers to MLflow, and for Optuna's studies to
`optuna.db`. The record is the queue: each target follows it line by line, in order, and its position is saved with the
study, so that each line is delivered once, whatever was killed or unreachable in between. The loop never waits for
either.

Commands arrive on standard input, a JSON line each; messages leave on standard output in the same format. The program
ends with the loop.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from ...spaces.errors import InputError, WorkError
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.record import FILE as RECORD
from ..study.runs import Runs
from ..study.settings import StudySettings
from ..study.trial import FINISHED, Trial
from ..system.addresses import hide_secrets_in_tracebacks
from ..system.files import free_name, write_text
from ..system.processes import end_with_parent
from ..values.limits import Limits

if TYPE_CHECKING:
    from .optuna_file import OptunaFile

DELIVERED = "delivered.json"  # how many bytes of the record MLflow has, and which store of it
IDLE = 0.2  # seconds between two checks of the record
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds until a failed delivery is retried
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # this program retries by itself
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


@dataclass
class Follower:
    """Follows the record from `offset` on and passes each line to `deliver`; a line that fails is retried later."""

    record: Path
    deliver: Callable[[Trial], None]
    offset: int = 0
    trouble: str | None = None  # why the next line could not be delivered
    wait: float = FIRST_WAIT
    not_before: float = 0.0
    delivered: Callable[[int], None] = field(default=lambda offset: None)

    def step(self) -> bool:
        """Deliver one line; return whether one was delivered."""
        if time.monotonic() < self.not_before or (line := self._line()) is None:
            return False
        try:
            self.deliver(Trial.model_validate_json(line))
        except WorkError as error:
            self.trouble = str(error)
            self.not_before = time.monotonic() + self.wait
            self.wait = min(LONGEST_WAIT, 2 * self.wait)
            return False
        self.offset += len(line)
        self.trouble, self.wait = None, FIRST_WAIT
        self.delivered(self.offset)
        return True

    @property
    def behind(self) -> bool:
        """Whether there are undelivered lines."""
        return self._line() is not None

    def _line(self) -> bytes | None:
        try:
            with self.record.open("rb") as file:
                file.seek(self.offset)
                line = file.readline()
        except FileNotFoundError:
            return None
        return line if line.endswith(b"\n") else None  # otherwise it is still being written


@contextmanager
def making_tables(study: StudySettings) -> Iterator[None]:
    """Keep the other loops of a shared study from creating MLflow's tables and experiment at the same time."""
    if study.storage is None:
        yield
        return
    from ..shared.database import Database

    with closing(Database(study.storage, study.name)) as database, database.locked("mlflow"):
        yield


class ToMlflow:
    """Delivers trials to MLflow, each to a run of its own."""

    def __init__(self, folder: StudyFolder, limits: Limits) -> None:
        """Connect to MLflow and open a launch; WorkError if MLflow cannot be reached."""
        from .tracking import Tracker

        study = folder.read()
        with making_tables(study):
            self._tracker = Tracker(Home(folder.path.parent), study)
        self.parent = self._tracker.launch(folder.space_file.read_text(encoding="utf-8"), limits)
        self.uri = self._tracker.uri
        self.store = self._tracker.store
        self.note_of_store = self._tracker.note
        self._anew = False  # whether the store lacks what was delivered, to it or to another one
        self._runs = Runs(folder.path)
        self._place = folder.path / DELIVERED
        record = folder.path / RECORD
        self.offset = self._offset(record)
        self.model = self._model(folder)
        self._ask_always = study.storage is not None  # another loop may have delivered a trial that it gave up
        self._ask_until = record.stat().st_size if record.exists() else 0  # runs of these may exist, and not be noted
        self._unsure = False  # whether an error may have left such a run

    def _offset(self, record: Path) -> int:
        """Return how much of the record the store has: nothing, if the study was delivered to another one before.

        Lines are delivered in order: a store that lacks the last end was restored from a backup, and gets all again. A
        run that was begun after that end and is missing is made anew when its trial ends.
        """
        offset, store = noted_delivery(self._place)
        if not _is_between_lines(record, offset):
            offset = 0  # what is written twice is the same
        if store is None:  # an earlier version did not note it
            known = self._runs.all
            store = self.store if not known or self._tracker.has_any(known) else None
        # In such an order that a kill in between leaves what leads here again.
        if store != self.store:
            self._anew, offset = True, 0
            self._runs.forget()
            self.note(offset)
        elif self._runs.damaged:
            offset = 0
            self.note(offset)
            self._runs.forget()
        elif (last := _last_end(record, offset)) is not None:
            run = self._runs.of(last.number)
            if run is None or not self._tracker.has_end(last, run):
                self._anew, offset = True, 0
                self.note(offset)
            if run is not None and self._anew:
                what = "lacks trials that it had, as if it were restored from a backup"
                self.note_of_store = f"MLflow at {self.uri} {what}: they are delivered again"
        return offset

    def _model(self, folder: StudyFolder) -> str | None:
        """Return the model that `result.json` has the address of, if the store has it."""
        try:
            result = folder.result()
        except InputError:  # the launch says so
            return None
        uri = None if result is None else result.model_uri
        return uri if uri is not None and self._tracker.has_model(uri) else None

    def __call__(self, trial: Trial) -> None:
        """Deliver a line of the record."""
        if trial.loop is not None:  # its own loop delivers it
            return
        if trial.mlflow_run_id is not None and not self._anew:
            # Noted by an earlier version, which had written it before the record.
            self._runs.note(trial.number, trial.mlflow_run_id)
            if trial.state in FINISHED:
                return
        noted = self._runs.of(trial.number)
        if noted is not None and not self._tracker.restored(noted):
            noted = None  # removed from MLflow for good: the trial gets another one
        found = noted
        unsure = self._unsure or self._ask_always or self.offset < self._ask_until
        if noted is None and (unsure or trial.state != "running"):
            found = self._tracker.find(trial.number)  # a delivery that was killed may have created it
        try:
            run = noted or self._tracker.began(trial, self.parent, found)
            if found is not None and trial.state == "running":
                self._tracker.resumed(run)
            self._runs.note(trial.number, run)
            if trial.state != "running":
                self._tracker.ended(trial, run)
        except WorkError:
            self._unsure = True
            raise
        self._unsure = False

    def note(self, offset: int) -> None:
        """Note how many bytes of the record are delivered."""
        self.offset = offset
        write_text(self._place, json.dumps({"mlflow": offset, "store": self.store}) + "\n", synced=False)

    def end(self, finished: bool) -> None:
        """Close the launch."""
        self._tracker.end_launch(self.parent, finished)


class ToOptuna:
    """Delivers trials to `optuna.db`, which it opens for the first; a damaged file is moved aside and rebuilt."""

    def __init__(self, folder: StudyFolder, send: Callable[..., None]) -> None:
        study = folder.read()
        self._folder, self._space, self._objectives = folder.path, folder.space(study), study.objectives
        self._send = send
        self._file: OptunaFile | None = None
        self.follower: Follower | None = None

    def __call__(self, trial: Trial) -> None:
        """Deliver a line of the record; WorkError if the file cannot be opened or written now, or is being rebuilt."""
        from .optuna_file import DamagedError

        file = self._file or self._opened()
        try:
            if trial.state == "running":
                file.began(trial)
            else:
                file.ended(trial)
        except DamagedError as error:
            self.close()
            self._move_aside(str(error))
            raise WorkError(f"{error}; it is being rebuilt") from error

    def _opened(self) -> "OptunaFile":
        from .optuna_file import DamagedError, OptunaFile

        try:
            self._file = OptunaFile(self._folder, self._space, self._objectives)
        except DamagedError as error:
            self._move_aside(str(error))
            self._file = OptunaFile(self._folder, self._space, self._objectives)
        return self._file

    def _move_aside(self, reason: str) -> None:
        """Rename the file to a name that no earlier one has, and follow the record from its beginning."""
        from .optuna_file import FILE

        if self.follower is not None:
            self.follower.offset = 0
        aside = free_name(self._folder / f"{FILE}.damaged")
        try:
            (self._folder / FILE).replace(aside)
        except OSError as error:
            raise WorkError(f"{reason}; it cannot be moved to {aside.name}: {error.strerror}") from error
        self._send(note=f"{reason}: moved to {aside.name} and rebuilt")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def main(place: str, limits: Limits) -> None:
    """Deliver until the loop has ended and everything is delivered."""
    end_with_parent()
    hide_secrets_in_tracebacks()
    logging.disable(logging.CRITICAL)  # libraries also raise what they log as errors
    output, commands = os.dup(1), _Commands()
    os.dup2(2, 1)  # keep what libraries print away from the loop

    def send(**message: Any) -> None:
        try:
            os.write(output, json.dumps(message).encode() + b"\n")
        except OSError:  # the loop is gone
            sys.exit(1)

    folder = StudyFolder(Path(place))
    try:
        to_mlflow = ToMlflow(folder, limits)
    except WorkError as error:
        send(refused=str(error))
        return
    ready = {"parent": to_mlflow.parent, "uri": to_mlflow.uri, "store": to_mlflow.store, "model": to_mlflow.model}
    send(ready=ready)
    if to_mlflow.note_of_store is not None:
        send(note=to_mlflow.note_of_store)
    to_record = Follower(folder.path / RECORD, to_mlflow, to_mlflow.offset, delivered=to_mlflow.note)
    followers = {"MLflow": to_record}
    study = folder.read()
    to_optuna = ToOptuna(folder, send) if study.engine == "optuna" and study.storage is None else None
    if to_optuna is not None:
        to_optuna.follower = followers["optuna.db"] = Follower(folder.path / RECORD, to_optuna)
    reported: dict[str, str | None] = {}
    while True:
        busy = False
        for name, follower in followers.items():
            busy |= follower.step()
            if follower.trouble != reported.get(name):
                reported[name] = follower.trouble
                send(trouble={name: follower.trouble})
        if busy and commands.ending is not None:
            send(alive=True)  # the loop waits for the rest
        commands.read(0.0 if busy else IDLE)
        if commands.ending is not None and not any(follower.behind for follower in followers.values()):
            break
    if to_optuna is not None:
        to_optuna.close()
    while True:
        try:
            to_mlflow.end(bool(commands.ending))
            break
        except WorkError as error:
            send(trouble={"MLflow": str(error)})
            time.sleep(FIRST_WAIT)
    send(done=True)


def noted_delivery(place: Path) -> tuple[int, str | None]:
    """Return how many bytes of the record MLflow has by `delivered.json`, and which store of it: 0 where it is damaged.

    What it noted is only there to save work: a record that is delivered again changes nothing.
    """
    try:
        noted = json.loads(place.read_bytes())
        offset, store = noted["mlflow"], noted.get("store")
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return 0, None
    whole = isinstance(offset, int) and 0 <= offset < 2**63
    return (offset if whole else 0), (store if isinstance(store, str) else None)


def _is_between_lines(record: Path, offset: int) -> bool:
    try:
        with record.open("rb") as file:
            file.seek(max(0, offset - 1))
            return offset == 0 or (offset > 0 and file.read(1) == b"\n")
    except FileNotFoundError:
        return offset == 0


def _last_end(record: Path, offset: int) -> Trial | None:
    """Return the last of this loop's trials that had ended in the first `offset` bytes, as it was then."""
    if offset == 0:
        return None
    with record.open("rb") as file:
        lines = file.read(offset).split(b"\n")
    trials = (Trial.model_validate_json(line) for line in reversed(lines) if line)
    return next((trial for trial in trials if trial.loop is None and trial.state != "running"), None)


class _Commands:
    """The loop's commands: whether it has ended, and whether the launch was finished."""

    def __init__(self) -> None:
        self.ending: bool | None = None
        self._buffer = b""

    def read(self, seconds: float) -> None:
        """Wait for a command for up to so many seconds."""
        if not wait([0], seconds):
            return
        data = os.read(0, 4096)
        if not data:  # the loop is gone
            sys.exit(1)
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self.ending = bool(json.loads(line)["end"])


if __name__ == "__main__":
    main(sys.argv[1], TypeAdapter(Limits).validate_json(sys.argv[2]))
