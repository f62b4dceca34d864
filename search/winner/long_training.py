"""The winner's long training: the best candidate once more, for longer, in the time that is left.

Trials are short, so that there can be many. The best candidate deserves more epochs, and the validation images as
additional training images: the search no longer needs them, and the test measures the result. If the learning rate does
not settle, the best epoch has to be found by validation; then the validation images are not trained on, and the better
weights are kept, the trial's or the new ones.
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
from .recipe import LONG, alpha_for, for_long_training, may_augment
from .winner import Winner

NUMBER = -1  # of the job; no trial has it
LONGER = 2  # times the trials' epochs, if no minutes are given
MOST = 20  # times the trials' epochs at most, if minutes are given
VALIDATIONS = 20  # about how many there are in a long training: each costs training time
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How long the winner is trained: for `epochs`, or for `seconds`, in which about `epochs` fit.

    With `enough`, there is more time than the maximum number of epochs takes.
    """

    epochs: int
    seconds: float | None = None
    enough: bool = False

    def __str__(self) -> str:
        if self.seconds is None or self.enough:
            return f"for {self.epochs} epochs"
        return f"for {duration(self.seconds)}, about {self.epochs} epochs"


def plan_for(trial: Trial, epochs: int, seconds: float | None, more: float | None = None) -> Plan:
    """Return how long the winner is trained: LONGER times the trials' epochs, or as long as `seconds` allow.

    It is never more than MOST times the trials' epochs.

    Args:
        trial: the best one; its clock gives the time of an epoch.
        epochs: of the trials.
        seconds: the time left, if minutes were given.
        more: the factor by which there are more training images, if the validation images are among them.
    """
    if seconds is None:
        return Plan(LONGER * epochs)
    training, evaluating = (part / max(1, trial.epochs) for part in (trial.clock.training, trial.clock.evaluating))
    usable = max(0.0, seconds - evaluating)  # the last validation comes after the time is up
    each = training + evaluating if more is None else training * more
    fitting = int(max(0.0, usable - trial.clock.tracing) / max(each, 1e-3))
    return Plan(min(fitting, MOST * epochs), usable, enough=fitting > MOST * epochs)


def validate_every(epochs: int) -> int:
    """Return the number of epochs between validations in a training of `epochs`."""
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
    """Train the winner once more and return the better weights, as far as that can be decided.

    A network that was trained on the validation images has to classify about as many of them correctly as the trial's,
    which had never seen them: if its accuracy is below the interval of the trial's, its training went wrong.

    Args:
        job: the training; its weights go where it says.
        trial: the best trial.
        validated: how many validation images there are.
        weights: the weights of that trial.
        executor: runs the job.
        budget: ends the training when its time is up or Ctrl-C was pressed.
        on_epoch: called for each epoch that is validated.
        manner: how the training differs from the trial's, for the model card.

    Raises:
        WorkError: the machine cannot run jobs any more.
    """
    kept = Winner.of_trial(trial, weights)
    outcome = run_one(job, executor, lambda: budget.stopped or budget.late(budget.winner_seconds), on_epoch)
    cut = outcome.ended != "complete" and budget.stopped  # a Ctrl-C that comes later cuts nothing
    if why := _rejection(outcome, job, kept.val_accuracy, validated, cut):
        return kept.model_copy(update={"training": outcome, "why_kept": why, "cut": cut})
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
        cut=cut,
    )


def _rejection(outcome: Outcome, job: Job, accuracy: float, validated: int, cut: bool) -> str | None:
    """Return why the weights of the long training are rejected; None if they are accepted."""
    if outcome.ended == "failed":
        return f"the winner's long training failed ({outcome.error})"
    if job.with_validation:
        if outcome.known is None:
            return "the winner's long training " + ("was stopped" if cut else "did not finish in time")
        least, _ = wilson_interval(round(accuracy * validated), validated)
        if outcome.known < least:
            return (
                f"the winner, trained on the validation images too, classifies {outcome.known:.1%} of them correctly, "
                f"less than its trial did without them ({accuracy:.1%})"
            )
    elif outcome.value is None or outcome.value < accuracy:
        return "the winner's long training brought no improvement"
    return None


def train_best(prepared: Prepared, executor: Executor, budget: Budget, status: Callable[[str], None]) -> Winner:
    """Train the best trial's candidate once more, for as long as the time left allows.

    `status` is called with a line of text for each epoch.
    """
    best = standings(prepared.record, prepared.folder.repeats(), prepared.study.preference)[0].trial
    weights = prepared.folder.weights(best.number)
    train, val = len(prepared.split.train), len(prepared.split.val)
    with_validation = best.candidate.recipe.settles
    more = (train + val) / train if with_validation else None
    plan = plan_for(best, prepared.study.epochs, _seconds_for_winner(prepared, best, budget), more)
    if (cut := budget.stopped) or plan.epochs < best.epochs:
        return _with_local_weights(prepared, Winner.of_trial(best, weights).model_copy(update={"cut": cut}))
    candidate, manner = best.candidate, ""
    if plan.epochs >= LONG * prepared.study.epochs:
        candidate, manner = for_long_training(best, prepared.space)
    mixup = alpha_for(plan.epochs, best.value or 0.0) if may_augment(prepared.space) else 0.0
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
    return _with_local_weights(prepared, winner)


def _with_local_weights(prepared: Prepared, winner: Winner) -> Winner:
    """Return the winner, or the best trial whose weights are here if the winner's are not.

    They are in the home of the loop that ran it, or were deleted when it was not among the best few: repeats that were
    asked for later may have put it first.

    Raises:
        WorkError: there are no weights here.
    """
    if winner.weights.exists():
        return winner
    loop = winner.trial.loop
    folder, number = prepared.folder, winner.trial.number
    ranked = prepared.study.preference.ranked(prepared.record)
    here = [trial for trial in ranked if folder.weights(trial.number).exists()]
    if not here:
        where = "its weights were not kept" if loop is None else f"it ran in {loop}, where its weights are"
        raise WorkError(
            f"trial {number} is the best, but {where}, and there are none here: use --resume "
            f"{'' if loop is None else 'there, or here '}with enough time to train it again"
        )
    log.warning(
        "the weights of trial %d %s: exporting trial %d, the best whose weights are here",
        number,
        "were not kept" if loop is None else f"are in {loop}, where it ran",
        here[0].number,
    )
    kept = Winner.of_trial(here[0], folder.weights(here[0].number))
    return kept.model_copy(update={"training": winner.training, "cut": winner.cut})


def _seconds_for_winner(prepared: Prepared, best: Trial, budget: Budget) -> float | None:
    """Return the seconds in which the winner can be trained, with the test still to come."""
    if budget.winner_seconds is None:
        return None
    validated = max(1, best.epochs * len(prepared.split.val))
    return budget.winner_seconds - best.clock.evaluating / validated * len(prepared.split.test)
