"""The program that brings a study's record to where others read it.

`python -P -m convsearch.search.delivery.program FOLDER LIMITS` delivers to MLflow, and for Optuna's studies to
`optuna.db`. The record is what is spooled: each of the two follows it line by line, in order, and what it has delivered
is noted beside the study, so that a line is delivered once, whatever was killed or could not be reached in between. The
loop never waits for either.

Commands come in on standard input, a JSON line each; what happens goes out on standard output in the same way. It ends
with the loop.
"""

import json
import logging
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ...spaces.errors import WorkError
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.record import FILE as RECORD
from ..study.runs import Runs
from ..study.settings import StudySettings
from ..study.trial import FINISHED, Trial
from ..system.files import write_text
from ..system.processes import end_with_parent
from ..values.limits import Limits

IDLE = 0.2  # seconds between two looks at the record
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds until something that failed is tried again
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # it is this program that tries again
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


@dataclass
class Follower:
    """Follows the record from `offset` on and hands each line to `deliver`; what fails is tried again later."""

    record: Path
    deliver: Callable[[Trial], None]
    offset: int = 0
    trouble: str | None = None  # why the next line could not be delivered
    wait: float = FIRST_WAIT
    not_before: float = 0.0
    delivered: Callable[[int], None] = field(default=lambda offset: None)

    def step(self) -> bool:
        """Deliver one line; return whether there was one and it is delivered."""
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
        """Whether there are lines that were not delivered."""
        return self._line() is not None

    def _line(self) -> bytes | None:
        try:
            with self.record.open("rb") as file:
                file.seek(self.offset)
                line = file.readline()
        except FileNotFoundError:
            return None
        return line if line.endswith(b"\n") else None  # else it is being written


@contextmanager
def making_tables(study: StudySettings) -> Iterator[None]:
    """Let no other loop that shares the study make MLflow's tables and its experiment at the same time."""
    if study.storage is None:
        yield
        return
    from ..shared.database import Database

    with closing(Database(study.storage, study.name)) as database, database.locked("mlflow"):
        yield


class ToMlflow:
    """Delivers trials to MLflow, each to a run of its own."""

    def __init__(self, folder: StudyFolder, limits: Limits) -> None:
        """Find out what was delivered already, and open a launch; raises WorkError where MLflow cannot be reached."""
        from .tracking import Tracker

        study = folder.read()
        with making_tables(study):
            self._tracker = Tracker(Home(folder.path.parent), study)
        self.parent = self._tracker.launch(folder.space_file.read_text(encoding="utf-8"), limits)
        self.uri = self._tracker.uri
        self._runs = Runs(folder.path)
        self._shared = study.storage is not None  # then another loop may have delivered a trial that it gave up
        self._unsure = True  # whether a run may have been made that was not noted

    def __call__(self, trial: Trial) -> None:
        """Deliver a line of the record."""
        if trial.loop is not None:  # its own loop delivers it
            return
        if trial.mlflow_run_id is not None:  # noted by an earlier version, which had written it before the record
            self._runs.note(trial.number, trial.mlflow_run_id)
            if trial.state in FINISHED:
                return
        run = self._runs.of(trial.number)
        if run is None and (
            self._unsure or self._shared or trial.state != "running"
        ):  # it may have begun in a loop that is lost
            run = self._tracker.find(trial.number)
        try:
            if run is None:
                run = self._tracker.began(trial, self.parent)
            elif trial.state == "running":
                self._tracker.goes_on(run)
            self._runs.note(trial.number, run)
            if trial.state != "running":
                self._tracker.ended(trial, run)
        except WorkError:
            self._unsure = True
            raise
        self._unsure = False

    def end(self, finished: bool) -> None:
        """Close the launch."""
        self._tracker.end_launch(self.parent, finished)


class ToOptuna:
    """Delivers trials to `optuna.db`; a file that is damaged is put aside and made anew."""

    def __init__(self, folder: StudyFolder, say: Callable[..., None]) -> None:
        study = folder.read()
        self._folder, self._space, self._objectives = folder.path, folder.space(study), study.objectives
        self._say = say
        self.follower: Follower | None = None
        self._open()

    def __call__(self, trial: Trial) -> None:
        """Deliver a line of the record."""
        from .optuna_file import DamagedError

        try:
            if trial.state == "running":
                self._file.began(trial)
            else:
                self._file.ended(trial)
        except DamagedError as error:
            self._file.close()
            self._put_aside(str(error))
            self._open()
            raise WorkError(f"{error}; it is made anew") from error

    def _open(self) -> None:
        from .optuna_file import DamagedError, OptunaFile

        try:
            self._file = OptunaFile(self._folder, self._space, self._objectives)
        except DamagedError as error:
            self._put_aside(str(error))
            self._file = OptunaFile(self._folder, self._space, self._objectives)

    def _put_aside(self, reason: str) -> None:
        from .optuna_file import FILE

        aside = self._folder / f"{FILE}.damaged"
        (self._folder / FILE).replace(aside)
        if self.follower is not None:
            self.follower.offset = 0
        self._say(note=f"{reason}: put aside as {aside.name}, and made anew")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def main(place: str, limits: Limits) -> None:
    """Deliver until the loop says that it has ended, and all is delivered."""
    end_with_parent()
    logging.disable(logging.CRITICAL)  # what libraries log as an error they raise as well
    said, commands = os.dup(1), _Commands()
    os.dup2(2, 1)  # what libraries print is not for the loop

    def say(**message: Any) -> None:
        try:
            os.write(said, json.dumps(message).encode() + b"\n")
        except OSError:  # the loop is gone
            sys.exit(1)

    folder = StudyFolder(Path(place))
    try:
        to_mlflow = ToMlflow(folder, limits)
    except WorkError as error:
        say(refused=str(error))
        return
    say(ready={"parent": to_mlflow.parent, "uri": to_mlflow.uri})
    followers = {"MLflow": _to_mlflow(folder, to_mlflow)}
    study = folder.read()
    to_optuna = ToOptuna(folder, say) if study.engine == "optuna" and study.storage is None else None
    if to_optuna is not None:
        to_optuna.follower = followers["optuna.db"] = Follower(folder.path / RECORD, to_optuna)
    reported: dict[str, str | None] = {}
    while True:
        busy = False
        for name, follower in followers.items():
            busy |= follower.step()
            if follower.trouble != reported.get(name):
                reported[name] = follower.trouble
                say(trouble={name: follower.trouble})
        commands.look(0.0 if busy else IDLE)
        if commands.ending is not None and not any(follower.behind for follower in followers.values()):
            break
    if to_optuna is not None:
        to_optuna.close()
    while True:
        try:
            to_mlflow.end(bool(commands.ending))
            break
        except WorkError as error:
            say(trouble={"MLflow": str(error)})
            time.sleep(FIRST_WAIT)
    say(done=True)


def _to_mlflow(folder: StudyFolder, deliver: ToMlflow) -> Follower:
    """Return a follower that goes on where the one of an earlier launch was."""
    place = folder.path / "delivered.json"
    try:
        offset = int(json.loads(place.read_text(encoding="utf-8"))["mlflow"])
    except (OSError, ValueError, KeyError, TypeError):
        offset = 0
    note = lambda reached: write_text(place, json.dumps({"mlflow": reached}) + "\n", synced=False)  # noqa: E731
    return Follower(folder.path / RECORD, deliver, offset, delivered=note)


class _Commands:
    """What the loop has said: to end, and whether it came to its end."""

    def __init__(self) -> None:
        self.ending: bool | None = None
        self._text = b""

    def look(self, seconds: float) -> None:
        """Wait so long for a command."""
        if not select.select([0], [], [], seconds)[0]:
            return
        read = os.read(0, 4096)
        if not read:  # the loop is gone
            sys.exit(1)
        self._text += read
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            self.ending = bool(json.loads(line)["end"])


if __name__ == "__main__":
    main(sys.argv[1], TypeAdapter(Limits).validate_json(sys.argv[2]))
