"""Jobs outside the search: the best few trained again, the winner. Nothing else runs meanwhile."""

import time
from collections.abc import Callable, Iterator

from ...spaces.errors import WorkError
from ..values.job import EpochReport, Job, Outcome
from .protocol import Broken, Executor, Lost, Returned

TICK = 0.25  # seconds between two checks of the clock and of Ctrl-C


def run_jobs(
    jobs: Iterator[Job],
    executor: Executor,
    stop: Callable[[], bool],
    on_epoch: Callable[[EpochReport], None],
) -> Iterator[tuple[Job, Outcome]]:
    """Run jobs, as many at a time as there are workers, and yield each with its outcome when it ends.

    A job whose worker was lost is run once more, in what is left of its seconds; if that is lost, too, it has failed.

    Args:
        jobs: consumed one by one, as workers become free.
        executor: runs them; nothing else may run on it.
        stop: called a few times a second; once it returns True, all jobs are interrupted and no more are started.
        on_epoch: called for each epoch that is validated.

    Raises:
        WorkError: the machine cannot run jobs any more.
    """
    running: dict[int, Job] = {}
    started_at: dict[int, float] = {}
    retried: set[int] = set()
    interrupted = False
    while True:
        while not interrupted and len(running) < executor.slots and (job := next(jobs, None)):
            running[job.number], started_at[job.number] = job, time.monotonic()
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
                if number in retried or interrupted:
                    yield running.pop(number), Outcome(number=number, ended="failed", error=reason)
                else:
                    retried.add(number)
                    retry = running[number].within(time.monotonic() - started_at[number])
                    executor.submit(retry, alone=executor.slots == 1)
            case Returned(number, _, reason):
                yield running.pop(number), Outcome(number=number, ended="failed", error=reason)
            case Broken(reason):
                raise WorkError(reason)
            case Outcome() as outcome:
                yield running.pop(outcome.number), outcome
            case _:
                pass


def run_one(job: Job, executor: Executor, stop: Callable[[], bool], on_epoch: Callable[[EpochReport], None]) -> Outcome:
    """Run one job, which may use the whole machine, and return its outcome; see `run_jobs`."""
    ((_, outcome),) = run_jobs(iter([job]), _SingleSlot(executor), stop, on_epoch)
    return outcome


class _SingleSlot:
    """An executor with a single slot, whose job gets everything."""

    slots = 1

    def __init__(self, executor: Executor) -> None:
        self.submit, self.next_event = executor.submit, executor.next_event
        self.memory = executor.memory
        self.answer, self.interrupt, self.close = executor.answer, executor.interrupt, executor.close
