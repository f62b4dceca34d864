"""Train one candidate: a function of (job, report) -> outcome. Runs in a worker; touches no storage and no screen."""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ...spaces.memory.evaluation import evaluation_batch
from ..data.training import TrainingData
from ..system.processes import first_line
from ..values.job import Job, Outcome
from .augmentation import variations
from .batches import Batches
from .callbacks import DivergedError, Report, StoppedNowError, TimedSchedule, TrialCallback
from .checkpoint import load_checkpoint, save_checkpoint
from .latency import latency_ms
from .model import as_exported, trainable
from .normalization import BatchNormalization

OUT_OF_MEMORY = ("ResourceExhaustedError", "OutOfMemoryError", "MemoryError")  # of TensorFlow, PyTorch and NumPy


def train(
    job: Job,
    report: Report,
    stop_now: Callable[[], bool] = lambda: False,
    data: TrainingData | None = None,
) -> Outcome:
    """Train a job's candidate and keep the weights of its best epoch, or of its last, in `job.weights`.

    Args:
        job: what to train.
        report: called with each epoch; returns whether to continue.
        stop_now: called after each batch; True ends the training in the middle of an epoch.
        data: the arrays of `job.data` and `job.split`, if they are in memory already; otherwise they are read: that of
            the images at the candidate's size has to be there.

    Returns:
        the outcome; it is `failed`, with the reason, if the loss became NaN or infinite or Keras raised an error.

    Raises:
        DeviceFullError: out of memory, which may be another worker's fault.
        OSError: the data cannot be read, or the weights cannot be written.
    """
    try:
        return _train(job, report, stop_now, data)
    except Exception as error:
        if _is_out_of_memory(error):
            traceback.print_exc()  # into the worker's log
            raise DeviceFullError(f"out of memory on the device ({first_line(error)})") from error
        raise


def _train(job: Job, report: Report, stop_now: Callable[[], bool], data: TrainingData | None) -> Outcome:
    clock = time.perf_counter()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(job.precision)
    keras.utils.set_random_seed(job.seed + job.begin)
    data = data or TrainingData.load(Path(job.data), Path(job.split), job.size)
    images, labels, classes = data.images, data.labels, data.classes
    recipe, at_once = job.candidate.recipe, evaluation_batch(job.candidate.architecture)
    rows = np.concatenate([data.train, data.val]) if job.with_validation else data.train
    batches = Batches(images, labels, rows, classes, recipe.batch_size, job.seed, job.begin, mixup=job.mixup)
    validation = Batches(images, labels, data.val, classes, at_once)
    length = job.length
    schedule_epochs = None if length.seconds is not None else length.schedule_epochs or length.epochs
    model, network = trainable(job.candidate, len(rows), schedule_epochs, BatchNormalization)
    if job.checkpoint is not None and job.begin:
        load_checkpoint(model, network, Path(job.checkpoint.file), job.begin * len(batches))
    callback = TrialCallback(job, network, report, stop_now, building=time.perf_counter() - clock)
    callbacks: list[Any] = [callback]
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
            shuffle=False,  # `Batches` shuffles
            validation_freq=length.validate_every,
            callbacks=callbacks,
            verbose=0,
        )
        callback.validate_last_epoch(validation)
    except StoppedNowError:
        callback.stopped = True
    except DivergedError as error:
        return callback.outcome("failed", str(error))
    except Exception as error:  # whatever Keras or its backend raises: the trial fails, the study continues
        if _is_out_of_memory(error):
            raise
        traceback.print_exc()  # into the worker's log
        return callback.outcome("failed", first_line(error))
    if job.checkpoint is not None and callback.epochs:
        save_checkpoint(model, network, Path(job.checkpoint.file), job.begin + callback.epochs)
    if job.with_validation:
        _save(network, job.weights)
    elif callback.best_weights is not None:
        network.set_weights(callback.best_weights)
        _save(network, job.weights)
    if callback.stopped or not callback.epochs:
        return callback.outcome("stopped")
    extras: dict[str, Any] = {"varied": {}}
    callback.on_test_begin()
    if job.with_validation:
        extras["known"] = callback.accuracy(validation)
    for name, vary in variations(job.probes.augmentations).items():
        batches = Batches(images, labels, data.val, classes, at_once, vary=vary)
        extras["varied"][name] = callback.accuracy(batches)
    if job.probes.latency:
        extras["latency_ms"] = latency_ms(as_exported(job.candidate, network))
    callback.on_test_end()
    return callback.outcome("complete").model_copy(update=extras)


def _save(network: Any, path: str) -> None:
    """Write the network's weights atomically; OSError if they cannot be written."""
    partial = Path(path.removesuffix(".weights.h5") + ".partial.weights.h5")
    try:
        network.save_weights(partial)
    except RuntimeError as error:  # h5py's error for some files when the disk is full
        raise OSError(" ".join(str(error).split())) from error
    partial.replace(path)


def class_weights(labels: NDArray[np.int32], classes: int) -> dict[int, float]:
    """Return weights that make all classes count the same: n / (classes * count of the class)."""
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return {i: float(len(labels) / (classes * count)) for i, count in enumerate(counts)}


def _is_out_of_memory(error: BaseException) -> bool:
    return type(error).__name__ in OUT_OF_MEMORY or "RESOURCE_EXHAUSTED" in str(error)  # the latter is JAX


class DeviceFullError(Exception):
    """The GPU or the process ran out of memory."""
