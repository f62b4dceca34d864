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

    The model takes batches of `recipe.batch_size` raw images, 0 to 255, with one-hot labels, and augments them in
    training. The network is the same without the augmentation and shares its weights: it is what is saved.

    Args:
        candidate: the candidate to train.
        images: the number of images in an epoch; schedule and batch normalisation depend on it.
        epochs: the number of epochs that the learning rate's schedule spans; None if a callback sets the rate.
        normalization: the class of the batch normalisation layers; with Keras's own the model can be saved as it is.
    """
    recipe = candidate.recipe
    steps = -(-images // recipe.batch_size)
    network = build(candidate.architecture, batch_norm_momentum(steps), normalization)
    model = _augmented(network, recipe.augmentation, candidate.architecture.input)
    model.compile(
        optimizer(recipe, None if epochs is None else steps * epochs),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    # Variables created while the first step is traced would make TensorFlow trace it again, for up to a second.
    # In float16 an optimizer is wrapped in another one; built by that, Nadam would not list all of its variables.
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    inner.build(model.trainable_variables)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return model, network


def as_exported(candidate: Candidate, network: Any) -> Any:
    """Return a copy of a trained network as its bundle would have it: in float32, from stock layers.

    Float32 stays Keras's policy afterwards.
    """
    keras.config.set_dtype_policy("float32")
    copy = build(candidate.architecture)
    copy.set_weights(network.get_weights())
    return copy


def batch_norm_momentum(steps: int) -> float:
    """Return the momentum at which the initial statistics weigh 1 % after `steps` steps, an epoch; from 0.5 to 0.99.

    Keras's default of 0.99 takes 460 steps for that: with little data, validation would mean nothing for many epochs.
    """
    momentum: float = 0.01 ** (1 / steps)
    return round(min(max(momentum, 0.5), 0.99), 3)


def _augmented(network: Any, augmentation: Augmentation, input: Volume) -> Any:
    """Return the network with its augmentation in front; both share the weights, so only the network is saved."""
    layers = augmenter(augmentation, input)
    if not layers:
        return network
    inputs = t = keras.Input(tuple(input))
    for layer in layers:
        t = layer(t)
    return keras.Model(inputs, network(t))
