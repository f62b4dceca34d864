"""Workers on a Ray cluster: long-lived actors, wherever the cluster has room for them.

The loop keeps one call open to each actor, which returns its messages. Actors that cannot be placed yet wait. When a
node or an actor is lost, or misses its heartbeats, its job is reported as lost and another actor is created.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import ray

from ...spaces.errors import WorkError
from ...spaces.memory.limit import Memory
from ..data import Dataset, Split
from ..data.training import TrainingData
from ..images.resizing import at_size
from ..system.backend import chosen_backend
from ..system.files import write_bytes
from ..values.job import EpochReport, Job, Outcome
from ..workers.ray_actor import RayWorker
from .cluster import AUTO_ADDRESS, check_nodes, connect, free, head_address, nodes, takes_connections
from .cluster_shares import places
from .local import FAILED_STARTS, GROWTH
from .protocol import Broken, Event, Lost, Returned, Started
from .shares import AUTO, GPU_MEMORY, Share
from .watch import Patience, Silence

CHECK_INTERVAL = 0.5  # seconds between two checks of heartbeats
ROOM_TIMEOUT = 600.0  # seconds without room for a single worker, after which the executor gives up
LEAVE_TIMEOUT = 3.0  # seconds that actors have to clean up before they are killed
HEAD_TIMEOUT = 20.0  # seconds without the head node, after which it counts as lost; Ray ends the process after 60


class RayExecutor:
    """Runs jobs in one actor for each place of a cluster; `note` is a remark on the places for the user, if any."""

    def __init__(
        self,
        address: str = AUTO_ADDRESS,
        workers: int | str = AUTO,
        per_gpu: int = 1,
        patience: Patience | None = None,
        room_timeout: float = ROOM_TIMEOUT,
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Join the cluster and request workers.

        Args:
            address: HOST:PORT of the cluster; `auto` is the one that RAY_ADDRESS names or this machine runs.
            workers: how many; see `cluster_shares.places`.
            per_gpu: the number of workers that share a GPU.
            patience: how long a worker may go without a heartbeat.
            room_timeout: seconds to wait for room for a worker when there is none any more.
            most: the bytes of memory that a training may take at most.
            clock: returns seconds; by it a job's own seconds pass while it waits for a worker.

        Raises:
            InputError: there is no such cluster, it is too small, or a node has other versions installed.
        """
        connect(address)
        try:
            found = places(nodes(), *free(), workers, per_gpu)
            check_nodes(found.nodes)
        except BaseException:  # Ctrl-C, too: leave nothing on the cluster
            ray.shutdown()
            raise
        self.slots, self.note = found.count, found.note
        known = [limit for limit in (found.memory, most) if limit is not None]
        self.memory = Memory(limit=min(known), backend=chosen_backend()[0]) if known else None
        self._head = head_address()
        self._patience, self.room_timeout = patience or Patience(), room_timeout
        self._clock = clock
        self._no_room_since: float | None = None  # since when jobs have been waiting without a single worker
        self._environment = _environment(found.cpus, found.gpus, per_gpu)
        self._actor_class = ray.remote(RayWorker).options(
            num_cpus=found.cpus,
            num_gpus=found.gpus,
            max_concurrency=4,  # one thread waits for messages, the others serve the loop's calls
            scheduling_strategy="SPREAD",
        )
        self._serials = count()
        self._queue: deque[tuple[Job, float]] = deque()
        self._events: deque[Event] = deque()
        self._data: dict[tuple[str, str, tuple[int, int]], Any] = {}
        self._last_check = time.monotonic()
        self._failed_starts = 0
        self._closed = False
        self._polls: dict[Any, _Worker] = {}  # open calls that wait for messages, one for each worker
        self._submissions: dict[Any, _Worker] = {}  # open calls that hand over a job
        self._free: deque[_Worker] = deque()  # workers that are ready and have no job
        self._busy: dict[int, _Worker] = {}
        self._workers = [self._begin(f"worker-{number}") for number in range(self.slots)]

    def submit(self, job: Job, alone: bool = False) -> None:
        """Run a job as soon as a worker is free; a worker's share stays the same if it runs `alone`."""
        self._queue.append((job, self._clock()))
        self._dispatch()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while not self._events:
            self._listen(min(max(0.0, deadline - time.monotonic()), CHECK_INTERVAL))
            self._check_heartbeats()
            self._require_room()
            if not self._events and time.monotonic() >= deadline:
                return None
        return self._events.popleft()

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to continue or to stop."""
        if worker := self._busy.get(number):
            worker.silence.answered()
            worker.actor.answer.remote(worker.serial, worker.epoch, go_on)

    def interrupt(self, number: int) -> None:
        """Stop a job after its current batch, or before it has started."""
        if worker := self._busy.get(number):
            worker.actor.stop.remote(worker.serial)
        elif waiting := [entry for entry in self._queue if entry[0].number == number]:
            self._queue.remove(waiting[0])
            self._events.append(Outcome(number=number, ended="stopped"))

    def close(self) -> None:
        """Kill all workers and leave the cluster."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.request_leave()
        leaving = [worker.leaving for worker in self._workers if worker.leaving is not None]
        with suppress(ray.exceptions.RayError):
            if leaving:
                ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_TIMEOUT)
        for worker in self._workers:
            ray.kill(worker.actor)
        ray.shutdown()

    def _begin(self, name: str) -> "_Worker":
        worker = _Worker(name, self._actor_class.remote(self._environment, self.memory and self.memory.model_dump()))
        self._polls[worker.actor.messages.remote()] = worker
        return worker

    def _dispatch(self) -> None:
        while self._queue and self._free:
            job, submitted = self._queue.popleft()
            try:
                data = self._data_of(job)
                checkpoint = Path(job.checkpoint.file).read_bytes() if job.checkpoint and job.begin else None
            except WorkError as error:  # no room for the images at its size
                self._events.append(Broken(str(error)))
                continue
            except OSError as error:
                self._events.append(_broken(error, job.data))
                continue
            worker = self._free.popleft()
            worker.job, worker.submitted, worker.serial = job, submitted, next(self._serials)
            worker.silence = Silence(self._patience)
            left = job.within(self._clock() - submitted)  # its seconds count from its submission
            call = worker.actor.take.remote(worker.serial, left.model_dump(mode="json"), data, checkpoint)
            self._submissions[call] = worker
            self._busy[job.number] = worker

    def _data_of(self, job: Job) -> Any:
        """Return a reference to a job's data in the object store, of which every node gets one copy."""
        key = job.data, job.split, job.size
        if key not in self._data:
            data = TrainingData.of(at_size(Dataset.load(Path(job.data)), job.size), Split.load(Path(job.split)))
            # Of other images nothing is needed any more.
            self._data = {other: kept for other, kept in self._data.items() if other[:2] == key[:2]}
            self._data |= {key: ray.put({each.name: _plain(getattr(data, each.name)) for each in fields(data)})}
        return self._data[key]

    def _listen(self, timeout: float) -> None:
        """Wait until a call returns, and handle all that have."""
        calls = [*self._polls, *self._submissions]
        ready, _ = ray.wait(calls, num_returns=1, timeout=timeout)
        if ready:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in ready:
            is_poll = call in self._polls
            worker = (self._polls if is_poll else self._submissions).pop(call)
            if worker not in self._workers:  # it has just been replaced
                continue
            try:
                messages: list[dict[str, Any]] | None = ray.get(call)
            except ray.exceptions.RayError as error:
                self._lose(worker, _loss_reason(worker, error))
                continue
            for message in messages or ():
                self._receive(worker, message)
            if is_poll and worker in self._workers:
                self._polls[worker.actor.messages.remote()] = worker

    def _receive(self, worker: "_Worker", message: dict[str, Any]) -> None:
        worker.silence.heard(waits="epoch" in message)
        if "ready" in message:
            worker.node = _name_of(message["ready"])
            self._failed_starts = 0
            self._free.append(worker)
            self._dispatch()
        elif "cannot" in message:
            raise WorkError(f"{worker.name} did not start on node {_name_of(message['node'])}: {message['cannot']}")
        elif "started" in message:
            worker.silence = Silence(self._patience)  # tracing and compiling come next
            waited = self._clock() - worker.submitted
            self._events.append(Started(message["started"], f"{worker.name} on {worker.node}", waited))
        elif "epoch" in message:
            report = EpochReport.model_validate(message["epoch"])
            worker.epoch = report.epoch
            self._events.append(report)
        elif "outcome" in message:
            self._events.append(self._save_files(worker, message))
            self._done(worker, message["holds"])
        elif "broken" in message:
            self._events.append(Broken(message["broken"]))
            self._done(worker, 0)
        elif "returned" in message:
            number, where = message["number"], f"{worker.name} on {worker.node}"
            self._events.append(Returned(number, where, message["returned"]))
            self._done(worker, 0)
        elif "lost" in message:
            self._lose(worker, f"{message['lost']}, on node {worker.node}")

    def _save_files(self, worker: "_Worker", message: dict[str, Any]) -> Event:
        """Write the weights and the checkpoint that came with an outcome, and return the outcome, or that it failed."""
        job = worker.job
        assert job is not None, "only a job has an outcome"
        checkpoint = None if job.checkpoint is None else job.checkpoint.file
        for path, content in ((checkpoint, message["checkpoint"]), (job.weights, message["weights"])):
            if path is not None and content is not None:
                try:
                    write_bytes(Path(path), content, synced=False)
                except OSError as error:
                    return _broken(error, path)
        return Outcome.model_validate(message["outcome"])

    def _done(self, worker: "_Worker", memory: int) -> None:
        """Free a worker for the next job, or replace it if its memory has grown too much."""
        assert worker.job is not None, "it has just finished one"
        del self._busy[worker.job.number]
        worker.job = None
        worker.baseline = worker.baseline or memory
        if memory > worker.baseline + GROWTH:
            self._replace(worker)
        else:
            self._free.append(worker)
        self._dispatch()

    def _check_heartbeats(self) -> None:
        if time.monotonic() - self._last_check < CHECK_INTERVAL:
            return
        self._last_check = time.monotonic()
        for worker in list(self._busy.values()):
            if worker.silence.too_long:
                missed = f"no heartbeat for {worker.silence.allowed:.0f} s"
                self._lose(worker, f"{missed}; the worker on node {worker.node} was killed")

    def _require_room(self) -> None:
        """Raise a WorkError if no node has had room for a worker for a long time, or the head is gone."""
        if not self._queue or self._free or self._busy:
            self._no_room_since = None
            return
        self._require_head()
        self._no_room_since = self._no_room_since or time.monotonic()
        if time.monotonic() - self._no_room_since > self.room_timeout:
            raise WorkError(
                f"no node of the Ray cluster has had room for a worker for {self.room_timeout:.0f} s; "
                "--resume continues when one has"
            )

    def _require_head(self) -> None:
        """Raise a WorkError if the cluster has lost its head node: no call to it would ever return."""
        deadline = time.monotonic() + HEAD_TIMEOUT
        while not takes_connections(self._head):
            if time.monotonic() > deadline:
                self._closed = True  # closing would not return either
                raise WorkError(
                    f"the Ray cluster is gone: its head, {self._head}, has not answered for {HEAD_TIMEOUT:.0f} s; "
                    "--resume continues when there is a cluster again"
                )
            time.sleep(CHECK_INTERVAL)

    def _lose(self, worker: "_Worker", reason: str) -> None:
        """Report the job of a worker as lost, and replace the worker."""
        self._require_head()
        if worker.node is None:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS * self.slots:
                raise WorkError(f"no worker could be started on the cluster: {reason}")
        if worker.job is not None:
            del self._busy[worker.job.number]
            self._events.append(Lost(worker.job.number, worker.name, reason))
        self._replace(worker)
        self._dispatch()

    def _replace(self, worker: "_Worker") -> None:
        if worker in self._free:
            self._free.remove(worker)
        worker.request_leave()
        ray.kill(worker.actor)
        self._workers[self._workers.index(worker)] = self._begin(worker.name)


@dataclass(eq=False)
class _Worker:
    """An actor, the node it runs on once it is ready, and its job, if it has one."""

    name: str
    actor: Any
    node: str | None = None
    job: Job | None = None
    serial: int = 0  # of the job
    epoch: int = 0  # the last one reported
    submitted: float = 0.0
    silence: Silence = field(default_factory=lambda: Silence(Patience()))
    baseline: int = 0  # bytes that it held after its first job
    leaving: Any = None

    def request_leave(self) -> None:
        """Ask it to clean up its node, if it is ready."""
        if self.node is not None:
            self.leaving = self.actor.leave.remote()


def _environment(cpus: float, gpus: float, per_gpu: int) -> dict[str, str]:
    """Return the environment of a worker: it trains as here, and keeps to its share; Ray chooses the GPU."""
    threads = str(max(1, int(cpus)))
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    variables |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), threads)
    variables["KERAS_BACKEND"] = chosen_backend()[0]  # which a file of this user may have chosen
    if gpus:
        share = Share((), 0, gpu=0, gpu_memory=GPU_MEMORY / per_gpu).environment
        variables |= {name: value for name, value in share.items() if not name.startswith("CUDA_")}
    return variables


def _plain(value: Any) -> Any:
    """Return a memory-mapped array as a plain one, which the object store takes as it is."""
    return np.asarray(value) if isinstance(value, np.ndarray) else value


def _name_of(node_id: str) -> str:
    return next((node.name for node in nodes() if node.id == node_id), node_id)


def _loss_reason(worker: _Worker, error: Exception) -> str:
    """Return in plain words why Ray lost an actor."""
    where = f"node {worker.node}" if worker.node else "the cluster"
    text = " ".join(str(error).split())
    if isinstance(error, ray.exceptions.ActorUnavailableError) or "its node has died" in text:
        return f"{where} was lost: it can no longer be reached"
    if "memory pressure" in text or "low on memory" in text:
        return f"{where} ran out of memory; the worker was killed"
    if isinstance(error, ray.exceptions.RayTaskError):
        return f"the worker on {where} failed: {text[-200:]}"
    return f"the worker on {where} died"


def _broken(error: OSError, path: str) -> Broken:
    return Broken(f"{path}: {os.strerror(error.errno) if error.errno else error}")
