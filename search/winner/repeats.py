"""Trains the best few trials again with other seeds, before one of them is chosen (`study/repeats.py` explains why)."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..executors.protocol import Executor
from ..executors.run_jobs import run_jobs
from ..loop.budget import Budget
from ..loop.cost import Costs
from ..loop.jobs import job_of
from ..loop.prepared import Prepared
from ..study.repeats import Repeat, Repeats
from ..study.result import Result
from ..study.trial import Trial
from ..values.job import EpochReport, Job

COMPARED = 2  # the number of best trials for whose repeats time is reserved; more are trained if there is time
SEED_STEP = 7919  # between the seeds of a candidate's trainings
log = logging.getLogger(__name__)


def still_to_repeat(best: Sequence[Trial], repeats: Repeats) -> list[Trial]:
    """Return those of the best trials that are to be trained again: complete ones, if there are two to compare."""
    complete = [trial for trial in best if trial.state == "complete"]
    return [trial for trial in complete if repeats.standing(trial).spread is None] if len(complete) > 1 else []


def repeat_trials(
    best: Sequence[Trial],
    repeats: Repeats,
    job: Callable[[Trial, int], Job],
    fits: Callable[[Trial], bool],
    executor: Executor,
    budget: Budget,
    on_epoch: Callable[[Trial, EpochReport | None], None],
) -> bool:
    """Train each of the best trials once more, the best first, while there is time; return whether all were.

    Args:
        best: the trials; `still_to_repeat` says which of them are trained.
        repeats: collects the results.
        job: makes the job of a trial for a new seed.
        fits: whether there is time for a trial.
        executor: runs the jobs.
        budget: ends the repeats on Ctrl-C, and a training that takes much longer than predicted.
        on_epoch: called for each start (None) and each epoch.

    Raises:
        WorkError: the machine cannot run jobs any more.
    """
    trials = {trial.number: trial for trial in still_to_repeat(best, repeats)}
    all_done = True

    def jobs() -> Iterator[Job]:
        nonlocal all_done
        for trial in trials.values():
            if not all_done or budget.stopped or not fits(trial):
                all_done = False
                return
            on_epoch(trial, None)
            yield job(trial, 1)

    def late() -> bool:
        return budget.stopped or budget.late(budget.repeats_left)

    for finished, outcome in run_jobs(jobs(), executor, late, lambda report: on_epoch(trials[report.number], report)):
        trial = trials[finished.number]
        Path(finished.weights).unlink(missing_ok=True)
        if outcome.ended == "failed":
            log.warning("trial %d: training with another seed failed: %s", trial.number, outcome.error)
        elif outcome.ended == "stopped":
            all_done = False
            if not budget.stopped:
                log.warning("trial %d: training with another seed did not finish in time", trial.number)
        elif outcome.value is not None:
            repeats.add(
                Repeat(
                    number=trial.number,
                    seed=finished.seed,
                    value=outcome.value,
                    epochs=outcome.epochs,
                    seconds=outcome.seconds.total,
                )
            )
    return all_done


def seconds_to_repeat(prepared: Prepared) -> float:
    """Predict the seconds of the repeats for which time is reserved."""
    costs = Costs.of(prepared.record, len(prepared.split.train))
    best = [trial for trial in prepared.record.best(min(prepared.study.repeats, COMPARED)) if trial.state == "complete"]
    return sum(costs.trial(trial.candidate, prepared.study.epochs) for trial in best)


def wants_more_repeats(prepared: Prepared, result: Result) -> bool:
    """Whether the study was given more repeats after its result, and a trial is left for them."""
    study = prepared.study
    if result.repeats is not None and study.repeats <= result.repeats:
        return False
    best = study.preference.ranked(prepared.record)[: study.repeats]
    return bool(still_to_repeat(best, prepared.folder.repeats()))


def repeat_best(prepared: Prepared, executor: Executor, budget: Budget, status: Callable[[str], None]) -> None:
    """Train the study's best few again with other seeds, while there is time.

    `status` is called with a line of text for each start and each epoch.
    """
    record, repeats, images = prepared.record, prepared.folder.repeats(), len(prepared.split.train)
    epochs, preference = prepared.study.epochs, prepared.study.preference

    def job(trial: Trial, seed: int) -> Job:
        weights = prepared.folder.weights(trial.number).with_name(f"{trial.number}.repeat.weights.h5")
        made = job_of(prepared, trial.number, trial.candidate, weights, epochs)
        return made.model_copy(update={"seed": (made.seed + seed * SEED_STEP) % 2**31})

    def fits(trial: Trial) -> bool:
        return Costs.of(record, images).trial(trial.candidate, epochs) <= budget.repeats_left

    def on_epoch(trial: Trial, report: EpochReport | None) -> None:
        reached = f", epoch {report.epoch}, {report.reached}" if report else ""
        status(f"training trial {trial.number} again, with another seed{reached}")

    best = preference.ranked(record)[: prepared.study.repeats]
    done = repeat_trials(best, repeats, job, fits, executor, budget, on_epoch)
    if not repeats.all and not done and not budget.stopped:
        log.warning("no time left to train the best trials again with other seeds")
