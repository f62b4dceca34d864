"""`result.json`: what came of a study. The winner, how it was trained, its test, and where the time went."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from ..values.evaluation import Evaluation
from ..values.job import Outcome, Seconds


class Training(BaseModel):
    """The winner's own training, whether or not its weights are the better ones; fields as an Outcome has them."""

    model_config = ConfigDict(frozen=True)

    ended: str
    error: str | None
    value: float | None
    best_epoch: int | None
    known: float | None
    epochs: int
    accuracy: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    seconds: Seconds

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Return what is told of an outcome."""
        return cls(**{name: getattr(outcome, name) for name in cls.model_fields})


class Result(BaseModel):
    """What came of a study.

    `trials` are those it was chosen from, of which `best` is the winner's number, `under` the limit it was chosen by.
    `val_accuracy` is of images the weights have not learnt from: the trial's, where they were trained
    `with_validation`. `seconds` are those of the last launch, by what they went to; `tests` is how often the test split
    was read. `model_uri` is the model's address in MLflow, `mlflow` where that is: None until they are delivered.
    `cut` says that Ctrl-C ended it before the winner was trained.
    """

    model_config = ConfigDict(frozen=True)

    at: str
    trials: int
    tests: int
    cut: bool
    best: int
    under: str | None
    val_accuracy: float
    with_validation: bool
    trained: str
    test: Evaluation
    model_uri: str | None
    mlflow: str | None
    seconds: dict[str, float]
    final: Training | None
