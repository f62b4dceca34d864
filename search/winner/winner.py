"""The winner: a trial, and the weights to ship."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ...spaces.architecture import Candidate
from ..study.trial import Trial
from ..values.job import Outcome


class Winner(BaseModel):
    """The trial that won, the weights to ship, their validation accuracy, and a sentence on how they were trained.

    `candidate` is the one that the weights belong to: the trial's, or the same network with a recipe for long training.
    `training` is the outcome of the long training, whether or not its weights are used. `with_validation` says that
    they are, and were trained on the validation images too: `val_accuracy` is then the trial's. `why_kept` is the
    reason for keeping the trial's weights after a long training. `cut` says that Ctrl-C ended the long training, or
    came before it: the study is still to be finished.
    """

    model_config = ConfigDict(frozen=True)

    trial: Trial
    candidate: Candidate
    weights: Path
    val_accuracy: float
    trained: str
    training: Outcome | None = None
    with_validation: bool = False
    why_kept: str | None = None
    cut: bool = False

    @classmethod
    def of_trial(cls, trial: Trial, weights: Path) -> "Winner":
        """Return a trial as the winner, with its own weights."""
        return cls(
            trial=trial,
            candidate=trial.candidate,
            weights=weights,
            val_accuracy=trial.value or 0.0,
            trained=f"The weights are those of the trial's best epoch, {trial.best_epoch}.",
        )
