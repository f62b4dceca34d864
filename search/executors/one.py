"""One job, run to its end while everything else waits."""

from collections.abc import Callable

from ...spaces.errors import WorkError
from ..job import EpochReport, Job, Outcome
from .protocol import Broken, Executor, Lost

TICK = 0.25  # seconds between two looks at the clock and at Ctrl-C


def run_one(job: Job, executor: Executor, stop: Callable[[], bool], told: Callable[[EpochReport], None]) -> Outcome:
    """Run a job and return its outcome; where its worker was lost, it failed.

    Args:
        job: the job; nothing else may run.
        executor: what runs it.
        stop: is asked a few times a second; when it says so the job is interrupted.
        told: hears each epoch that is validated.

    Raises:
        WorkError: the machine cannot go on.
    """
    executor.submit(job)
    interrupted = False
    while True:
        if stop() and not interrupted:
            interrupted = True
            executor.interrupt(job.number)
        match executor.next_event(TICK):
            case EpochReport() as report:
                told(report)
                executor.answer(job.number, not interrupted)
            case Lost(number, _, reason):
                return Outcome(number=number, ended="failed", error=reason)
            case Broken(reason):
                raise WorkError(reason)
            case Outcome() as outcome:
                return outcome
            case _:
                pass
