"""Workers on a Ray cluster: actors that stay, wherever the cluster has room for them.

The loop keeps one question open to each actor: what is there to tell? What cannot be placed waits. When a node or an
actor is lost, or silent for too long, its job is reported as lost and another actor is made.
"""

import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import ray

from ...spaces.errors import WorkError
from ..data.training import TrainingData
from ..system.files import write_bytes
from ..values.job import EpochReport, Job, Outcome
from ..workers.ray_actor import RayWorker
from .cluster import AUTO_ADDRESS, check_nodes, connect, free, head_address, nodes, takes_connections
from .cluster_shares import places
from .local import GROWTH, STILLBORN
from .protocol import Broken, Event, Lost, Started
from .shares import AUTO, GPU_MEMORY, Share
from .watch import Patience, Silence

LOOK = 0.5  # seconds between two looks at silence
ROOM = 600.0  # seconds without room for a single worker, after which nobody waits for it any more
LEAVING = 3.0  # seconds that actors have to clear up before they are killed
HEAD_GONE = 20.0  # seconds without it, after which it is taken for lost; Ray would end the process after 60


class RayExecutor:
    """Runs jobs in one actor for each place of a cluster; `note` is what to say of the places, if anything."""

    def __init__(
        self,
        address: str = AUTO_ADDRESS,
        workers: int | str = AUTO,
        per_gpu: int = 1,
        patience: Patience | None = None,
        room: float = ROOM,
    ) -> None:
        """Join the cluster and ask it for workers.

        Args:
            address: HOST:PORT of the cluster; `auto` is the one that RAY_ADDRESS names or this machine runs.
            workers: how many; see `cluster_shares.places`.
            per_gpu: so many workers share a GPU.
            patience: how long one may be silent.
            room: seconds for which room for a worker is waited for, where there is none any more.

        Raises:
            InputError: there is no such cluster, not so much room, or a node that has other versions installed.
        """
        connect(address)
        try:
            found = places(nodes(), *free(), workers, per_gpu)
            check_nodes(found.nodes)
        except BaseException:  # Ctrl-C too: nothing of us stays on the cluster
            ray.shutdown()
            raise
        self.slots, self.note = found.count, found.note
        self._head = head_address()
        self._patience, self.room = patience or Patience(), room
        self._roomless: float | None = None  # since when there has been no worker for what waits
        self._environment = _environment(found.cpus, found.gpus, per_gpu)
        self._kind = ray.remote(RayWorker).options(
            num_cpus=found.cpus,
            num_gpus=found.gpus,
            max_concurrency=4,  # one thread waits with messages, the others take what the loop has to say
            scheduling_strategy="SPREAD",
        )
        self._serials = count()
        self._queue: deque[tuple[Job, float]] = deque()
        self._events: deque[Event] = deque()
        self._data: dict[tuple[str, str], Any] = {}
        self._looked = time.monotonic()
        self._stillborn = 0
        self._closed = False
        self._calls: dict[Any, _Worker] = {}  # the question that is open to each
        self._given: dict[Any, _Worker] = {}  # the jobs that are on their way
        self._free: deque[_Worker] = deque()  # those that have come up and have no job
        self._busy: dict[int, _Worker] = {}
        self._workers = [self._begin(f"worker-{number}") for number in range(self.slots)]

    def submit(self, job: Job, alone: bool = False) -> None:
        """Run a job as soon as a worker is free; what a worker may use stays the same when it is alone."""
        self._queue.append((job, time.monotonic()))
        self._hand_out()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next thing that happened, or None after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while not self._events:
            self._listen(min(max(0.0, deadline - time.monotonic()), LOOK))
            self._give_up_the_silent()
            self._require_room()
            if not self._events and time.monotonic() >= deadline:
                return None
        return self._events.popleft()

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to go on or to end."""
        if worker := self._busy.get(number):
            worker.silence.answered()
            worker.actor.answer.remote(worker.serial, worker.epoch, go_on)

    def interrupt(self, number: int) -> None:
        """End a job within the batch it is at, or before it has begun."""
        if worker := self._busy.get(number):
            worker.actor.stop.remote(worker.serial)
        elif waiting := [entry for entry in self._queue if entry[0].number == number]:
            self._queue.remove(waiting[0])
            self._events.append(Outcome(number=number, ended="stopped"))

    def close(self) -> None:
        """End all workers at once and leave the cluster."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.ask_to_leave()
        leaving = [worker.leaving for worker in self._workers if worker.leaving is not None]
        with suppress(ray.exceptions.RayError):
            if leaving:
                ray.wait(leaving, num_returns=len(leaving), timeout=LEAVING)
        for worker in self._workers:
            ray.kill(worker.actor)
        ray.shutdown()

    def _begin(self, name: str) -> "_Worker":
        worker = _Worker(name, self._kind.remote(self._environment))
        self._calls[worker.actor.messages.remote()] = worker
        return worker

    def _hand_out(self) -> None:
        while self._queue and self._free:
            job, submitted = self._queue.popleft()
            try:
                data = self._data_of(job)
                kept = Path(job.checkpoint.file).read_bytes() if job.checkpoint and job.begin else None
            except OSError as error:
                self._events.append(_broken(error, job.data))
                continue
            worker = self._free.popleft()
            worker.job, worker.submitted, worker.serial = job, submitted, next(self._serials)
            worker.silence = Silence(self._patience)
            self._given[worker.actor.take.remote(worker.serial, job.model_dump(mode="json"), data, kept)] = worker
            self._busy[job.number] = worker

    def _data_of(self, job: Job) -> Any:
        """Return the reference of a job's data in the object store, from which every node takes one copy."""
        key = job.data, job.split
        if key not in self._data:
            data = TrainingData.load(Path(job.data), Path(job.split))
            self._data = {key: ray.put({each.name: _plain(getattr(data, each.name)) for each in fields(data)})}
        return self._data[key]

    def _listen(self, timeout: float) -> None:
        """Wait for the first that has something to tell, and hear all that have."""
        calls = [*self._calls, *self._given]
        ready, _ = ray.wait(calls, num_returns=1, timeout=timeout)
        if ready:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in ready:
            asked = call in self._calls
            worker = (self._calls if asked else self._given).pop(call)
            if worker not in self._workers:  # it was given up a moment ago
                continue
            try:
                messages: list[dict[str, Any]] | None = ray.get(call)
            except ray.exceptions.RayError as error:
                self._lose(worker, _how_it_died(worker, error))
                continue
            for message in messages or ():
                self._hear(worker, message)
            if asked and worker in self._workers:
                self._calls[worker.actor.messages.remote()] = worker

    def _hear(self, worker: "_Worker", message: dict[str, Any]) -> None:
        worker.silence.heard(waits="epoch" in message)
        if "ready" in message:
            worker.node = _name_of(message["ready"])
            self._stillborn = 0
            self._free.append(worker)
            self._hand_out()
        elif "cannot" in message:
            raise WorkError(f"{worker.name} did not start on node {_name_of(message['node'])}: {message['cannot']}")
        elif "started" in message:
            worker.silence = Silence(self._patience)  # what follows, the tracing, takes longest
            waited = time.monotonic() - worker.submitted
            self._events.append(Started(message["started"], f"{worker.name} on {worker.node}", waited))
        elif "epoch" in message:
            report = EpochReport.model_validate(message["epoch"])
            worker.epoch = report.epoch
            self._events.append(report)
        elif "outcome" in message:
            self._events.append(self._keep(worker, message))
            self._done(worker, message["holds"])
        elif "broken" in message:
            self._events.append(Broken(message["broken"]))
            self._done(worker, 0)
        elif "lost" in message:
            self._lose(worker, f"{message['lost']}, on node {worker.node}")

    def _keep(self, worker: "_Worker", message: dict[str, Any]) -> Event:
        """Write the weights and the state that came with an outcome; only then it is told."""
        job = worker.job
        assert job is not None, "an outcome is of a job"
        checkpoint = None if job.checkpoint is None else job.checkpoint.file
        for path, content in ((checkpoint, message["checkpoint"]), (job.weights, message["weights"])):
            if path is not None and content is not None:
                try:
                    write_bytes(Path(path), content, synced=False)
                except OSError as error:
                    return _broken(error, path)
        return Outcome.model_validate(message["outcome"])

    def _done(self, worker: "_Worker", holds: int) -> None:
        """Have a worker take the next job; another one, where it holds much more memory than at first."""
        assert worker.job is not None, "it has just done one"
        del self._busy[worker.job.number]
        worker.job = None
        worker.at_first = worker.at_first or holds
        if holds > worker.at_first + GROWTH:
            self._replace(worker)
        else:
            self._free.append(worker)
        self._hand_out()

    def _give_up_the_silent(self) -> None:
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        for worker in list(self._busy.values()):
            if worker.silence.too_long:
                heard = f"no heartbeat for {worker.silence.allowed:.0f} s"
                self._lose(worker, f"{heard}; the worker on node {worker.node} was killed")

    def _require_room(self) -> None:
        """Raise a WorkError where no node has had room for a worker for long: none may ever have again."""
        if not self._queue or self._free or self._busy:
            self._roomless = None
            return
        self._roomless = self._roomless or time.monotonic()
        if time.monotonic() - self._roomless > self.room:
            raise WorkError(
                f"no node of the Ray cluster has had room for a worker for {self.room:.0f} s; "
                "--resume goes on when one has"
            )

    def _wait_for_the_head(self) -> None:
        """Raise a WorkError when the cluster has lost its head: whatever is asked of it then never returns."""
        deadline = time.monotonic() + HEAD_GONE
        while not takes_connections(self._head):
            if time.monotonic() > deadline:
                self._closed = True  # nor does asking it to close
                raise WorkError(
                    f"the Ray cluster is gone: its head, {self._head}, has not answered for {HEAD_GONE:.0f} s; "
                    "--resume goes on when there is a cluster again"
                )
            time.sleep(LOOK)

    def _lose(self, worker: "_Worker", reason: str) -> None:
        """Note that a worker is gone, or is to go, with the job that it had."""
        self._wait_for_the_head()
        if worker.node is None:
            self._stillborn += 1
            if self._stillborn >= STILLBORN * self.slots:
                raise WorkError(f"no worker could be started on the cluster: {reason}")
        if worker.job is not None:
            del self._busy[worker.job.number]
            self._events.append(Lost(worker.job.number, worker.name, reason))
        self._replace(worker)
        self._hand_out()

    def _replace(self, worker: "_Worker") -> None:
        if worker in self._free:
            self._free.remove(worker)
        worker.ask_to_leave()
        ray.kill(worker.actor)
        self._workers[self._workers.index(worker)] = self._begin(worker.name)


@dataclass(eq=False)
class _Worker:
    """One actor, the node it is on when it has come up, and the job it has."""

    name: str
    actor: Any
    node: str | None = None
    job: Job | None = None
    serial: int = 0  # of the job
    epoch: int = 0  # that it has reported last
    submitted: float = 0.0
    silence: Silence = field(default_factory=lambda: Silence(Patience()))
    at_first: int = 0  # bytes that it held after its first job
    leaving: Any = None

    def ask_to_leave(self) -> None:
        """Have it clear up, where it is there to be asked."""
        if self.node is not None:
            self.leaving = self.actor.leave.remote()


def _environment(cpus: float, gpus: float, per_gpu: int) -> dict[str, str]:
    """Return the variables by which a worker trains as here, and takes no more than its place; Ray chooses the GPU."""
    threads = str(max(1, int(cpus)))
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    variables |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), threads)
    if "KERAS_BACKEND" in os.environ:
        variables["KERAS_BACKEND"] = os.environ["KERAS_BACKEND"]
    if gpus:
        parted = Share((), 0, gpu=0, gpu_memory=GPU_MEMORY / per_gpu).environment
        variables |= {name: value for name, value in parted.items() if not name.startswith("CUDA_")}
    return variables


def _plain(value: Any) -> Any:
    """Return an array that is mapped from a file as a plain one, which the object store takes as it is."""
    return np.asarray(value) if isinstance(value, np.ndarray) else value


def _name_of(node_id: str) -> str:
    return next((node.name for node in nodes() if node.id == node_id), node_id)


def _how_it_died(worker: _Worker, error: Exception) -> str:
    """Say in plain words what Ray says of an actor that is gone."""
    where = f"node {worker.node}" if worker.node else "the cluster"
    said = " ".join(str(error).split())
    if isinstance(error, ray.exceptions.ActorUnavailableError) or "its node has died" in said:
        return f"{where} was lost: it cannot be reached any more"
    if "memory pressure" in said or "low on memory" in said:
        return f"{where} had no memory left; the worker was killed"
    if isinstance(error, ray.exceptions.RayTaskError):
        return f"the worker on {where} could not go on: {said[-200:]}"
    return f"the worker on {where} died"


def _broken(error: OSError, path: str) -> Broken:
    return Broken(f"{path}: {os.strerror(error.errno) if error.errno else error}")
