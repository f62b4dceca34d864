"""The program of a worker process (`system/programs.py` starts it).

Reads jobs as JSON from its connection, trains them, sends reports and outcomes back. Ends when the loop does.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...spaces.errors import WorkError
from ...spaces.memory.limit import Memory
from ..data import Dataset, Split
from ..data.training import TrainingData
from ..images.resizing import at_size
from ..system.backend import chosen_backend, import_keras
from ..values.job import EpochReport, Job

HEARTBEAT = 1.0  # seconds between two heartbeats


class Line:
    """The worker's end of the connection to the loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stopped = False
        self._sent = time.monotonic()

    def send(self, **message: Any) -> None:
        """Send a message."""
        self._connection.send_bytes(json.dumps(message).encode())
        self._sent = time.monotonic()

    def read(self) -> dict[str, Any]:
        """Wait for a message and return it."""
        message: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return message

    def begin(self, number: int) -> None:
        """Report that a job has started."""
        self._stopped = False
        self.send(started=number)

    def report(self, epoch: EpochReport) -> bool:
        """Send an epoch's report, wait for the answer and return whether to continue."""
        self.send(epoch=epoch.model_dump())
        answer = self.read()
        self._stopped |= bool(answer.get("stop"))
        return bool(answer.get("go_on", False))

    def stop_now(self) -> bool:
        """Whether the loop has sent a stop; also sends a heartbeat when one is due."""
        if time.monotonic() - self._sent > HEARTBEAT:
            self.send(alive=True)
        while not self._stopped and self._connection.poll():
            self._stopped = bool(self.read().get("stop"))
        return self._stopped


def _write_to(log: str) -> None:
    """Redirect the output of this process to a file, and move there what it has printed so far."""
    out, error = sys.stdout.fileno(), sys.stderr.fileno()
    with Path(log).open("ab", buffering=0) as file:
        file.write(os.pread(out, os.fstat(out).st_size, 0))
        os.ftruncate(out, 0)
        for descriptor in (out, error):
            os.dup2(file.fileno(), descriptor)


def _pin_to(cores: Sequence[int]) -> None:
    """Pin all threads of this process to these cores, where the system supports it (Linux)."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except OSError:  # the thread has just ended
            continue


def main(connection: Connection) -> None:
    """Train jobs until the other end is closed."""
    line = Line(connection)
    import_keras()  # takes seconds, unless the process was forked from one that has imported it
    from ..training.trial import DeviceFullError, train

    log_is_open = False
    try:
        while True:
            message = line.read()
            if "job" not in message:
                continue  # a late answer for a job that has ended
            # Its seconds count from its submission: this process may have started later.
            job = Job.model_validate(message["job"]).within(time.monotonic() - message["submitted"])
            memory = Memory(limit=message["memory"], backend=chosen_backend()[0])
            if (reason := memory.excess(job.candidate)) is not None:
                line.send(returned=reason, number=job.number)
                continue
            _pin_to(message["cores"])
            line.begin(job.number)
            try:
                if not log_is_open:
                    _write_to(message["log"])
                    log_is_open = True
                data = TrainingData.of(at_size(Dataset.load(Path(job.data)), job.size), Split.load(Path(job.split)))
                outcome = train(job, line.report, line.stop_now, data)
            except DeviceFullError as error:
                line.send(lost=str(error))
                continue
            except WorkError as error:  # no room for the images at its size
                line.send(broken=str(error))
                continue
            except OSError as error:  # reading the data, writing weights or log: not the candidate's fault
                reason = os.strerror(error.errno) if error.errno else str(error)
                line.send(broken=f"{error.filename or job.weights}: {reason}")
                continue
            line.send(outcome=outcome.model_dump(mode="json"))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
