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

from ..spaces.architecture import Augmentation
from ..spaces.arithmetic import Volume
from ..spaces.build import augmenter, build
from .batches import Batches
from .data import Dataset, Split
from .job import EpochReport, Job, Outcome, Seconds
from .optimizer import optimizer

EVALUATION_BATCH = 256
Report = Callable[[EpochReport], bool]
"""Called after each epoch; False ends the training there."""


def train(job: Job, report: Report, stop_now: Callable[[], bool] = lambda: False) -> Outcome:
    """Train a job's candidate and keep the weights of its best epoch in `job.weights`.

    Args:
        job: what to train.
        report: is given each epoch, and says whether to go on.
        stop_now: is asked after each batch; True ends the training in the middle of an epoch.

    Returns:
        the outcome; a loss that is no number any more, or an error of Keras, is a failed one with its reason.
    """
    clock = time.perf_counter()
    keras.backend.clear_session()
    keras.utils.set_random_seed(job.seed)
    dataset, split = Dataset.load(Path(job.data)), Split.load(Path(job.split))
    images, labels, classes = dataset.images(), dataset.labels(), len(dataset.classes)
    recipe = job.candidate.recipe
    batches = Batches(images, labels, split.train, classes, recipe.batch_size, job.seed)
    validation = Batches(images, labels, split.val, classes, EVALUATION_BATCH)
    network = build(job.candidate.architecture, batch_norm_momentum(len(batches)))
    model = _varied(network, recipe.augmentation, dataset.input)
    model.compile(
        optimizer(recipe, len(batches) * job.epochs),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    course = _Course(job, network, report, stop_now, building=time.perf_counter() - clock)
    weights = class_weights(labels[split.train], classes) if job.class_weights else None
    try:
        model.fit(
            batches,
            validation_data=validation,
            epochs=job.epochs,
            class_weight=weights,
            callbacks=[course],
            verbose=0,
        )
    except StoppedNowError:
        course.stopped = True
    except DivergedError as error:
        return course.outcome("failed", str(error))
    except Exception as error:  # whatever Keras or its backend raises, the trial fails and the study goes on
        traceback.print_exc()  # into the worker's log
        return course.outcome("failed", _first_line(error))
    if course.best_weights is None:
        return course.outcome("stopped")
    network.set_weights(course.best_weights)
    _save(network, job.weights)
    return course.outcome("stopped" if course.stopped else "complete")


def _save(network: Any, path: str) -> None:
    """Write the network's weights; OSError where they cannot be written."""
    try:
        network.save_weights(path)
    except RuntimeError as error:  # how h5py says of some files that the disk is full
        raise OSError(" ".join(str(error).split())) from error


def batch_norm_momentum(steps: int) -> float:
    """Return the momentum with which the first guess weighs 1 % after an epoch of `steps` steps, from 0.5 to 0.99.

    Keras's default of 0.99 needs 460 steps for that: a small data set would validate by chance for many epochs.
    """
    momentum: float = 0.01 ** (1 / steps)
    return round(min(max(momentum, 0.5), 0.99), 3)


def class_weights(labels: NDArray[np.int32], classes: int) -> dict[int, float]:
    """Return weights with which every class counts the same: n / (classes * count of the class)."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return {i: float(len(labels) / (classes * count)) for i, count in enumerate(counts)}


def _varied(network: Any, augmentation: Augmentation, input: Volume) -> Any:
    """Return the network behind its augmentation; the weights are shared, so that only the network need be kept."""
    layers = augmenter(augmentation, input)
    if not layers:
        return network
    inputs = t = keras.Input(tuple(input))
    for layer in layers:
        t = layer(t)
    return keras.Model(inputs, network(t))


class DivergedError(Exception):
    """The loss is no number any more."""


class StoppedNowError(Exception):
    """The loop wants the training to end in the middle of an epoch, which then has no measure."""


class _Course(keras.callbacks.Callback):  # type: ignore[misc]
    """Follows a training: curves, clocks, the best epoch's weights, and when to stop."""

    def __init__(self, job: Job, network: Any, report: Report, stop_now: Callable[[], bool], building: float) -> None:
        super().__init__()
        self.job, self.network, self.report, self.stop_now = job, network, report, stop_now
        self.curves: dict[str, list[float]] = {key: [] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
        self.best: tuple[float, float] = (-1.0, 0.0)
        self.best_epoch = 0
        self.best_weights: Any = None
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

    def on_test_begin(self, logs: Any = None) -> None:
        self.evaluations.append(-time.perf_counter())

    def on_test_end(self, logs: Any = None) -> None:
        self.evaluations[-1] += time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = {key: float((logs or {}).get(key, math.nan)) for key in self.curves}
        for key, value in values.items():
            if not math.isfinite(value):
                word = "NaN" if math.isnan(value) else "infinite"
                raise DivergedError(f"the {key} became {word} in epoch {epoch + 1}")
        for key, value in values.items():
            self.curves[key].append(value)
        if (rank := (values["val_accuracy"], -values["val_loss"])) > self.best:
            self.best, self.best_epoch = rank, epoch + 1
            self.best_weights = self.network.get_weights()
        asked = time.perf_counter()
        go_on = self.report(EpochReport(number=self.job.number, epoch=epoch + 1, **values))
        self.waiting += time.perf_counter() - asked
        last = epoch + 1 == self.job.epochs
        if not go_on and not last:
            self.stopped = self.model.stop_training = True
        elif epoch + 1 - self.best_epoch >= self.job.patience:
            self.model.stop_training = True

    def outcome(self, ended: Any, error: str | None = None) -> Outcome:
        """Sum up."""
        curves = {key: tuple(values) for key, values in self.curves.items()}
        clock = self._seconds()
        best = self.best_epoch - 1
        return Outcome(
            number=self.job.number,
            ended=ended,
            value=curves["val_accuracy"][best] if self.best_epoch else None,
            best_epoch=self.best_epoch or None,
            gap=curves["accuracy"][best] - curves["val_accuracy"][best] if self.best_epoch else None,
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
