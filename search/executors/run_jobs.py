"""Jobs outside the search: the best few trained again, the winner. Run to their ends while nothing else does."""

import time
from collections.abc import Callable, Iterator

from ...spaces.errors import WorkError
from ..values.job import EpochReport, Job, Outcome
from .protocol import Broken, Executor, Lost

TICK = 0.25  # seconds between two looks at the clock and at Ctrl-C


def run_jobs(
    jobs: Iterator[Job],
    executor: Executor,
    stop: Callable[[], bool],
    on_epoch: Callable[[EpochReport], None],
) -> Iterator[tuple[Job, Outcome]]:
    """Run jobs, as many at a time as there are workers, and yield each with its outcome when it ends.

    A job whose worker was lost is run again, once, in what is left of its seconds; then it failed.

    Args:
        jobs: the next one is asked for when a worker is free for it.
        executor: what runs them; nothing else may run on it.
        stop: is called a few times a second; when it says so, all jobs are interrupted and no other one begins.
        on_epoch: is called for each epoch that is validated.

    Raises:
        WorkError: the machine cannot go on.
    """
    running: dict[int, Job] = {}
    begun: dict[int, float] = {}
    lost: set[int] = set()
    interrupted = False
    while True:
        while not interrupted and len(running) < executor.slots and (job := next(jobs, None)):
            running[job.number], begun[job.number] = job, time.monotonic()
            executor.submit(job, alone=executor.slots == 1)
        if not running:
            return
        if not interrupted and stop():
            interrupted = True
            for number in running:
                executor.interrupt(number)
        match executor.next_event(TICK):
            case EpochReport() as report:
                on_epoch(report)
                executor.answer(report.number, not interrupted)
            case Lost(number, _, reason):
                if number in lost or interrupted:
                    yield running.pop(number), Outcome(number=number, ended="failed", error=reason)
                else:
                    lost.add(number)
                    again = running[number].within(time.monotonic() - begun[number])
                    executor.submit(again, alone=executor.slots == 1)
            case Broken(reason):
                raise WorkError(reason)
            case Outcome() as outcome:
                yield running.pop(outcome.number), outcome
            case _:
                pass


def run_one(job: Job, executor: Executor, stop: Callable[[], bool], on_epoch: Callable[[EpochReport], None]) -> Outcome:
    """Run one job, which may have the whole machine, and return its outcome; see `run_jobs`."""
    ((_, outcome),) = run_jobs(iter([job]), _Alone(executor), stop, on_epoch)
    return outcome


class _Alone:
    """An executor of which one job has all."""

    slots = 1

    def __init__(self, executor: Executor) -> None:
        self.submit, self.next_event = executor.submit, executor.next_event
        self.answer, self.interrupt, self.close = executor.answer, executor.interrupt, executor.close
