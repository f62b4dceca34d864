"""One worker process of the local executor: its job, its connection, its memory, its log."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from ...spaces.architecture import Candidate
from ...spaces.memory.limit import Memory
from ..system.backend import chosen_backend
from ..system.memory import own_memory
from ..system.processes import how_it_ended
from ..system.programs import Process, Starter
from ..values.job import Job
from .shares import Share
from .watch import Patience, Silence

POLL = 0.05  # seconds between two checks whether a process has its id


@dataclass(eq=False)
class LocalWorker:
    """A process, the connection to it, and the number of its job, if it has one."""

    name: str
    logs: Callable[[], Path]
    share: Share
    starter: Starter
    program: str
    number: int | None = None
    submitted: float = 0.0
    ready: bool = False  # whether it has ever started a job
    connection: Connection = field(init=False)
    process: Process = field(init=False)
    output: BinaryIO = field(init=False)  # what it prints before its first job: an unnamed file
    silence: Silence = field(default_factory=lambda: Silence(Patience()))
    baseline: int | None = None  # bytes that it held after its first job

    def __post_init__(self) -> None:
        # The user's own settings win.
        threads = {name: os.environ.get(name, count) for name, count in self.share.threads.items()}
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        try:
            self.connection, self.process = self.starter.start(
                self.program, self.output.fileno(), threads | self.share.environment
            )
        except BaseException:
            self.output.close()
            raise

    @property
    def log(self) -> Path:
        """The file that the output of the process goes to."""
        return self.logs() / f"{self.name}.log"

    def take(self, job: Job, submitted: float, patience: Patience) -> None:
        """Send it a job."""
        self.number, self.submitted, self.silence = job.number, submitted, Silence(patience)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.send(
            {
                "job": job.model_dump(mode="json"),
                "submitted": submitted,  # by a clock that all processes of the machine share
                "log": str(self.log.resolve()),
                "cores": self.share.cores,
                "memory": self.share.for_training,
            }
        )

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; if the worker is dead, the next read will show it."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(json.dumps(message).encode())

    def grown_by(self) -> int:
        """Return by how many bytes its memory has grown since its first job."""
        memory = self.memory()
        if self.baseline is None:
            self.baseline = memory
        return memory - self.baseline

    def is_too_full_for(self, candidate: Candidate) -> bool:
        """Whether it has kept so much of earlier jobs that a candidate fits only into the memory of a new worker."""
        if self.share.gpu_bytes is not None or not self.ready:
            return False
        memory = Memory(limit=self.share.memory, backend=chosen_backend()[0])
        kept = max(0, self.memory() - memory.process)
        return memory.holds(candidate) and memory.needed(candidate) + kept > memory.limit

    def memory(self) -> int:
        """Return the bytes of memory that it shares with no other process; 0 if it is dead."""
        try:
            return 0 if self.process.pid is None else own_memory(psutil.Process(self.process.pid))
        except psutil.NoSuchProcess:
            return 0

    def wait_for_pid(self) -> int:
        """Wait until the process has an id, and return it."""
        while self.process.poll() is None and self.process.pid is None:
            time.sleep(POLL)
        return self.process.pid or 0

    def failed_to_start(self) -> bool:
        """Whether it exited with an error before it started a job."""
        return not self.ready and (self.process.poll() or 0) > 0

    def end(self) -> None:
        """Kill the process and wait for its end."""
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.output.close()

    def exit_reason(self) -> str:
        """Return how the process ended, with the last line of its log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)  # its connection is closed: let it exit by itself, for the true exit code
        self._save_output()
        self.process.kill()
        code = self.process.wait()
        return f"the worker {how_it_ended(code, self.log)}"

    def _save_output(self) -> None:
        """Append what was printed before the first job to the log; a worker that starts a job does so itself."""
        self.output.seek(0)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(self.output.read())
