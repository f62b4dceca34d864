"""Worker processes on this machine: started first of all, warmed while the loop prepares, used for trial after trial.

Loop and worker talk JSON over a socket pair. When the loop dies the worker reads the end of the socket and ends; when
the worker dies the loop reads it, reports the job as lost and starts another worker.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, BinaryIO

from ...spaces.errors import WorkError
from ..job import EpochReport, Job, Outcome
from .protocol import Broken, Event, Lost, Started

TAIL = 2000  # bytes of a dead worker's log that are looked at for its last words
NOISE = ("WARNING", "I0000", "W0000", "E0000")  # how the backend's own log lines begin


class LocalExecutor:
    """Runs jobs in `slots` worker processes; their output goes to `logs/worker-N.log`.

    Nothing is written there before the first job, so that workers can warm up while it is not even clear whether there
    will be a study.
    """

    def __init__(self, logs: Path, slots: int = 1) -> None:
        self.slots = slots
        self._logs = logs
        self._queue: deque[tuple[Job, float]] = deque()
        self._events: deque[Event] = deque()
        self._workers = [_Worker(f"worker-{number}", logs) for number in range(slots)]

    def submit(self, job: Job) -> None:
        """Run a job as soon as a worker is free."""
        self._queue.append((job, time.monotonic()))
        self._hand_out()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next thing that happened, or None after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while not self._events:
            left = max(0.0, deadline - time.monotonic())
            connections = {worker.connection: worker for worker in self._workers}
            ready = wait(list(connections), left)
            for connection in ready:
                self._read(connections[connection])  # type: ignore[index]
            if not ready and left == 0:
                return None
        return self._events.popleft()

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to go on or to end."""
        self._tell(number, {"go_on": go_on})

    def interrupt(self, number: int) -> None:
        """End a job within the batch it is at."""
        self._tell(number, {"stop": True})

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.end()

    def _tell(self, number: int, message: dict[str, Any]) -> None:
        for worker in self._workers:
            if worker.number == number:
                worker.send(message)

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.number is None and self._queue:
                job, worker.submitted = self._queue.popleft()
                worker.number = job.number
                self._logs.mkdir(parents=True, exist_ok=True)
                worker.send({"job": job.model_dump(mode="json"), "log": str(worker.log.resolve())})

    def _read(self, worker: "_Worker") -> None:
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._replace(worker)
            return
        if "started" in message:
            worker.came_up = True
            waited = time.monotonic() - worker.submitted
            self._events.append(Started(message["started"], worker.name, waited))
        elif "epoch" in message:
            self._events.append(EpochReport.model_validate(message["epoch"]))
        elif "outcome" in message:
            worker.number = None
            self._events.append(Outcome.model_validate(message["outcome"]))
            self._hand_out()
        elif "broken" in message:
            worker.number = None
            self._events.append(Broken(message["broken"]))

    def _replace(self, worker: "_Worker") -> None:
        reason = worker.last_words()
        if not worker.came_up and worker.process.returncode > 0:
            # It ended by itself before it did anything, and the next one would too.
            raise WorkError(f"{worker.name} did not start: {reason}; its log is {worker.log}")
        if worker.number is not None:
            self._events.append(Lost(worker.number, worker.name, reason))
        self._workers[self._workers.index(worker)] = _Worker(worker.name, self._logs)
        self._hand_out()


@dataclass
class _Worker:
    """One process, the job it has (`number`), and the connection to it."""

    name: str
    logs: Path
    number: int | None = None
    submitted: float = 0.0
    came_up: bool = False  # whether it got as far as a first job
    connection: Connection = field(init=False)
    process: "subprocess.Popen[bytes]" = field(init=False)
    said: BinaryIO = field(init=False)  # what it prints before its first job, in a file without a name

    def __post_init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        with theirs:
            self.process = subprocess.Popen(
                # -P: the user's folder may hold a module by any name, and must not stand in for ours.
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.said,
                stderr=self.said,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the loop, which ends the worker tidily
            )
        self.connection = Connection(ours.detach())

    @property
    def log(self) -> Path:
        """Where the process writes whatever it prints."""
        return self.logs / f"{self.name}.log"

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a worker that is gone is found out when it is next read."""
        try:
            self.connection.send_bytes(json.dumps(message).encode())
        except OSError:
            return

    def end(self) -> None:
        """Kill the process and wait until it is gone."""
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.said.close()

    def last_words(self) -> str:
        """Return how the process ended, with the last line of its log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)  # it has closed the line: let it end by itself, for the true exit code
        self._keep_what_it_said()
        self.end()
        code = self.process.returncode
        how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL))
            lines = log.read().decode(errors="replace").splitlines()
        lines = [line.strip() for line in lines if line.strip() and not line.startswith(NOISE)]
        return f"the worker was {how}" + (f" ({lines[-1][:200]})" if code > 0 and lines else "")

    def _keep_what_it_said(self) -> None:
        """Move what was printed before the first job into the log, as the worker does itself when it gets that far."""
        self.said.seek(0)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(self.said.read())
