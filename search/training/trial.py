"""Train one candidate: a function of (job, report) -> outcome. Runs in a worker; touches no storage and no screen."""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..data.training import TrainingData
from ..values.job import Job, Outcome
from .augmentation import variations
from .batches import Batches
from .callbacks import DivergedError, Report, StoppedNowError, TimedSchedule, TrialCallback
from .checkpoint import load_checkpoint, save_checkpoint
from .latency import latency_ms
from .model import trainable
from .normalization import BatchNormalization

EVALUATION_BATCH = 256
FULL = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")  # how TensorFlow, PyTorch and NumPy call it


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
    length = job.length
    schedule_epochs = None if length.seconds is not None else length.schedule_epochs or length.epochs
    model, network = trainable(job.candidate, len(rows), schedule_epochs, BatchNormalization)
    if job.checkpoint is not None and job.begin:
        load_checkpoint(model, network, Path(job.checkpoint.file), job.begin * len(batches))
    followed = TrialCallback(job, network, report, stop_now, building=time.perf_counter() - clock)
    callbacks: list[Any] = [followed]
    if length.seconds is not None:
        callbacks.append(TimedSchedule(recipe, clock, length.seconds, length.epochs * len(batches)))
    weights = class_weights(labels[rows], classes) if job.class_weights else None
    try:
        model.fit(
            batches,
            validation_data=None if job.with_validation else validation,
            initial_epoch=job.begin,
            epochs=length.epochs,
            class_weight=weights,
            shuffle=False,  # the batches are shuffled by themselves
            validation_freq=length.validate_every,
            callbacks=callbacks,
            verbose=0,
        )
        followed.validate_the_last(validation)
    except StoppedNowError:
        followed.stopped = True
    except DivergedError as error:
        return followed.outcome("failed", str(error))
    except Exception as error:  # whatever Keras or its backend raises, the trial fails and the study goes on
        if _is_full(error):
            raise
        traceback.print_exc()  # into the worker's log
        return followed.outcome("failed", _first_line(error))
    if job.checkpoint is not None and followed.epochs:
        save_checkpoint(model, network, Path(job.checkpoint.file), job.begin + followed.epochs)
    if job.with_validation:
        _save(network, job.weights)
    elif followed.best_weights is not None:
        network.set_weights(followed.best_weights)
        _save(network, job.weights)
    if followed.stopped or not followed.epochs:
        return followed.outcome("stopped")
    extras: dict[str, Any] = {"varied": {}}
    followed.on_test_begin()
    if job.with_validation:
        extras["known"] = followed.accuracy(validation)
    for name, vary in variations(job.probes.augmentations).items():
        batches = Batches(images, labels, data.val, classes, EVALUATION_BATCH, vary=vary)
        extras["varied"][name] = followed.accuracy(batches)
    if job.probes.latency:
        extras["latency_ms"] = latency_ms(network)
    followed.on_test_end()
    return followed.outcome("complete").model_copy(update=extras)


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


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300] if text else 'no message'}"
