"""A space for KerasTuner's own tuners: a HyperModel whose every proposal is a network that can be built."""

import random
from typing import Any

import keras
import keras_tuner
import numpy as np

from ...spaces.architecture import Candidate
from ...spaces.space import SearchSpace
from ..training.model import trainable
from .hyperparameters import decoded, hyperparameters


class SpaceHyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Builds and trains the candidates of a space inside a tuner of KerasTuner.

    Give the tuner's `search` raw images, 0 to 255, and labels: whole numbers or one-hot.
    """

    def __init__(self, space: SearchSpace, images: int, epochs: int) -> None:
        """Keep the space, the number of training images and of epochs: learning rates follow schedules over them."""
        super().__init__(name="convsearch")
        self.space, self.images, self.epochs = space, images, epochs

    def candidate(self, hp: keras_tuner.HyperParameters) -> Candidate:
        """Return the candidate that hyperparameters stand for: fitted to the input, within the limits."""
        hp.merge(hyperparameters(self.space), overwrite=False)
        values = {
            # A layer that is not there has no value; the fit drops the placeholder.
            name: decoded(dimension, hp.values[name]) if name in hp.values else dimension.draw(random.Random(0))
            for name, dimension in self.space.dimensions.items()
        }
        return self.space.candidate(self.space.within_limits(self.space.fit(values)))

    def build(self, hp: keras_tuner.HyperParameters) -> Any:
        """Return the compiled model."""
        model, _ = trainable(self.candidate(hp), self.images, self.epochs)
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train with the candidate's own batch size."""
        if len(args) > 1:
            args = (args[0], self._one_hot(args[1]), *args[2:])
        if "y" in kwargs:
            kwargs["y"] = self._one_hot(kwargs["y"])
        if (validation := kwargs.get("validation_data")) is not None:
            kwargs["validation_data"] = (validation[0], self._one_hot(validation[1]), *validation[2:])
        return model.fit(*args, batch_size=self.candidate(hp).recipe.batch_size, **kwargs)

    def _one_hot(self, labels: Any) -> Any:
        """Return labels, whole numbers of shape (n,) or (n, 1) or one-hot already, as one-hot (n, classes)."""
        if np.ndim(labels) == 2 and np.shape(labels)[1] == self.space.classes:
            return labels
        return keras.utils.to_categorical(np.reshape(labels, -1), self.space.classes)
