"""What travels between the study loop and a worker: a Job out, EpochReports and an Outcome back. Plain JSON values."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from ...spaces.architecture import Candidate

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Message(BaseModel):
    """A frozen value that travels as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Length(Message):
    """How long a training takes: it ends with epoch `epochs`, counted from the candidate's first, or sooner.

    `patience` is the number of epochs after which training ends if none validates better: with a higher accuracy, or
    the same and a lower loss. The learning rate's schedule is laid over `schedule_epochs`, or over `epochs` where none
    are given. With `seconds` the time decides: the schedule is laid over so many seconds from the job's begin, and
    training ends with them, in the middle of an epoch if need be; `epochs` are then the most that are trained, and
    where they are through sooner, the schedule is. Every so many epochs, `validate_every`, and the last one, are
    validated and reported.
    """

    epochs: int
    patience: int
    schedule_epochs: int | None = None
    seconds: float | None = None
    validate_every: int = 1


class Checkpoint(Message):
    """Where what it takes to go on later is kept: `file`. A job goes on from there where `epochs` were trained before.

    `best` is the accuracy that they reached.
    """

    file: str
    epochs: int = 0
    best: float | None = None


class Probes(Message):
    """What is measured at the end of a training that was not stopped.

    `latency` times the network; for each of `augmentations`, by their strengths, it is validated once more on images
    so varied.
    """

    latency: bool = False
    augmentations: dict[str, float] = {}


class Job(Message):
    """One candidate to be trained: on which data, for how long, from which seed, and where its weights go.

    `data` is the folder of a Dataset and `split` the file of its Split. `weights` is the file for the best epoch's
    weights.

    With `with_validation` the validation images are trained on like the others. Nothing is validated then; every epoch
    is reported, and the last one's weights are kept.

    With `mixup` above 0 the training images are blended in pairs; it is the alpha of `training/mixup.py`. `precision`
    is Keras's dtype policy for the training; weights are float32 whatever it is.
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
    def begin(self) -> int:
        """How many epochs were trained before."""
        return 0 if self.checkpoint is None else self.checkpoint.epochs

    def within(self, seconds: float) -> "Job":
        """Return the job for what is left of its time after so many seconds; the same job where time is no limit."""
        if self.length.seconds is None:
            return self
        left = max(1.0, self.length.seconds - seconds)
        return self.model_copy(update={"length": self.length.model_copy(update={"seconds": left})})


class EpochReport(Message):
    """One finished epoch (counted from 1), with the measures of Keras; those of validation where there was one."""

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
    """Where the time of a trial went. `waiting` is for the worker and for the loop's answers, in all."""

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
    """What came of a job.

    `ended` says how: `complete` (all epochs, or no progress any more), `stopped` (the loop said so) or `failed`, with
    `error` as the reason. `value` is the best validation accuracy, reached in `best_epoch`; `gap` is how much higher
    the accuracy on the training data was in that epoch. `epochs` were trained; curves hold a value for each that was
    validated. `latency_ms` is the milliseconds that the network takes for one image, `varied` its accuracy on
    validation images, by how they were varied; `known` is its accuracy on validation images that it was trained on,
    where it was, and no measure of what it is worth. Where a job went on from an earlier one, all this is of the new
    epochs alone: without a better one among them, there is no `value`.
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
    error: str | None = None
