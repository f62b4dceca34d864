"""The loop's side of delivery.py: starts it, hears how it fares, tells the user, and waits for it in the end."""

import json
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from rich.console import Console

from ..spaces.errors import WorkError
from .home import StudyFolder
from .job import EpochReport
from .processes import environment
from .record import Trial

PROGRAM = f"{__package__}.delivery"
PATIENCE = 60.0  # seconds without a delivery, at the end, after which what waits is left for --resume
MOST_DEATHS = 10  # of the process, after which it is not started again in this launch
SHORT = 5.0  # the same, where the user is waiting for the command to end


class Outbox:
    """Listens to a study only to tell how its delivery fares: what is delivered is the record."""

    def __init__(self, folder: StudyFolder, console: Console) -> None:
        """Start to deliver."""
        self._folder = folder
        self._console = console
        self._trouble: dict[str, str] = {}
        self._text = b""
        self._done = False
        self._died = 0
        self.parent, self.uri = "", ""  # the launch's run, and where it is
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", PROGRAM, str(self._folder.path.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for the loop
        )

    def wait_until_ready(self) -> None:
        """Wait until MLflow has answered; WorkError where it does not: a wrong address is found out before all work."""
        while not self.parent:
            self._hear(1.0)
            if self.process.poll() is not None and not self.parent:
                self._hear(0.0)
                raise WorkError(f"the delivery to MLflow ended with exit code {self.process.returncode}")

    def began(self, trial: Trial) -> None:
        """It is in the record."""

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Epochs are delivered together when the trial ends: one transaction instead of ten."""

    def ended(self, trial: Trial) -> None:
        """It is in the record."""

    def tick(self) -> None:
        """Hear how the delivery fares, and go on with another process where it died."""
        self._hear(0.0)
        if self.process.poll() is not None and self._died < MOST_DEATHS:
            self._died += 1
            self.close()
            self._text = b""
            self.process = self._started()

    def finish(self, finished: bool, patience: float = PATIENCE) -> None:
        """Have the rest delivered and the launch closed.

        Where the launch has `finished`, `patience` counts the seconds in which nothing can be delivered; else somebody
        waits for the command to end, and it is for all.

        Raises:
            WorkError: it could not be in time; what waits is in the record.
        """
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps({"end": finished}).encode() + b"\n")
            self.process.stdin.flush()
        since = time.monotonic()
        while not self._done:
            if finished and not self._trouble:
                since = time.monotonic()
            self._hear(0.5)
            if time.monotonic() - since > patience:
                raise WorkError("; ".join(self._trouble.values()) or "not all trials are delivered yet")
            if self.process.poll() is not None:
                self._hear(0.0)
                break
        if not self._done:
            raise WorkError(f"the delivery to MLflow ended with exit code {self.process.returncode}")

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self.process.kill()
        self.process.wait()

    def _hear(self, seconds: float) -> None:
        assert self.process.stdout is not None
        number = self.process.stdout.fileno()
        while select.select([number], [], [], seconds)[0]:
            read = self.process.stdout.read1(65536)  # type: ignore[attr-defined]
            if not read:
                return
            self._text += read
            *lines, self._text = self._text.split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            seconds = 0.0

    def _take(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.parent, self.uri = message["ready"]["parent"], message["ready"]["uri"]
        elif "refused" in message:
            raise WorkError(message["refused"])
        elif "done" in message:
            self._done = True
        elif "note" in message:
            self._note(message["note"])
        for name, reason in message.get("trouble", {}).items():
            if reason is None:
                if name in self._trouble:
                    self._note(f"{name} takes trials again")
                    del self._trouble[name]
                continue
            if name not in self._trouble:
                self._note(f"{reason}. Trials are kept, and delivered when it is over")
            self._trouble[name] = reason

    def _note(self, text: str) -> None:
        self._console.print(f"  note: {text}", highlight=False, soft_wrap=True)
