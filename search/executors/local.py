"""Worker processes on this machine: started first of all, used for trial after trial, replaced when they die.

Loop and worker talk JSON over a socket pair. When the loop dies the worker is ended by the system; when the worker
dies, is silent for too long or holds too much memory, the loop reports its job as lost and starts another worker.
"""

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from ...spaces.errors import WorkError
from ..system.fork_server import starter as system_starter
from ..system.machine import this_machine
from ..system.memory import own_memory
from ..system.processes import how_it_ended
from ..system.programs import Process, Spawner, Starter
from ..values.job import EpochReport, Job, Outcome
from .protocol import Broken, Event, Lost, Started
from .shares import Share, shares
from .watch import Patience, Silence

LOOK = 0.5  # seconds between two looks at memory and silence
GROWTH = 2**30  # bytes that a worker may hold more than after its first job, before another one takes its place
STILLBORN = 3  # so many workers in a row that die before they come up are no accident
PROGRAM = "convsearch.search.workers.process"
IMPORTED = ("convsearch.search.training.trial", PROGRAM)  # what workers are forked with


def starter_for(shared: Sequence[Share]) -> Starter:
    """Return what starts the workers of such shares best."""
    return system_starter(IMPORTED, gpus=any(share.gpu is not None or share.device is not None for share in shared))


class LocalExecutor:
    """Runs jobs in one worker process for each share of the machine; their output goes to `logs/worker-N.log`.

    Nothing is written there before the first job, so that workers can warm up while it is not even clear whether there
    will be a study.
    """

    def __init__(
        self,
        logs: Path,
        shared: Sequence[Share] | None = None,
        patience: Patience | None = None,
        starter: Starter | None = None,
        program: str = PROGRAM,
        growth: int = GROWTH,
    ) -> None:
        """Start the workers.

        Args:
            logs: the folder of their logs.
            shared: what each of them may use; one worker with the whole machine, where nothing is said.
            patience: how long one may be silent.
            starter: what starts them, and stays open; one of the executor's own, where none is given.
            program: the module that a worker runs.
            growth: bytes that a worker may hold more than after its first job.
        """
        self._shares = list(shared or shares(this_machine(), 1))
        self.slots = len(self._shares)
        self._cores = sorted({core for share in self._shares for core in share.cores})
        self._patience = patience or Patience()
        self._queue: deque[tuple[Job, float]] = deque()
        self._events: deque[Event] = deque()
        self._selector = selectors.DefaultSelector()
        self._looked = time.monotonic()
        self._stillborn = 0
        self._logs, self._program, self._growth = logs, program, growth
        self._own = None if starter else starter_for(self._shares)
        self._starter = starter or self._own or Spawner()
        self._workers = [self._begin(f"worker-{number}", share) for number, share in enumerate(self._shares)]
        self._free = deque(self._workers)
        self._busy: dict[int, _Worker] = {}

    def submit(self, job: Job, alone: bool = False) -> None:
        """Run a job as soon as a worker is free; one that is `alone` has all cores and all memory."""
        if alone and self.slots > 1:
            self._widen()
        self._queue.append((job, time.monotonic()))
        self._hand_out()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next thing that happened, or None after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while not self._events:
            left = max(0.0, deadline - time.monotonic())
            ready = self._selector.select(min(left, LOOK))
            for key, _ in ready:
                self._read(key.data)
            self._look_after_them()
            if not ready and time.monotonic() >= deadline and not self._events:
                return None
        return self._events.popleft()

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to go on or to end."""
        if worker := self._busy.get(number):
            worker.silence.answered()
            worker.send({"go_on": go_on})

    def interrupt(self, number: int) -> None:
        """End a job within the batch it is at."""
        if worker := self._busy.get(number):
            worker.send({"stop": True})

    def processes(self) -> list[int]:
        """Return the process ids of the workers."""
        return [worker.wait_for_pid() for worker in self._workers]

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.end()
        self._selector.close()
        if self._own is not None:
            self._own.close()

    def _begin(self, name: str, share: Share) -> "_Worker":
        worker = _Worker(name, self._logs, share, self._starter, self._program)
        self._selector.register(worker.connection, selectors.EVENT_READ, worker)
        return worker

    def _hand_out(self) -> None:
        while self._queue and self._free:
            worker = self._free.popleft()
            job, submitted = self._queue.popleft()
            worker.take(job, submitted, self._patience)
            self._busy[job.number] = worker

    def _widen(self) -> None:
        """Put a worker that has everything in the place of the next one: threads are counted when it begins."""
        whole = [worker for worker in self._free if set(worker.share.cores) == set(self._cores)]
        if whole:
            self._free.remove(whole[0])
            self._free.appendleft(whole[0])
            return
        worker = self._free[0]
        memory = sum(share.memory for share in self._shares)
        worker.share = replace(worker.share, cores=tuple(self._cores), memory=memory)
        self._replace(worker)
        self._free.rotate(1)

    def _read(self, worker: "_Worker") -> None:
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(worker, worker.last_words())
            return
        worker.silence.heard(waits="epoch" in message)
        if "started" in message:
            worker.silence = Silence(self._patience)  # what follows is traced and compiled first
            worker.came_up, self._stillborn = True, 0
            self._events.append(Started(message["started"], worker.name, time.monotonic() - worker.submitted))
        elif "epoch" in message:
            self._events.append(EpochReport.model_validate(message["epoch"]))
        elif "outcome" in message:
            self._events.append(Outcome.model_validate(message["outcome"]))
            self._done(worker)
        elif "broken" in message:
            self._events.append(Broken(message["broken"]))
            self._done(worker)
        elif "lost" in message:
            self._lose(worker, message["lost"])

    def _done(self, worker: "_Worker") -> None:
        del self._busy[worker.number]  # type: ignore[arg-type]
        worker.number = None
        if worker.grown_by() > self._growth:
            self._replace(worker)
        else:
            self._free.append(worker)
        self._hand_out()

    def _look_after_them(self) -> None:
        """Give up workers that are silent or hold too much memory."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        for worker in list(self._busy.values()):
            if worker.silence.too_long:
                self._lose(worker, f"no heartbeat for {worker.silence.allowed:.0f} s; the worker was killed")
            elif worker.memory() > worker.share.memory:
                limit = worker.share.memory / 2**30
                self._lose(worker, f"it used more than its {limit:.1f} GB of memory; the worker was killed")

    def _lose(self, worker: "_Worker", reason: str) -> None:
        """Note that a worker is gone, or is to go, with the job that it had."""
        if worker.ended_by_itself():
            # Before it did anything, and the next one would too.
            raise WorkError(f"{worker.name} did not start: {reason}; its log is {worker.log}")
        if not worker.came_up:
            self._stillborn += 1
            if self._stillborn >= STILLBORN * self.slots:
                raise WorkError(f"no worker could be started: {reason}")
        if worker.number is not None:
            del self._busy[worker.number]
            self._events.append(Lost(worker.number, worker.name, reason))
        self._replace(worker)
        self._hand_out()

    def _replace(self, worker: "_Worker") -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.connection)
        if worker in self._free:
            self._free.remove(worker)
        worker.end()
        successor = self._begin(worker.name, worker.share)
        self._workers[self._workers.index(worker)] = successor
        self._free.append(successor)


@dataclass(eq=False)
class _Worker:
    """One process, the job it has (`number`), and the connection to it."""

    name: str
    logs: Path
    share: Share
    starter: Starter
    program: str
    number: int | None = None
    submitted: float = 0.0
    came_up: bool = False  # whether it got as far as a first job
    connection: Connection = field(init=False)
    process: Process = field(init=False)
    said: BinaryIO = field(init=False)  # what it prints before its first job, in a file without a name
    silence: Silence = field(default_factory=lambda: Silence(Patience()))
    at_first: int | None = None  # bytes that it held after its first job

    def __post_init__(self) -> None:
        threads = {name: os.environ.get(name, count) for name, count in self.share.threads.items()}  # the user's count
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        self.connection, self.process = self.starter.start(
            self.program, self.said.fileno(), threads | self.share.environment
        )

    @property
    def log(self) -> Path:
        """Where the process writes whatever it prints."""
        return self.logs / f"{self.name}.log"

    def take(self, job: Job, submitted: float, patience: Patience) -> None:
        """Give it a job."""
        self.number, self.submitted, self.silence = job.number, submitted, Silence(patience)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.send(
            {
                "job": job.model_dump(mode="json"),
                "submitted": submitted,  # by a clock that all processes of a machine share
                "log": str(self.log.resolve()),
                "cores": self.share.cores,
            }
        )

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; a worker that is gone is found out when it is next read."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(json.dumps(message).encode())

    def grown_by(self) -> int:
        """Return how many bytes more it holds than after its first job."""
        holds = self.memory()
        if self.at_first is None:
            self.at_first = holds
        return holds - self.at_first

    def memory(self) -> int:
        """Return the bytes that it holds, as far as they are its own; 0 where it is not there."""
        try:
            return 0 if self.process.pid is None else own_memory(psutil.Process(self.process.pid))
        except psutil.NoSuchProcess:
            return 0

    def wait_for_pid(self) -> int:
        """Return its process id, when it has one."""
        while self.process.poll() is None and self.process.pid is None:
            time.sleep(LOOK / 10)
        return self.process.pid or 0

    def ended_by_itself(self) -> bool:
        """Whether it ended with an error, before it did anything."""
        return not self.came_up and (self.process.poll() or 0) > 0

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
        self.process.kill()
        code = self.process.wait()
        return f"the worker {how_it_ended(code, self.log)}"

    def _keep_what_it_said(self) -> None:
        """Move what was printed before the first job into the log, as the worker does itself when it gets that far."""
        self.said.seek(0)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(self.said.read())
