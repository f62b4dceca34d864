"""What an executor is: it runs jobs somewhere and tells what happens to them. It never chooses what to run."""

from dataclasses import dataclass
from typing import Protocol

from ..values.job import EpochReport, Job, Outcome


@dataclass(frozen=True)
class Started:
    """A worker has begun with a job, so many seconds after it was submitted."""

    number: int
    worker: str
    waited: float


@dataclass(frozen=True)
class Lost:
    """A worker died with a job in its hands, or was given up, through no report of the job's own."""

    number: int
    worker: str
    reason: str


@dataclass(frozen=True)
class Broken:
    """The machine cannot go on, whatever the job (a full disk); the study has to end."""

    reason: str


Event = Started | EpochReport | Outcome | Lost | Broken
"""In the life of a job: Started, any number of EpochReports, then one Outcome; or Lost or Broken at any moment."""


class Executor(Protocol):
    """Runs up to `slots` jobs at a time. After each EpochReport the job waits for `answer`."""

    slots: int

    def submit(self, job: Job, alone: bool = False) -> None:
        """Run a job as soon as a worker is free; `alone` says that nothing else will run beside it."""

    def next_event(self, timeout: float) -> Event | None:
        """Return the next thing that happened, or None after `timeout` seconds without one."""

    def answer(self, number: int, go_on: bool) -> None:
        """Tell a job that has reported an epoch to go on or to end."""

    def interrupt(self, number: int) -> None:
        """End a job within the batch it is at; its Outcome (`stopped`) follows."""

    def close(self) -> None:
        """End all workers at once; jobs that still run are gone."""
