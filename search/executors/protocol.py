"""What an executor is: it runs jobs somewhere and reports what happens to them. It never chooses what to run."""

from dataclasses import dataclass
from typing import Protocol

from ...spaces.memory.limit import Memory
from ..values.job import EpochReport, Job, Outcome


@dataclass(frozen=True)
class Started:
    """A worker has started a job, which had `waited` so many seconds since it was submitted."""

    number: int
    worker: str
    waited: float


@dataclass(frozen=True)
class Lost:
    """A worker died during a job, or was killed as hung or for its use of memory; the job has no outcome."""

    number: int
    worker: str
    reason: str


@dataclass(frozen=True)
class Returned:
    """A worker has returned a job without beginning it: it has less memory than the training takes."""

    number: int
    worker: str
    reason: str


@dataclass(frozen=True)
class Broken:
    """The machine cannot run any job, for example because a disk is full; the study has to end."""

    reason: str


Event = Started | EpochReport | Outcome | Lost | Returned | Broken
"""A job has one Started, any number of EpochReports, then one Outcome; or Lost or Broken at any moment, or
Returned instead."""


class Executor(Protocol):
    """Runs up to `slots` jobs at a time. After each EpochReport the job waits for `answer`."""

    slots: int
    memory: Memory | None
    """What its worker with the least has for one training; None where that is not known."""

    def submit(self, job: Job, alone: bool = False) -> None:
        """Run a job as soon as a worker is free; `alone` says that nothing else will run beside it."""

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None after `timeout` seconds without one."""

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to continue or to stop."""

    def interrupt(self, number: int) -> None:
        """Stop a job after its current batch; its Outcome (`stopped`) follows."""

    def close(self) -> None:
        """Kill all workers; jobs that still run are lost."""
