"""Worker processes on this machine: started first of all, used for trial after trial, replaced when they die.

Loop and worker exchange JSON over a socket pair. When the loop dies, the system kills the worker; when the worker dies,
misses its heartbeats or uses too much memory, the loop reports its job as lost and starts another worker.
"""

import contextlib
import json
import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...spaces.errors import WorkError
from ...spaces.memory.limit import Memory
from ..system.backend import chosen_backend
from ..system.fork_server import starter as system_starter
from ..system.machine import this_machine
from ..system.programs import Spawner, Starter
from ..values.job import EpochReport, Job, Outcome
from .local_worker import LocalWorker
from .protocol import Broken, Event, Lost, Returned, Started
from .shares import Share, shares
from .watch import Patience, Silence

CHECK_INTERVAL = 0.5  # seconds between two checks of memory and heartbeats
GROWTH = 2**30  # bytes by which a worker may grow after its first job before it is replaced
FAILED_STARTS = 3  # failed starts in a row, for each worker, after which no more are tried
PROGRAM = "convsearch.search.workers.process"
IMPORTED = ("convsearch.search.training.trial", PROGRAM)  # what workers are forked with


def starter_for(shared: Sequence[Share]) -> Starter:
    """Return the best starter for the workers of such shares."""
    return system_starter(IMPORTED, gpus=any(share.gpu is not None or share.device is not None for share in shared))


class LocalExecutor:
    """Runs jobs in one worker process for each share of the machine; their output goes to `logs/worker-N.log`.

    Nothing is written there before the first job, so that workers can warm up before it is certain that there will be a
    study.
    """

    def __init__(
        self,
        logs: Path | Callable[[], Path],
        shared: Sequence[Share] | None = None,
        patience: Patience | None = None,
        starter: Starter | None = None,
        program: str = PROGRAM,
        growth: int = GROWTH,
    ) -> None:
        """Start the workers.

        Args:
            logs: the folder of their logs, or a function that returns it and is first called for the first job.
            shared: the share of each worker; by default, one worker has the whole machine.
            patience: how long a worker may go without a heartbeat.
            starter: starts the workers, and stays open; by default, the executor has its own.
            program: the module that a worker runs.
            growth: bytes by which a worker may grow after its first job.
        """
        self._shares = list(shared or shares(this_machine(), 1))
        self.slots = len(self._shares)
        least = min(share.for_training for share in self._shares)
        self.memory: Memory | None = Memory(limit=least, backend=chosen_backend()[0])
        self._cores = sorted({core for share in self._shares for core in share.cores})
        self._patience = patience or Patience()
        self._queue: deque[tuple[Job, float]] = deque()
        self._events: deque[Event] = deque()
        self._selector = selectors.DefaultSelector()
        self._last_check = time.monotonic()
        self._failed_starts = 0
        self._logs: Callable[[], Path] = logs if callable(logs) else lambda: logs
        self._program, self._growth = program, growth
        self._own_starter = None if starter else starter_for(self._shares)
        self._starter = starter or self._own_starter or Spawner()
        self._workers: list[LocalWorker] = []
        try:
            for number, share in enumerate(self._shares):
                self._workers.append(self._begin(f"worker-{number}", share))
        except BaseException:  # Ctrl-C, too: leave none behind
            self.close()
            raise
        self._free = deque(self._workers)
        self._busy: dict[int, LocalWorker] = {}

    def submit(self, job: Job, alone: bool = False) -> None:
        """Run a job as soon as a worker is free; one that runs `alone` gets all cores and all memory."""
        if alone and self.slots > 1:
            self._give_all_to_next()
        self._queue.append((job, time.monotonic()))
        self._dispatch()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while not self._events:
            left = max(0.0, deadline - time.monotonic())
            ready = self._selector.select(min(left, CHECK_INTERVAL))
            for key, _ in ready:
                self._read(key.data)
            self._check_workers()
            if not ready and time.monotonic() >= deadline and not self._events:
                return None
        return self._events.popleft()

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to continue or to stop."""
        if worker := self._busy.get(number):
            worker.silence.answered()
            worker.send({"go_on": go_on})

    def interrupt(self, number: int) -> None:
        """Stop a job after its current batch."""
        if worker := self._busy.get(number):
            worker.send({"stop": True})

    def processes(self) -> list[int]:
        """Return the process ids of the workers."""
        return [worker.wait_for_pid() for worker in self._workers]

    def close(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.end()
        self._selector.close()
        if self._own_starter is not None:
            self._own_starter.close()

    def _begin(self, name: str, share: Share) -> LocalWorker:
        worker = LocalWorker(name, self._logs, share, self._starter, self._program)
        self._selector.register(worker.connection, selectors.EVENT_READ, worker)
        return worker

    def _dispatch(self) -> None:
        while self._queue and self._free:
            job, submitted = self._queue.popleft()
            if self._free[0].is_too_full_for(job.candidate):
                self._replace(self._free[0])
                self._free.rotate(1)
            worker = self._free.popleft()
            worker.take(job, submitted, self._patience)
            self._busy[job.number] = worker

    def _give_all_to_next(self) -> None:
        """Replace the next worker by one with the whole machine: its number of threads is fixed when it starts."""
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

    def _read(self, worker: LocalWorker) -> None:
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(worker, worker.exit_reason())
            return
        worker.silence.heard(waits="epoch" in message)
        if "started" in message:
            worker.silence = Silence(self._patience)  # tracing and compiling come next
            worker.ready, self._failed_starts = True, 0
            self._events.append(Started(message["started"], worker.name, time.monotonic() - worker.submitted))
        elif "epoch" in message:
            self._events.append(EpochReport.model_validate(message["epoch"]))
        elif "outcome" in message:
            self._events.append(Outcome.model_validate(message["outcome"]))
            self._done(worker)
        elif "broken" in message:
            self._events.append(Broken(message["broken"]))
            self._done(worker)
        elif "returned" in message:
            self._events.append(Returned(message["number"], worker.name, message["returned"]))
            self._done(worker)
        elif "lost" in message:
            self._lose(worker, message["lost"])

    def _done(self, worker: LocalWorker) -> None:
        del self._busy[worker.number]  # type: ignore[arg-type]
        worker.number = None
        if worker.grown_by() > self._growth:
            self._replace(worker)
        else:
            self._free.append(worker)
        self._dispatch()

    def _check_workers(self) -> None:
        """Kill workers that miss their heartbeats or use too much memory."""
        if time.monotonic() - self._last_check < CHECK_INTERVAL:
            return
        self._last_check = time.monotonic()
        for worker in list(self._busy.values()):
            if worker.silence.too_long:
                self._lose(worker, f"no heartbeat for {worker.silence.allowed:.0f} s; the worker was killed")
            elif worker.memory() > worker.share.memory:
                limit = worker.share.memory / 2**30
                self._lose(worker, f"it used more than its {limit:.1f} GB of memory; the worker was killed")

    def _lose(self, worker: LocalWorker, reason: str) -> None:
        """Report the job of a worker as lost, and replace the worker."""
        if worker.failed_to_start():  # the next one would fail, too
            raise WorkError(f"{worker.name} did not start: {reason}; its log is {worker.log}")
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS * self.slots:
                raise WorkError(f"no worker could be started: {reason}")
        if worker.number is not None:
            del self._busy[worker.number]
            self._events.append(Lost(worker.number, worker.name, reason))
        self._replace(worker)
        self._dispatch()

    def _replace(self, worker: LocalWorker) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.connection)
        if worker in self._free:
            self._free.remove(worker)
        worker.end()
        successor = self._begin(worker.name, worker.share)
        self._workers[self._workers.index(worker)] = successor
        self._free.append(successor)
