"""Training by the clock: a recipe's schedule laid over seconds instead of steps, so that it ends when the time does."""

import time
from typing import Any

import keras
import numpy as np

from ..spaces.architecture import Recipe
from .optimizer import learning_rate

POINTS = 200  # at which the schedule is looked up beforehand; between them it is taken as straight


class ByTheClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate before each batch by the share of the training that is done, and ends it with the time.

    Where the most epochs are through before the time is up, the share is that of their steps: however a training ends,
    its rate has come down. With the time, the last epoch is a short one; it is evaluated like any other.
    """

    def __init__(self, recipe: Recipe, began: float, seconds: float, most_steps: int) -> None:
        """Keep the schedule and what limits the training.

        Args:
            recipe: whose schedule it is.
            began: the begin, on the clock of `time.perf_counter`.
            seconds: from there on.
            most_steps: batches that are trained at most.
        """
        super().__init__()
        self._began, self._seconds = began, seconds
        self._step, self._most_steps = 0, most_steps
        schedule = learning_rate(recipe, POINTS)
        self._shares = np.linspace(0, 1, POINTS + 1)
        self._rates = [float(schedule(i) if callable(schedule) else schedule) for i in range(POINTS + 1)]

    def rate(self, share: float) -> float:
        """Return the learning rate when that share of the training is done."""
        return float(np.interp(share, self._shares, self._rates))

    @property
    def _used(self) -> float:
        return (time.perf_counter() - self._began) / self._seconds

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate."""
        self.model.optimizer.learning_rate = self.rate(max(self._used, self._step / self._most_steps))
        self._step += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """End the training when the time is up."""
        if self._used >= 1:
            self.model.stop_training = True
