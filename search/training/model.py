"""Candidate -> a compiled Keras model, ready for `fit`: the network behind its augmentation, with its recipe."""

from typing import Any

import keras

from ...spaces.architecture import Augmentation, Candidate
from ...spaces.arithmetic import Volume
from ...spaces.building.model import augmenter, build
from .optimizer import optimizer


def trainable(
    candidate: Candidate,
    images: int,
    epochs: int | None,
    normalization: type = keras.layers.BatchNormalization,
) -> tuple[Any, Any]:
    """Return a compiled model and the network in it.

    The model takes batches of `recipe.batch_size` raw images, 0 to 255, with one-hot labels, and varies them in
    training. The network is the same without the augmentation and shares its weights: it is what is kept.

    Args:
        candidate: what is to be trained.
        images: how many images an epoch has; schedule and batch normalisation follow from it.
        epochs: over how many epochs the learning rate's schedule is laid; None where somebody else sets the rate.
        normalization: the class of batch normalisation's layers; with Keras's own the model can be saved as it is.
    """
    recipe = candidate.recipe
    steps = -(-images // recipe.batch_size)
    network = build(candidate.architecture, batch_norm_momentum(steps), normalization)
    model = _varied(network, recipe.augmentation, candidate.architecture.input)
    model.compile(
        optimizer(recipe, None if epochs is None else steps * epochs),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    # Variables that come up while the first step is traced make TensorFlow trace it a second time: up to a second more.
    model.optimizer.build(model.trainable_variables)
    return model, network


def batch_norm_momentum(steps: int) -> float:
    """Return the momentum with which the first guess weighs 1 % after an epoch of `steps` steps, from 0.5 to 0.99.

    Keras's default of 0.99 needs 460 steps for that: a small data set would validate by chance for many epochs.
    """
    momentum: float = 0.01 ** (1 / steps)
    return round(min(max(momentum, 0.5), 0.99), 3)


def _varied(network: Any, augmentation: Augmentation, input: Volume) -> Any:
    """Return the network behind its augmentation; the weights are shared, so that only the network need be kept."""
    layers = augmenter(augmentation, input)
    if not layers:
        return network
    inputs = t = keras.Input(tuple(input))
    for layer in layers:
        t = layer(t)
    return keras.Model(inputs, network(t))
