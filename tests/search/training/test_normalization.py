"""Batch normalisation by the fused operation: nobody can tell it from Keras's own but by the clock."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from convsearch.search.training.model import trainable
from convsearch.search.training.normalization import BatchNormalization
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.building.model import build

INPUT = Volume(8, 6, 3)
ARCHITECTURE = Architecture(
    input=INPUT,
    layers=(Layer(filters=6, batch_norm=True, one_by_one=4), Layer(filters=5, batch_norm=True)),
    head=Head(pooling="global_average"),
    classes=4,
)
SOURCE = np.random.default_rng(0)
IMAGES = SOURCE.integers(0, 256, (7, *INPUT)).astype(np.float32)
LABELS = np.eye(4, dtype="float32")[SOURCE.integers(0, 4, 7)]


def network(normalization: type) -> Any:
    keras.utils.set_random_seed(3)
    return build(ARCHITECTURE, 0.8, normalization)


def trained(normalization: type) -> tuple[Any, list[float]]:
    """Return a network after some steps, and the loss of each."""
    model = network(normalization)
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    return model, [float(model.train_on_batch(IMAGES, LABELS)) for _ in range(5)]


def test_a_training_goes_as_with_keras_own_layer() -> None:
    ours, losses = trained(BatchNormalization)
    theirs, expected = trained(keras.layers.BatchNormalization)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert expected[-1] < expected[0]
    for weight, same in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight, same, rtol=2e-3, atol=2e-4, err_msg=weight.path)
    np.testing.assert_allclose(np.asarray(ours(IMAGES)), np.asarray(theirs(IMAGES)), atol=1e-3)


def test_the_moving_statistics_move_towards_those_of_the_batch() -> None:
    layer = BatchNormalization(momentum=0.75)
    x = SOURCE.normal(5, 3, (4, 3, 2, 2)).astype("float32")
    out = np.asarray(layer(x, training=True))
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    np.testing.assert_allclose(out, (x - mean) / np.sqrt(variance + layer.epsilon), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-5)


def test_a_layer_that_is_not_trained_keeps_its_statistics() -> None:
    layer = BatchNormalization()
    layer.build((None, 4, 4, 2))
    layer.trainable = False
    out = layer(np.full((2, 4, 4, 2), 9, "float32"), training=True)
    np.testing.assert_allclose(np.asarray(out), 9, rtol=1e-3)
    np.testing.assert_array_equal(layer.moving_mean, 0)


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3)])
def test_what_is_no_volume_is_normalised_too(shape: tuple[int, ...]) -> None:
    x = SOURCE.normal(2, 4, shape).astype("float32")
    out = np.asarray(BatchNormalization()(x, training=True))
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(out.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=axes), 1, atol=1e-2)


def test_half_precision_is_as_with_keras_own_layer() -> None:
    x = SOURCE.normal(2, 4, (6, 3, 3, 2))
    ours, theirs = BatchNormalization(dtype="mixed_float16"), keras.layers.BatchNormalization(dtype="mixed_float16")
    found = ours(x, training=True)
    assert found.dtype == "float16"
    np.testing.assert_array_equal(np.asarray(found), np.asarray(theirs(x, training=True)))


def test_its_weights_load_into_a_network_of_stock_layers(tmp_path: Path) -> None:
    model, _ = trained(BatchNormalization)
    model.save_weights(tmp_path / "w.weights.h5")
    stock = network(keras.layers.BatchNormalization)
    stock.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_allclose(np.asarray(stock(IMAGES)), np.asarray(model(IMAGES)), atol=1e-6)
    assert [type(layer) for layer in stock.layers].count(keras.layers.BatchNormalization) == 3


def test_what_is_made_for_training_elsewhere_is_of_stock_layers_and_can_be_saved(tmp_path: Path) -> None:
    candidate = Candidate(architecture=ARCHITECTURE, recipe=Recipe(batch_size=4))
    model, _ = trainable(candidate, images=8, epochs=1)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(loaded(IMAGES)), np.asarray(model(IMAGES)), atol=1e-6)
