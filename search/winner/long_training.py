"""The winner's own training: the best candidate once more, for longer, in the time that is left.

Trials are short, so that there can be many. The best of them deserves more epochs, and the validation images, which
have done their work, to learn from: more images make a better network, and the test tells how good it is. Where the
learning rate does not settle, something has to tell which epoch is a good one; there the validation images go on to do
this, and whichever weights validate better are kept, the trial's or the new ones.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...spaces.errors import WorkError
from ..executors.protocol import Executor
from ..executors.run_jobs import run_one
from ..loop.budget import Budget
from ..loop.jobs import job_of
from ..loop.prepared import Prepared
from ..study.repeats import standings
from ..study.trial import Trial
from ..values.evaluation import wilson_interval
from ..values.job import EpochReport, Job, Length, Outcome
from ..values.words import duration
from .recipe import LONG, alpha_for, for_long_training, may_vary
from .winner import Winner

NUMBER = -1  # the job's number: no trial's
LONGER = 2  # times the trials' epochs, where no minutes are given
MOST = 20  # times the trials' epochs at most, where minutes are
VALIDATIONS = 20  # about so many in a long training: each takes time from it
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How long the winner is trained: for `epochs`, or by the clock for `seconds`, which are about as many.

    With `enough` there are more seconds than the most epochs take.
    """

    epochs: int
    seconds: float | None = None
    enough: bool = False

    def __str__(self) -> str:
        if self.seconds is None or self.enough:
            return f"for {self.epochs} epochs"
        return f"for {duration(self.seconds)}, about {self.epochs} epochs"


def plan_for(trial: Trial, epochs: int, seconds: float | None, more: float | None = None) -> Plan:
    """Return how long the winner is trained: LONGER times the trials' epochs, or as long as `seconds` permit.

    MOST times the trials' epochs are enough, however much time there is.

    Args:
        trial: the best one; its clock tells what an epoch takes.
        epochs: of the trials.
        seconds: that are left, where minutes were given.
        more: where the validation images are trained on too, how many times the trial's images that makes.
    """
    if seconds is None:
        return Plan(LONGER * epochs)
    training, evaluating = (part / max(1, trial.epochs) for part in (trial.clock.training, trial.clock.evaluating))
    usable = max(0.0, seconds - evaluating)  # the last validation comes when the time is up
    each = training + evaluating if more is None else training * more
    fitting = int(max(0.0, usable - trial.clock.tracing) / max(each, 1e-3))
    return Plan(min(fitting, MOST * epochs), usable, enough=fitting > MOST * epochs)


def validate_every(epochs: int) -> int:
    """Return after how many epochs a training of so many is validated."""
    return max(1, epochs // VALIDATIONS)


def train_winner(
    job: Job,
    trial: Trial,
    validated: int,
    weights: Path,
    executor: Executor,
    budget: Budget,
    on_epoch: Callable[[EpochReport], None],
    manner: str = "",
) -> Winner:
    """Train the winner once more and return the better weights, as far as that can be told.

    A network that was trained on the validation images has to know about as many of them as the trial's, which had
    never seen them: where it knows fewer than the interval of the trial's accuracy allows, its training went wrong.

    Args:
        job: the training; its weights go where it says.
        trial: the best trial.
        validated: how many validation images there are.
        weights: the weights of that trial.
        executor: what runs it.
        budget: ends the training when its time is up or Ctrl-C was pressed.
        on_epoch: is called for each epoch that is validated.
        manner: in what the training differs from the trial's, for the winner's story.

    Raises:
        WorkError: the machine cannot go on.
    """
    kept = Winner.as_in_its_trial(trial, weights)
    outcome = run_one(job, executor, lambda: budget.stopped or budget.late(budget.winner_seconds), on_epoch)
    if why := _why_not(outcome, job, kept.val_accuracy, validated, budget):
        return kept.model_copy(update={"training": outcome, "why_kept": why})
    trained = f"It was then trained once more, for {outcome.epochs} epochs{manner}"
    if job.with_validation:
        trained += ", on the training and the validation images together; the weights are those of the last epoch."
        value = kept.val_accuracy
    else:
        trained += f"; the weights are those of epoch {outcome.best_epoch}."
        value = outcome.value or 0.0
    return Winner(
        trial=trial,
        candidate=job.candidate,
        weights=Path(job.weights),
        val_accuracy=value,
        trained=trained,
        training=outcome,
        with_validation=job.with_validation,
    )


def _why_not(outcome: Outcome, job: Job, accuracy: float, validated: int, budget: Budget) -> str | None:
    """Return why the weights of the winner's own training are not the ones to ship; None where they are."""
    if outcome.ended == "failed":
        return f"the winner's long training failed ({outcome.error})"
    if job.with_validation:
        if outcome.known is None:
            return "the winner's long training " + ("was stopped" if budget.stopped else "did not finish in time")
        least, _ = wilson_interval(round(accuracy * validated), validated)
        if outcome.known < least:
            return (
                f"the winner, trained on the validation images too, knows {outcome.known:.1%} of them, less than its "
                f"trial did without ({accuracy:.1%})"
            )
    elif outcome.value is None or outcome.value < accuracy:
        return "the winner's long training brought no improvement"
    return None


def train_the_best(prepared: Prepared, executor: Executor, budget: Budget, status: Callable[[str], None]) -> Winner:
    """Train the trial that is to be named once more, as far as the time that is left permits.

    `status` is told of each epoch.
    """
    best = standings(prepared.record, prepared.folder.repeats(), prepared.study.preference)[0].trial
    weights = prepared.folder.weights(best.number)
    train, val = len(prepared.split.train), len(prepared.split.val)
    with_validation = best.candidate.recipe.settles
    more = (train + val) / train if with_validation else None
    plan = plan_for(best, prepared.study.epochs, _left_for_the_winner(prepared, best, budget), more)
    if budget.stopped or plan.epochs < best.epochs:
        return _whose_weights_are_here(prepared, Winner.as_in_its_trial(best, weights))
    candidate, manner = best.candidate, ""
    if plan.epochs >= LONG * prepared.study.epochs:
        candidate, manner = for_long_training(best, prepared.space)
    mixup = alpha_for(plan.epochs, best.value or 0.0) if may_vary(prepared.space) else 0.0
    if mixup:
        manner += ", and with pairs of them blended (mixup)" if manner else ", with pairs of images blended (mixup)"
    log.info("training the winner, %s, %s%s", candidate.architecture, plan, manner)
    job = job_of(prepared, NUMBER, candidate, prepared.folder.winner_weights, plan.epochs)
    length = job.length
    if with_validation:
        length = length.model_copy(update={"patience": plan.epochs})
    if plan.seconds is not None:
        length = Length(
            epochs=MOST * prepared.study.epochs,
            patience=MOST * prepared.study.epochs,
            seconds=plan.seconds,
            validate_every=1 if with_validation else validate_every(plan.epochs),
        )
    job = job.model_copy(update={"length": length, "mixup": mixup, "with_validation": with_validation})

    def on_epoch(report: EpochReport) -> None:
        status(f"training the winner: epoch {report.epoch} of about {plan.epochs}, {report.reached}")

    winner = train_winner(job, best, val, weights, executor, budget, on_epoch, manner)
    if winner.why_kept is not None:
        log.warning("%s: keeping the weights of its trial", winner.why_kept)
    return _whose_weights_are_here(prepared, winner)


def _whose_weights_are_here(prepared: Prepared, winner: Winner) -> Winner:
    """Return the winner, or the best trial that ran here where the winner is to have the weights of one that did not.

    Raises:
        WorkError: of none are there weights here.
    """
    loop = winner.trial.loop
    if loop is None or winner.weights.exists():
        return winner
    folder, number = prepared.folder, winner.trial.number
    ranked = prepared.study.preference.ranked(prepared.record)
    here = [trial for trial in ranked if folder.weights(trial.number).exists()]
    if not here:
        raise WorkError(
            f"trial {number} is the best, but it ran in {loop}, where its weights are, and none are here: "
            "--resume there goes on, or here with time to train it again"
        )
    log.warning(
        "the weights of trial %d are where it ran, in %s: trial %d is exported, the best whose weights are here",
        number,
        loop,
        here[0].number,
    )
    kept = Winner.as_in_its_trial(here[0], folder.weights(here[0].number))
    return kept.model_copy(update={"training": winner.training})


def _left_for_the_winner(prepared: Prepared, best: Trial, budget: Budget) -> float | None:
    """Return the seconds in which the winner can be trained, when the test images are still to be seen."""
    if budget.winner_seconds is None:
        return None
    validated = max(1, best.epochs * len(prepared.split.val))
    return budget.winner_seconds - best.clock.evaluating / validated * len(prepared.split.test)
