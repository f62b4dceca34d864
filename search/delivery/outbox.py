"""The loop's side of program.py: starts it, follows its state, informs the user, and waits for it at the end."""

import json
import logging
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from pydantic import TypeAdapter

from ...spaces.errors import WorkError
from ..study.folder import StudyFolder
from ..study.trial import Trial
from ..system.processes import environment, how_it_ended
from ..values.job import EpochReport
from ..values.limits import Limits

PROGRAM = f"{__package__}.program"
HUNG = 600.0  # seconds without a sign of life, after which a delivery that is waited for is given up
PATIENCE = 60.0  # seconds without a delivery, at the end, after which the rest is left for --resume
NONE = Limits()
log = logging.getLogger(__name__)
MAX_DEATHS = 10  # of the process, after which it is not restarted in this launch
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until a process that could not reach MLflow is restarted
SHORT = 5.0  # the patience where the user waits for the command to end


class Outbox:
    """Follows the delivery of a study as one of its listeners; the data that is delivered comes from the record."""

    def __init__(self, folder: StudyFolder, limits: Limits = NONE) -> None:
        """Start the delivery; `limits` are those of the launch."""
        self._folder = folder
        self._log = folder.logs / "delivery.log"
        self._limits = TypeAdapter(Limits).dump_json(limits)
        self._trouble: dict[str, str] = {}
        self._buffer = b""
        self._done = False
        self._heard = 0.0  # when the latest message came, by the monotonic clock
        self._deaths = 0
        self._ending: bool | None = None  # the argument of `deliver_rest`, once it was called
        self._refused = False  # whether the latest process could not reach MLflow
        self._pause, self._not_before = FIRST_PAUSE, 0.0
        self.parent, self.uri, self.store = "", "", ""  # the launch's run, MLflow's address, and what tells its store
        self.model: str | None = None  # the address of the model that was published last, if the store has it
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        self._log.parent.mkdir(exist_ok=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", PROGRAM, str(self._folder.path.resolve()), self._limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,  # Ctrl-C is for the loop
            )

    def _dead(self) -> WorkError:
        how = how_it_ended(self.process.returncode, self._log)
        return WorkError(f"the delivery to MLflow {how}; its log is {self._log}")

    def wait_until_ready(self, patience: float = HUNG) -> None:
        """Wait until MLflow has answered, so that no trial is trained before; WorkError if it does not.

        `patience` are the seconds that it has: a store that is new, or on a slow disk, is made in the meantime.
        """
        until = time.monotonic() + patience
        while not self.parent:
            self._receive(1.0)
            if not self.parent and time.monotonic() > until:
                raise WorkError(f"the delivery to MLflow was not ready after {patience:g} s; its log is {self._log}")
            if self.process.poll() is not None and not self.parent:
                self._receive(0.0)
                raise self._dead()

    def began(self, trial: Trial) -> None:
        """Do nothing: the record has it."""

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Do nothing: epochs are delivered together when the trial ends, in one transaction instead of ten."""

    def ended(self, trial: Trial) -> None:
        """Do nothing: the record has it."""

    def tick(self) -> None:
        """Read the messages of the process, and restart it if it has died."""
        self._receive(0.0)
        self._keep_going()

    def _keep_going(self) -> bool:
        """Restart the process if it has died; return False if it has died too often.

        A process that finds MLflow unreachable at its start exits by itself; it is restarted after a pause.
        """
        if self.process.poll() is None:
            return True
        self._receive(0.0)
        if self._done or time.monotonic() < self._not_before:
            return True
        if self._refused:
            self._not_before, self._pause = time.monotonic() + self._pause, min(LONGEST_PAUSE, 2 * self._pause)
            self._refused = False
            return True
        if not self._not_before:
            self._deaths += 1
        if self._deaths > MAX_DEATHS:
            return False
        self.close()
        self._buffer, self._not_before = b"", 0.0
        self.process = self._started()
        if self._ending is not None:
            self._announce_end()
        return True

    def deliver_rest(self, finished: bool, patience: float = PATIENCE, hung: float = HUNG) -> None:
        """Deliver the rest and close the launch.

        If the launch has `finished`, `patience` limits the seconds in which a target cannot be reached, and `hung`
        those without a sign of life; otherwise the user is waiting for the command to end, and `patience` limits the
        whole time.

        Raises:
            WorkError: it took too long; the record has what is left to deliver.
        """
        self._ending = finished
        self._announce_end()
        since = self._heard = time.monotonic()
        while not self._done:
            patient = finished and not self._trouble
            if patient:
                since = self._heard
            self._receive(0.5)
            if self.process.poll() is not None:
                time.sleep(0.1)
            if not self._keep_going():
                raise self._dead()
            if not self._done and time.monotonic() - since > (hung if patient else patience):
                raise WorkError("; ".join(self._trouble.values()) or "not all trials are delivered yet")

    def _announce_end(self) -> None:
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps({"end": self._ending}).encode() + b"\n")
            self.process.stdin.flush()

    def close(self) -> None:
        """Kill the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self.process.kill()
        self.process.wait()

    def _receive(self, seconds: float) -> None:
        assert self.process.stdout is not None
        number = self.process.stdout.fileno()
        while wait([number], seconds):
            read = self.process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not read:
                return
            self._buffer += read
            *lines, self._buffer = self._buffer.split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            seconds = 0.0

    def _take(self, message: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        if "ready" in message:
            ready = message["ready"]
            self.parent, self.uri, self.store = ready["parent"], ready["uri"], ready["store"]
            self.model = ready["model"]
            self._pause = FIRST_PAUSE
            self._note_trouble("MLflow", None)
            self._trouble.clear()  # the new process reports what else is wrong
        elif "refused" in message:
            if not self.parent:
                raise WorkError(message["refused"])
            self._refused = True
            self._note_trouble("MLflow", message["refused"])
        elif "done" in message:
            self._done = True
        elif "note" in message:
            log.warning(message["note"])
        for name, reason in message.get("trouble", {}).items():
            self._note_trouble(name, reason)

    def _note_trouble(self, name: str, reason: str | None) -> None:
        """Note why a target is unreachable, or that it is reachable again, and log the change."""
        if reason is None:
            if self._trouble.pop(name, None) is not None:
                log.warning("%s is reachable again", name)
            return
        if name not in self._trouble:
            log.warning("%s. Trials are kept and will be delivered later", reason)
        self._trouble[name] = reason
