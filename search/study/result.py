"""`result.json`: the result of a study. The winner, how it was trained, its test, and where the time went."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from ..system.addresses import masked
from ..values.bounds import Count, Finite, Moment, Share
from ..values.evaluation import Evaluation
from ..values.job import Outcome, Seconds


def _without_secrets(address: str | None) -> str | None:
    return None if address is None else masked(address)  # earlier versions stored passwords


class Training(BaseModel):
    """The winner's own training, whether or not its weights are the better ones; fields as an Outcome has them."""

    model_config = ConfigDict(frozen=True)

    ended: str
    error: str | None
    value: Share | None
    best_epoch: Count | None
    known: Share | None
    epochs: Count
    accuracy: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    seconds: Seconds

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Return the part of an outcome that is kept."""
        return cls(**{name: getattr(outcome, name) for name in cls.model_fields})


class Result(BaseModel):
    """The result of a study.

    The winner is trial `best`, chosen from `trials` finished ones, of which `repeats` were to be trained again (None
    where an earlier version did not store it), `under` a limit if one was given. `val_accuracy` is measured on images
    that the weights were not trained on: it is the trial's if they were trained `with_validation`. `seconds` is the
    time of the last launch by phase, `tests` how many times this home's loop read the test split. `model_uri` is the
    model's address in MLflow, `mlflow` is MLflow's address, and `store` tells the experiment from those of other
    stores: None until they are delivered (`store` also where an earlier version delivered them). `cut` says that Ctrl-C
    ended the winner's training, or came before it.
    """

    model_config = ConfigDict(frozen=True)

    at: Moment
    trials: Count
    tests: Count
    cut: bool
    best: Count
    repeats: Count | None = None
    under: str | None
    val_accuracy: Share
    with_validation: bool
    trained: str
    test: Evaluation
    model_uri: str | None
    mlflow: Annotated[str | None, AfterValidator(_without_secrets)]
    store: str | None = None
    seconds: dict[str, Finite]
    final: Training | None
