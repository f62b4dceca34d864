"""Keras callbacks: one follows a training and reports each epoch, one ends it when its time is up."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ...spaces.architecture import Recipe
from ..values.job import EpochReport, Job, Outcome, Seconds
from .optimizer import learning_rate

POINTS = 200  # at which the schedule is evaluated beforehand; in between it is interpolated


class TimedSchedule(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate before each batch by the progress of the training, and ends it when its time is up.

    Progress is the share of the time or of the maximum number of steps, whichever is larger, so that the learning rate
    is at its end however the training ends. The last epoch may be cut short; it is evaluated like any other.
    """

    def __init__(self, recipe: Recipe, began: float, seconds: float, most_steps: int) -> None:
        """Keep the schedule and what limits the training.

        Args:
            recipe: has the schedule.
            began: when the training began, on the clock of `time.perf_counter`.
            seconds: the time limit, counted from `began`.
            most_steps: the maximum number of batches.
        """
        super().__init__()
        self._began, self._seconds = began, seconds
        self._step, self._most_steps = 0, most_steps
        schedule = learning_rate(recipe, POINTS)
        self._shares = np.linspace(0, 1, POINTS + 1)
        self._rates = [float(schedule(i) if callable(schedule) else schedule) for i in range(POINTS + 1)]

    def rate(self, progress: float) -> float:
        """Return the learning rate at a progress from 0 to 1."""
        return float(np.interp(progress, self._shares, self._rates))

    @property
    def _elapsed_share(self) -> float:
        return (time.perf_counter() - self._began) / self._seconds

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate."""
        self.model.optimizer.learning_rate = self.rate(max(self._elapsed_share, self._step / self._most_steps))
        self._step += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """End the training when the time is up."""
        if self._elapsed_share >= 1:
            self.model.stop_training = True


Report = Callable[[EpochReport], bool]
"""Called after each epoch; the training ends if it returns False."""


class DivergedError(Exception):
    """The loss became NaN or infinite."""


class StoppedNowError(Exception):
    """The loop stopped the training in the middle of an epoch, which is therefore not measured."""


class HeartbeatCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Sends heartbeats while a network is evaluated."""

    def __init__(self, send: Callable[[], bool]) -> None:
        super().__init__()
        self._send = send

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Send one."""
        self._send()


class TrialCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Follows a training: curves, times, the best epoch's weights, and early stopping."""

    def __init__(self, job: Job, network: Any, report: Report, stop_now: Callable[[], bool], building: float) -> None:
        super().__init__()
        self.job, self.network, self.report, self.stop_now = job, network, report, stop_now
        best = None if job.checkpoint is None else job.checkpoint.best
        self.curves: dict[str, list[float]] = {key: [] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
        self.best: tuple[float, float] = (-1.0 if best is None else best, 0.0)
        self.best_epoch = self.epochs = 0
        self.gap: float | None = None
        self.best_weights: Any = None
        self.unvalidated: dict[str, float] | None = None  # the logs of the last epoch, if it was not validated
        self.stopped = False
        self.building, self.waiting = building, 0.0
        self.began = time.perf_counter()
        self.batch_ends: list[float] = []  # of the first two batches: the first includes the tracing
        self.evaluations: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Send a heartbeat, and end the training if the loop has stopped it."""
        if len(self.batch_ends) < 2:
            self.batch_ends.append(time.perf_counter())
        if self.stop_now():
            raise StoppedNowError

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Send a heartbeat."""
        self.stop_now()  # the result is ignored: an epoch that was trained is also measured

    def on_test_begin(self, logs: Any = None) -> None:
        """Start timing an evaluation."""
        self.evaluations.append(-time.perf_counter())

    def on_test_end(self, logs: Any = None) -> None:
        """Stop timing it."""
        self.evaluations[-1] += time.perf_counter()

    def validate_last_epoch(self, validation: Any) -> None:
        """Validate the last epoch, unless Keras already has."""
        if self.unvalidated is not None:
            self.on_test_begin()
            found = self._evaluated(validation)
            self.on_test_end()
            logs = self.unvalidated | {f"val_{name}": value for name, value in found.items()}
            self.on_epoch_end(self.job.begin + self.epochs - 1, logs)

    def accuracy(self, batches: Any) -> float:
        """Return the accuracy on images other than those that Keras validates on."""
        return float(self._evaluated(batches)["accuracy"])

    def _evaluated(self, batches: Any) -> Any:
        return self.model.evaluate(batches, callbacks=[HeartbeatCallback(self.stop_now)], verbose=0, return_dict=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report the epoch, keep its weights if they are the best so far, and end the training if told to."""
        self.epochs = epoch + 1 - self.job.begin
        self.unvalidated = None
        if self.job.length.validate_every > 1 and "val_accuracy" not in (logs or {}):
            self.unvalidated = dict(logs or {})
            return
        measured = [key for key in self.curves if not (self.job.with_validation and key.startswith("val_"))]
        values = {key: float((logs or {}).get(key, math.nan)) for key in measured}
        for key, value in values.items():
            if not math.isfinite(value):
                became = "NaN" if math.isnan(value) else "infinite"
                raise DivergedError(f"the {key} became {became} in epoch {epoch + 1}")
        for key, value in values.items():
            self.curves[key].append(value)
        if not self.job.with_validation:
            self._compare(epoch + 1, values)
        reported = time.perf_counter()
        go_on = self.report(EpochReport(number=self.job.number, epoch=epoch + 1, **values))
        self.waiting += time.perf_counter() - reported
        last = epoch + 1 == self.job.length.epochs
        if not go_on and not last:
            self.stopped = self.model.stop_training = True
        elif epoch + 1 - max(self.best_epoch, self.job.begin) >= self.job.length.patience:
            self.model.stop_training = True

    def _compare(self, epoch: int, values: dict[str, float]) -> None:
        """Keep the weights if this epoch is the best so far."""
        if (rank := (values["val_accuracy"], -values["val_loss"])) > self.best:
            self.best, self.best_epoch = rank, epoch
            self.gap = values["accuracy"] - values["val_accuracy"]
            self.best_weights = self.network.get_weights()

    def outcome(self, ended: Any, error: str | None = None) -> Outcome:
        """Return the outcome of the training so far."""
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
