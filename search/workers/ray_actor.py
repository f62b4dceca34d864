"""A worker of a Ray cluster: a long-lived actor that imports Keras once and trains job after job.

The loop polls `messages` and calls the other methods, which return at once; training runs in a thread of its own. The
images come from the node's object store, and weights and checkpoints are sent as bytes: nothing of a study stays on the
node. Ray itself is imported in functions only, so that this module can be imported without it.
"""

import os
import shutil
import socket
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

from ...spaces.memory.limit import Memory
from ..data.training import TrainingData
from ..system.backend import import_keras
from ..system.memory import own_memory
from ..system.processes import first_line
from ..system.scratch import scratch
from ..values.job import EpochReport, Job

HEARTBEAT = 2.0  # seconds between two heartbeats
Arrays = dict[str, Any]
"""The fields of a TrainingData, as the object store holds them."""


@dataclass(frozen=True)
class _Assignment:
    """A job with its data and checkpoint, and a serial number that tells its answers from those of other jobs."""

    serial: int
    job: Job
    data: TrainingData
    checkpoint: bytes | None


class RayWorker:
    """One worker. Each of its messages is a dictionary; its first key is the type of the message."""

    def __init__(self, environment: dict[str, str], memory: dict[str, Any] | None = None) -> None:
        """Begin with what it adds to its environment, and the fields of its Memory, if that is known."""
        os.environ.update(environment)
        self._memory = None if memory is None else Memory.model_validate(memory)
        self._assignments: SimpleQueue[_Assignment] = SimpleQueue()
        self._messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, int, bool]] = SimpleQueue()
        self._stopped: set[int] = set()  # serials; a call to stop may come before the job starts, or after its end
        self._sent_at = time.monotonic()
        self._folder: Path | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def messages(self) -> list[dict[str, Any]]:
        """Wait for a message, and return all that there are."""
        found = [self._messages.get()]
        while not self._messages.empty():
            found.append(self._messages.get())
        return found

    def take(self, serial: int, job: dict[str, Any], data: Arrays, checkpoint: bytes | None) -> None:
        """Train a job as soon as the previous one has ended.

        The loop passes a reference to the data, which Ray resolves on the node before the call. When the training
        thread fetched the data itself, next to other calls, it sometimes waited forever.
        """
        self._assignments.put(_Assignment(serial, Job.model_validate(job), TrainingData(**data), checkpoint))

    def answer(self, serial: int, epoch: int, go_on: bool) -> None:
        """Answer the report of an epoch."""
        self._answers.put((serial, epoch, go_on))

    def stop(self, serial: int) -> None:
        """Stop a job after its current batch."""
        self._stopped.add(serial)
        self._answers.put((serial, 0, False))  # wakes it if it waits for an answer

    def leave(self) -> None:
        """Delete the files on the node: the actor is about to be killed."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, **message: Any) -> None:
        self._messages.put(message)
        self._sent_at = time.monotonic()

    def _serve(self) -> None:
        import ray

        node = ray.get_runtime_context().get_node_id()
        try:
            import_keras()  # takes seconds
            from ..training.trial import train  # noqa: F401 - warms up the imports of every job
        except BaseException as error:  # whatever it is: the loop waits for a message from this thread
            traceback.print_exc()  # into Ray's log of this worker
            self._send(cannot=first_line(error), node=node)
            return
        self._send(ready=node)
        while True:
            self._train(self._assignments.get())

    def _train(self, assignment: _Assignment) -> None:
        from ..training.trial import DeviceFullError, train

        def report(epoch: EpochReport) -> bool:
            self._send(epoch=epoch.model_dump())
            while assignment.serial not in self._stopped:
                serial, number, go_on = self._answers.get()
                if (serial, number) == (assignment.serial, epoch.epoch):
                    return go_on
            return False

        def stop_now() -> bool:
            if time.monotonic() - self._sent_at > HEARTBEAT:
                self._send(alive=True)
            return assignment.serial in self._stopped

        job = assignment.job
        if self._memory is not None and (reason := self._memory.excess(job.candidate)) is not None:
            self._send(returned=reason, number=job.number)
            return
        self._send(started=job.number)
        try:
            with scratch() as self._folder:
                weights, checkpoint = self._folder / "job.weights.h5", self._folder / "job.state.npz"
                here: dict[str, Any] = {"weights": str(weights)}
                if assignment.job.checkpoint is not None:
                    here["checkpoint"] = assignment.job.checkpoint.model_copy(update={"file": str(checkpoint)})
                if assignment.checkpoint is not None:
                    checkpoint.write_bytes(assignment.checkpoint)
                outcome = train(assignment.job.model_copy(update=here), report, stop_now, assignment.data)
                files = {"weights": _content(weights), "checkpoint": _content(checkpoint) if outcome.epochs else None}
        except DeviceFullError as error:
            self._send(lost=str(error))
        except OSError as error:  # writing to the node's disk: not the candidate's fault
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._send(broken=f"node {socket.gethostname()}: {error.filename or self._folder}: {reason}")
        except Exception as error:  # as if the process had died: the trial is run again
            traceback.print_exc()  # into Ray's log of this worker
            self._send(lost=first_line(error))
        else:
            self._send(outcome=outcome.model_dump(mode="json"), **files, holds=own_memory(psutil.Process()))
        self._stopped.discard(assignment.serial)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
