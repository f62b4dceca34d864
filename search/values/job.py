"""What travels between the study loop and a worker: a Job out, EpochReports and an Outcome back. Plain JSON values."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from ...spaces.architecture import Candidate
from .printable import Printable

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Message(BaseModel):
    """A frozen value that travels as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Length(Message):
    """How long training runs: until epoch `epochs`, counted from the candidate's first, or less.

    `patience` is the number of epochs without improvement after which training stops; an improvement is a higher
    validation accuracy, or the same with a lower loss. The learning-rate schedule spans `schedule_epochs`, or `epochs`
    by default. With `seconds`, time decides: the schedule spans that many seconds from the start of the job, and
    training stops when they are over, even in the middle of an epoch; `epochs` is then an upper limit, and the schedule
    is complete when it is reached. Every `validate_every` epochs, and after the last one, the model is validated and
    the epoch reported.
    """

    epochs: int
    patience: int
    schedule_epochs: int | None = None
    seconds: float | None = None
    validate_every: int = 1


class Checkpoint(Message):
    """The file that training saves its state to, and resumes from if `epochs` were trained before.

    `best` is the validation accuracy of those epochs.
    """

    file: str
    epochs: int = 0
    best: float | None = None


class Probes(Message):
    """What is measured at the end of a training that was not stopped.

    `latency` times the network; for each of `augmentations`, name to strength, the network is validated once more on
    images augmented in this way.
    """

    latency: bool = False
    augmentations: dict[str, float] = {}


class Job(Message):
    """One candidate to train: on which data, for how long, with which seed, and where its weights go.

    `data` is the folder of a Dataset and `split` the file of its Split. `weights` is the file for the best epoch's
    weights.

    With `with_validation`, the validation images are used for training too. Then nothing is validated, every epoch is
    reported, and the last epoch's weights are kept.

    With `mixup` above 0 the training images are blended in pairs; it is the alpha of `training/mixup.py`. `precision`
    is Keras's dtype policy for training; weights are float32 in any case.
    """

    number: int
    candidate: Candidate
    data: str
    split: str
    length: Length
    seed: int
    weights: str
    class_weights: bool = False
    with_validation: bool = False
    mixup: float = 0.0
    precision: Precision = "float32"
    probes: Probes = Probes()
    checkpoint: Checkpoint | None = None

    @property
    def size(self) -> tuple[int, int]:
        """The height and width at which the candidate takes its images."""
        input = self.candidate.architecture.input
        return input.height, input.width

    @property
    def begin(self) -> int:
        """How many epochs were trained before."""
        return 0 if self.checkpoint is None else self.checkpoint.epochs

    def within(self, seconds: float) -> "Job":
        """Return the job with its time reduced by the seconds already spent; the same job if it has no time limit."""
        if self.length.seconds is None:
            return self
        left = max(1.0, self.length.seconds - seconds)
        return self.model_copy(update={"length": self.length.model_copy(update={"seconds": left})})


class EpochReport(Message):
    """One finished epoch (counted from 1), with Keras's metrics; those of validation only if it was validated."""

    number: int
    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None = None
    val_accuracy: float | None = None

    @property
    def reached(self) -> str:
        """What the epoch reached, in words."""
        if self.val_accuracy is None:
            return f"training {self.accuracy:.1%}"
        return f"validation {self.val_accuracy:.1%}"


class Seconds(Message):
    """Where the time of a trial went. `waiting` is for the worker and for the loop's replies."""

    waiting: float = 0.0
    building: float = 0.0
    tracing: float = 0.0
    training: float = 0.0
    evaluating: float = 0.0

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(**{name: value + getattr(other, name) for name, value in self})

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return self.waiting + self.building + self.tracing + self.training + self.evaluating


class Outcome(Message):
    """The result of a job.

    `ended` is `complete` (all epochs, or no more progress), `stopped` (by the loop) or `failed`, because of `error`.
    `value` is the best validation accuracy, reached in `best_epoch`; `gap` is how much higher the accuracy on the
    training data was in that epoch. `epochs` is the number trained; the curves hold a value for each that was
    validated. `latency_ms` is the network's time for one image in milliseconds, `varied` its accuracy on augmented
    validation images, by the augmentation; `known` is its accuracy on validation images that it was also trained on,
    which does not measure generalisation. If a job resumed from a checkpoint, all this covers only the new epochs:
    unless one of them is better, there is no `value`.
    """

    number: int
    ended: Literal["complete", "stopped", "failed"]
    value: float | None = None
    best_epoch: int | None = None
    gap: float | None = None
    latency_ms: float | None = None
    varied: dict[str, float] = {}
    known: float | None = None
    epochs: int = 0
    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    val_loss: tuple[float, ...] = ()
    val_accuracy: tuple[float, ...] = ()
    seconds: Seconds = Seconds()
    error: Printable | None = None
