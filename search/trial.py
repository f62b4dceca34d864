"""Train one candidate: a function of (job, report) -> outcome. Runs in a worker; touches no storage and no screen."""

import math
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .augmenting import variations
from .batches import Batches
from .clock import ByTheClock
from .data.training import TrainingData
from .job import EpochReport, Job, Outcome, Seconds
from .latency import latency_ms
from .normalization import BatchNormalization
from .state import load_state, save_state
from .trainable import trainable

EVALUATION_BATCH = 256
FULL = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")  # how TensorFlow, PyTorch and NumPy call it
Report = Callable[[EpochReport], bool]
"""Called after each epoch; False ends the training there."""


def train(
    job: Job,
    report: Report,
    stop_now: Callable[[], bool] = lambda: False,
    data: TrainingData | None = None,
) -> Outcome:
    """Train a job's candidate and keep the weights of its best epoch, or of its last, in `job.weights`.

    Args:
        job: what to train.
        report: is given each epoch, and says whether to go on.
        stop_now: is asked after each batch; True ends the training in the middle of an epoch.
        data: the arrays of `job.data` and `job.split`, where they are in memory; otherwise they are read there.

    Returns:
        the outcome; a loss that is no number any more, or an error of Keras, is a failed one with its reason.

    Raises:
        DeviceFullError: memory gave out; that may be another worker's fault.
        OSError: the data cannot be read, or the weights not be written.
    """
    try:
        return _train(job, report, stop_now, data)
    except Exception as error:
        if _is_full(error):
            traceback.print_exc()  # into the worker's log
            raise DeviceFullError(f"out of memory on the device ({_first_line(error)})") from error
        raise


def _train(job: Job, report: Report, stop_now: Callable[[], bool], data: TrainingData | None) -> Outcome:
    clock = time.perf_counter()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(job.precision)
    keras.utils.set_random_seed(job.seed + job.begin)
    data = data or TrainingData.load(Path(job.data), Path(job.split))
    images, labels, classes = data.images, data.labels, data.classes
    recipe = job.candidate.recipe
    rows = np.concatenate([data.train, data.val]) if job.with_validation else data.train
    batches = Batches(images, labels, rows, classes, recipe.batch_size, job.seed, job.begin, mixup=job.mixup)
    validation = Batches(images, labels, data.val, classes, EVALUATION_BATCH)
    schedule_epochs = None if job.seconds is not None else job.schedule_epochs or job.epochs
    model, network = trainable(job.candidate, len(rows), schedule_epochs, BatchNormalization)
    if job.begin:
        load_state(model, network, _state_file(job), job.begin * len(batches))
    course = _Course(job, network, report, stop_now, building=time.perf_counter() - clock)
    callbacks: list[Any] = [course]
    if job.seconds is not None:
        callbacks.append(ByTheClock(recipe, clock, job.seconds, job.epochs * len(batches)))
    weights = class_weights(labels[rows], classes) if job.class_weights else None
    try:
        model.fit(
            batches,
            validation_data=None if job.with_validation else validation,
            initial_epoch=job.begin,
            epochs=job.epochs,
            class_weight=weights,
            shuffle=False,  # the batches are shuffled by themselves
            validation_freq=job.validate_every,
            callbacks=callbacks,
            verbose=0,
        )
        course.validate_the_last(validation)
    except StoppedNowError:
        course.stopped = True
    except DivergedError as error:
        return course.outcome("failed", str(error))
    except Exception as error:  # whatever Keras or its backend raises, the trial fails and the study goes on
        if _is_full(error):
            raise
        traceback.print_exc()  # into the worker's log
        return course.outcome("failed", _first_line(error))
    if job.state is not None and course.epochs:
        save_state(model, network, Path(job.state), job.begin + course.epochs)
    if job.with_validation:
        _save(network, job.weights)
    elif course.best_weights is not None:
        network.set_weights(course.best_weights)
        _save(network, job.weights)
    if course.stopped or not course.epochs:
        return course.outcome("stopped")
    extras: dict[str, Any] = {"varied": {}}
    course.on_test_begin()
    if job.with_validation:
        extras["known"] = course.accuracy(validation)
    for name, vary in variations(job.asked).items():
        batches = Batches(images, labels, data.val, classes, EVALUATION_BATCH, vary=vary)
        extras["varied"][name] = course.accuracy(batches)
    if job.measure_latency:
        extras["latency_ms"] = latency_ms(network)
    course.on_test_end()
    return course.outcome("complete").model_copy(update=extras)


def _state_file(job: Job) -> Path:
    if job.state is None:
        raise ValueError("a job that goes on needs the state that it goes on from")
    return Path(job.state)


def _save(network: Any, path: str) -> None:
    """Write the network's weights, in full or not at all; OSError where they cannot be written."""
    partial = Path(path.removesuffix(".weights.h5") + ".partial.weights.h5")
    try:
        network.save_weights(partial)
    except RuntimeError as error:  # how h5py says of some files that the disk is full
        raise OSError(" ".join(str(error).split())) from error
    partial.replace(path)


def class_weights(labels: NDArray[np.int32], classes: int) -> dict[int, float]:
    """Return weights with which every class counts the same: n / (classes * count of the class)."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return {i: float(len(labels) / (classes * count)) for i, count in enumerate(counts)}


def _is_full(error: BaseException) -> bool:
    return type(error).__name__ in FULL or "RESOURCE_EXHAUSTED" in str(error)  # the latter is JAX's


class DeviceFullError(Exception):
    """There was no memory left for the network, on a GPU or for the process."""


class DivergedError(Exception):
    """The loss is no number any more."""


class StoppedNowError(Exception):
    """The loop wants the training to end in the middle of an epoch, which then has no measure."""


class _Alive(keras.callbacks.Callback):  # type: ignore[misc]
    """Gives signs of life while a network is evaluated."""

    def __init__(self, sign: Callable[[], bool]) -> None:
        super().__init__()
        self.sign = sign

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.sign()


class _Course(keras.callbacks.Callback):  # type: ignore[misc]
    """Follows a training: curves, clocks, the best epoch's weights, and when to stop."""

    def __init__(self, job: Job, network: Any, report: Report, stop_now: Callable[[], bool], building: float) -> None:
        super().__init__()
        self.job, self.network, self.report, self.stop_now = job, network, report, stop_now
        self.curves: dict[str, list[float]] = {key: [] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
        self.best: tuple[float, float] = (-1.0 if job.best is None else job.best, 0.0)
        self.best_epoch = self.epochs = 0
        self.gap: float | None = None
        self.best_weights: Any = None
        self.unvalidated: dict[str, float] | None = None  # what is known of the last epoch, where it was not validated
        self.stopped = False
        self.building, self.waiting = building, 0.0
        self.began = time.perf_counter()
        self.batch_ends: list[float] = []  # of the first two batches: the first one holds the tracing
        self.evaluations: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if len(self.batch_ends) < 2:
            self.batch_ends.append(time.perf_counter())
        if self.stop_now():
            raise StoppedNowError

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.stop_now()  # a sign of life; whatever it says, an epoch that is trained gets its measure

    def on_test_begin(self, logs: Any = None) -> None:
        self.evaluations.append(-time.perf_counter())

    def on_test_end(self, logs: Any = None) -> None:
        self.evaluations[-1] += time.perf_counter()

    def validate_the_last(self, validation: Any) -> None:
        """Validate the last epoch, where it was not its turn."""
        if self.unvalidated is not None:
            self.on_test_begin()
            found = self._evaluated(validation)
            self.on_test_end()
            logs = self.unvalidated | {f"val_{name}": value for name, value in found.items()}
            self.on_epoch_end(self.job.begin + self.epochs - 1, logs)

    def accuracy(self, batches: Any) -> float:
        """Return the accuracy on images that are not validated on while it trains."""
        return float(self._evaluated(batches)["accuracy"])

    def _evaluated(self, batches: Any) -> Any:
        return self.model.evaluate(batches, callbacks=[_Alive(self.stop_now)], verbose=0, return_dict=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epochs = epoch + 1 - self.job.begin
        self.unvalidated = None
        if self.job.validate_every > 1 and "val_accuracy" not in (logs or {}):
            self.unvalidated = dict(logs or {})
            return
        measured = [key for key in self.curves if not (self.job.with_validation and key.startswith("val_"))]
        values = {key: float((logs or {}).get(key, math.nan)) for key in measured}
        for key, value in values.items():
            if not math.isfinite(value):
                word = "NaN" if math.isnan(value) else "infinite"
                raise DivergedError(f"the {key} became {word} in epoch {epoch + 1}")
        for key, value in values.items():
            self.curves[key].append(value)
        if not self.job.with_validation:
            self._compare(epoch + 1, values)
        asked = time.perf_counter()
        go_on = self.report(EpochReport(number=self.job.number, epoch=epoch + 1, **values))
        self.waiting += time.perf_counter() - asked
        last = epoch + 1 == self.job.epochs
        if not go_on and not last:
            self.stopped = self.model.stop_training = True
        elif epoch + 1 - max(self.best_epoch, self.job.begin) >= self.job.patience:
            self.model.stop_training = True

    def _compare(self, epoch: int, values: dict[str, float]) -> None:
        """Keep the weights, if this epoch is the best yet."""
        if (rank := (values["val_accuracy"], -values["val_loss"])) > self.best:
            self.best, self.best_epoch = rank, epoch
            self.gap = values["accuracy"] - values["val_accuracy"]
            self.best_weights = self.network.get_weights()

    def outcome(self, ended: Any, error: str | None = None) -> Outcome:
        """Sum up."""
        curves: dict[str, Any] = {key: tuple(values) for key, values in self.curves.items()}
        clock = self._seconds()
        return Outcome(
            number=self.job.number,
            ended=ended,
            value=self.best[0] if self.best_epoch else None,
            best_epoch=self.best_epoch or None,
            gap=self.gap,
            epochs=self.epochs,
            **curves,
            seconds=clock,
            error=error,
        )

    def _seconds(self) -> Seconds:
        total = time.perf_counter() - self.began
        tracing = 0.0
        if len(self.batch_ends) == 2:
            first, second = self.batch_ends
            tracing = max(0.0, (first - self.began) - (second - first))
        evaluating = sum(self.evaluations)
        if len(self.evaluations) > 1:
            extra = max(0.0, self.evaluations[0] - statistics.median(self.evaluations[1:]))
            tracing, evaluating = tracing + extra, evaluating - extra
        return Seconds(
            waiting=self.waiting,
            building=self.building,
            tracing=tracing,
            training=max(0.0, total - self.waiting - tracing - evaluating),
            evaluating=evaluating,
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300] if text else 'no message'}"
