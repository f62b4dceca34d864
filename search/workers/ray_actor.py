"""A worker of a Ray cluster: an actor that stays, imports Keras once, and trains job after job.

The loop asks for its messages and calls its other methods, which return at once; a thread of its own trains. It reads
the images from the node's object store, and sends weights and states as bytes: nothing of a study stays on the node.
Ray itself is imported in functions only: without it, the loop may still import this module.
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

from ..data.training import TrainingData
from ..system.backend import import_keras
from ..system.memory import own_memory
from ..system.scratch import scratch
from ..values.job import EpochReport, Job

HEARTBEAT = 2.0  # seconds between two signs of life
Arrays = dict[str, Any]
"""A TrainingData's fields, as they lie in the object store."""


@dataclass(frozen=True)
class _Assignment:
    """A job with a number of its own, by which its answers are known, and what it needs."""

    serial: int
    job: Job
    data: TrainingData
    checkpoint: bytes | None


class RayWorker:
    """One worker. Its messages are dictionaries of one key that says what they are, and what belongs to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self._assignments: SimpleQueue[_Assignment] = SimpleQueue()
        self._messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, int, bool]] = SimpleQueue()
        self._stopped: set[int] = set()  # serials; a call to stop may come before the job, or when it is over
        self._sent_at = time.monotonic()
        self._folder: Path | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def messages(self) -> list[dict[str, Any]]:
        """Wait until there is something to tell, and return all of it."""
        found = [self._messages.get()]
        while not self._messages.empty():
            found.append(self._messages.get())
        return found

    def take(self, serial: int, job: dict[str, Any], data: Arrays, checkpoint: bytes | None) -> None:
        """Train a job as soon as the one before is done.

        The loop passes the reference of the data, and Ray brings them to the node before it calls. Fetched in the
        thread that trains, beside other calls, they were now and then waited for without end.
        """
        self._assignments.put(_Assignment(serial, Job.model_validate(job), TrainingData(**data), checkpoint))

    def answer(self, serial: int, epoch: int, go_on: bool) -> None:
        """Answer the report of an epoch."""
        self._answers.put((serial, epoch, go_on))

    def stop(self, serial: int) -> None:
        """End a job within the batch it is at."""
        self._stopped.add(serial)
        self._answers.put((serial, 0, False))  # wakes it, where it waits for an answer

    def leave(self) -> None:
        """Clear the node of what is on its way: the actor is about to be killed."""
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
            from ..training.trial import train  # noqa: F401 - it imports much that every job needs
        except BaseException as error:  # whatever it is: the loop waits to hear from this thread
            traceback.print_exc()  # into Ray's log of this worker
            lines = str(error).strip().splitlines()
            self._send(cannot=f"{type(error).__name__}: {lines[-1] if lines else ''}", node=node)
            return
        self._send(ready=node)
        while True:
            self._train(self._assignments.get())

    def _train(self, given: _Assignment) -> None:
        from ..training.trial import DeviceFullError, train

        def report(epoch: EpochReport) -> bool:
            self._send(epoch=epoch.model_dump())
            while given.serial not in self._stopped:
                serial, number, go_on = self._answers.get()
                if (serial, number) == (given.serial, epoch.epoch):
                    return go_on
            return False

        def stop_now() -> bool:
            if time.monotonic() - self._sent_at > HEARTBEAT:
                self._send(alive=True)
            return given.serial in self._stopped

        self._send(started=given.job.number)
        try:
            with scratch() as self._folder:
                weights, checkpoint = self._folder / "job.weights.h5", self._folder / "job.state.npz"
                here: dict[str, Any] = {"weights": str(weights)}
                if given.job.checkpoint is not None:
                    here["checkpoint"] = given.job.checkpoint.model_copy(update={"file": str(checkpoint)})
                if given.checkpoint is not None:
                    checkpoint.write_bytes(given.checkpoint)
                outcome = train(given.job.model_copy(update=here), report, stop_now, given.data)
                files = {"weights": _content(weights), "checkpoint": _content(checkpoint) if outcome.epochs else None}
        except DeviceFullError as error:
            self._send(lost=str(error))
        except OSError as error:  # writing to the node's disk: not the candidate's fault
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._send(broken=f"node {socket.gethostname()}: {error.filename or self._folder}: {reason}")
        except Exception as error:  # as a process that dies by it would be, the trial is run again
            traceback.print_exc()  # into Ray's log of this worker
            self._send(lost=f"{type(error).__name__}: {error}")
        else:
            self._send(outcome=outcome.model_dump(mode="json"), **files, holds=own_memory(psutil.Process()))
        self._stopped.discard(given.serial)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
