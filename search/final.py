"""The winner's own training: the best candidate once more, for longer, in the time that is left.

Trials are short, so that there can be many. The best of them deserves more epochs; it keeps whichever weights validate
better, the trial's or the new ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..spaces.architecture import Candidate
from .budget import Budget
from .executors.one import run_one
from .executors.protocol import Executor
from .job import EpochReport, Job, Outcome
from .progress import duration
from .record import Trial

NUMBER = -1  # the job's number: no trial's
LONGER = 2  # times the trials' epochs, where no minutes are given
MOST = 20  # times the trials' epochs at most, where minutes are
AMPLE = 2  # times the time that the most epochs take is time enough, whatever they take
GRACE = 10.0  # seconds in which a training by the clock may end by itself
VALIDATIONS = 20  # about so many in a long training: each takes time from it


@dataclass(frozen=True)
class Winner:
    """The trial that won, the weights to ship, their validation accuracy, and a sentence on how they came about.

    `candidate` is what the weights were trained as: the trial's, or the same network with a recipe for long training.
    `training` is what came of the winner's own training, whether or not its weights are the better ones.
    """

    trial: Trial
    candidate: Candidate
    weights: Path
    val_accuracy: float
    trained: str
    training: Outcome | None = None


@dataclass(frozen=True)
class Plan:
    """How long the winner is trained: for `epochs`, or by the clock for `seconds`, which are about as many."""

    epochs: int
    seconds: float | None = None

    def __str__(self) -> str:
        if self.seconds is None:
            return f"for {self.epochs} epochs"
        return f"for {duration(self.seconds)}, about {self.epochs} epochs"


def plan_for(trial: Trial, epochs: int, seconds: float | None) -> Plan:
    """Return how long the winner is trained: as long as `seconds` permit, or LONGER times the trials' epochs."""
    if seconds is None:
        return Plan(LONGER * epochs)
    training, evaluating = (part / max(1, trial.epochs) for part in (trial.clock.training, trial.clock.evaluating))
    usable = max(0.0, seconds - evaluating)  # the last validation comes when the time is up
    fitting = int(max(0.0, usable - trial.clock.tracing) / max(training + evaluating, 1e-3))
    # Augmentation may make an epoch slower than the trial's were: without a clock only where that cannot matter.
    return Plan(MOST * epochs) if fitting >= AMPLE * MOST * epochs else Plan(fitting, usable)


def validate_every(epochs: int) -> int:
    """Return after how many epochs a training of so many is validated."""
    return max(1, epochs // VALIDATIONS)


def as_in_its_trial(trial: Trial, weights: Path) -> Winner:
    """Return a trial as the winner, with the weights that it ended with."""
    trained = f"The weights are those of the trial's best epoch, {trial.best_epoch}."
    return Winner(trial, trial.candidate, weights, trial.value or 0.0, trained)


def train_winner(
    job: Job,
    trial: Trial,
    weights: Path,
    executor: Executor,
    budget: Budget,
    told: Callable[[EpochReport], None],
    manner: str = "",
) -> Winner:
    """Train the winner once more and return the better weights.

    Args:
        job: the training; its weights go where it says.
        trial: the best trial.
        weights: the weights of that trial.
        executor: what runs it.
        budget: ends the training when its time is up or Ctrl-C was pressed.
        told: hears each epoch that is validated.
        manner: in what the training differs from the trial's, for the winner's story.

    Raises:
        WorkError: the machine cannot go on.
    """
    kept = as_in_its_trial(trial, weights)
    outcome = run_one(job, executor, lambda: budget.stopped or _late(budget), told)
    if outcome is None or outcome.value is None or outcome.ended == "failed" or outcome.value < kept.val_accuracy:
        return replace(kept, training=outcome)
    trained = (
        f"It was then trained once more, for {outcome.epochs} epochs{manner}; the weights are those of "
        f"epoch {outcome.best_epoch}."
    )
    return Winner(trial, job.candidate, Path(job.weights), outcome.value, trained, outcome)


def _late(budget: Budget) -> bool:
    return budget.final_seconds is not None and budget.final_seconds <= -GRACE
