import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from numpy.typing import NDArray
from spaces_samples import INPUTS, PRESETS, WITHOUT_CONVSEARCH, candidates, definitions, preset, sides, space_or_none
from terminal import PATIENCE

from convsearch.spaces.architecture import Activation, Architecture, Augmentation, Head, Layer, names
from convsearch.spaces.arithmetic import Step, Volume
from convsearch.spaces.building.model import augmenter, build

BUILDS = 25  # of every preset on every input: more than 600 in all
L2_OPERATIONS = {"Square", "Multiply", "Add", "Sqrt"}
RANDOM = np.random.default_rng(0)
SMALL = Volume(9, 11, 3)


@pytest.fixture(autouse=True)
def _fresh_session() -> None:
    keras.backend.clear_session(free_memory=False)  # it collects garbage for half a second otherwise


def images(shape: Volume, count: int = 4) -> NDArray[np.float32]:
    return RANDOM.integers(0, 256, (count, *shape)).astype(np.float32)


def network(*layers: Layer, input: Volume = SMALL, **head: Any) -> Architecture:
    return Architecture(input=input, layers=layers, head=Head(**head), classes=5)


def shape(step: Step) -> tuple[int | None, ...]:
    """Return the shape that Keras gives the output of a step; behind the head volumes are vectors."""
    vector = step.name in ("flatten", "global_average", "global_max") or step.name.startswith(("hidden", "classes"))
    return (None, step.after.depth) if vector else (None, *step.after)


def assert_as_computed(architecture: Architecture) -> None:
    """Every shape and count of the Keras model is that of the arithmetic, and there is no layer that it leaves out."""
    model = build(architecture)
    told = f"{architecture} on {architecture.input}"
    for step in architecture.steps:
        layer = model.get_layer(step.name)
        assert layer.output.shape == shape(step), (told, step)
        assert layer.count_params() == step.parameters, (told, step)
    assert model.count_params() == architecture.parameters, told
    inside = [
        operation for operation in model.operations if operation.name in {step.name for step in architecture.steps}
    ]
    assert [operation.name for operation in inside] == [step.name for step in architecture.steps], told
    silent = {"image", "rescale"} | {f"conv{i}_zeros" for i in range(1, len(architecture.layers) + 1)}
    pooled = any(layer.pooling == "l2" for layer in architecture.layers)
    for operation in model.operations:
        if operation not in inside and operation.name not in silent:
            assert pooled, (told, operation)
            assert type(operation).__name__ in L2_OPERATIONS, (told, operation)


@pytest.mark.parametrize("input", INPUTS, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_every_shape_and_the_parameters_of_a_built_candidate_are_those_of_the_arithmetic(
    name: str, input: Volume
) -> None:
    for candidate in candidates(preset(name, input), BUILDS, seed=1):
        assert_as_computed(candidate.architecture)


@settings(suppress_health_check=list(HealthCheck))
@given(definitions(), sides())
def test_candidates_of_any_space_are_built_as_computed(text: str, input: Volume) -> None:
    space = space_or_none(text, input)
    assume(space is not None)
    assert space is not None
    for candidate in candidates(space, 1):
        assert_as_computed(candidate.architecture)


@pytest.mark.parametrize("activation", names(Activation))
def test_every_activation_is_built_under_its_name(activation: str) -> None:
    layer = Layer(filters=2, activation=activation, one_by_one=3)  # type: ignore[arg-type]
    assert_as_computed(network(layer, units=(4,), activation=activation))


def built_layer(layer: Layer, input: Volume, name: str) -> keras.Model:
    """Return a model that ends behind one layer of a network of one layer."""
    model = build(network(layer, input=input))
    after = model.get_layer(name)
    return keras.Model(model.input, after.output)


# What is inside


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1), (2, 3)])
def test_l2_pooling_is_the_root_of_the_sum_of_squares(size: int, stride: int) -> None:
    layer = Layer(filters=3, activation="tanh", pooling="l2", pool_size=size, pool_stride=stride)
    architecture = network(layer)
    model = build(architecture)
    before = keras.Model(model.input, model.get_layer("conv1_tanh").output)
    behind = keras.Model(model.input, model.get_layer("global_average").input)
    x = images(architecture.input)
    values, pooled = np.asarray(before(x)), np.asarray(behind(x))
    for row in range(pooled.shape[1]):
        for column in range(pooled.shape[2]):
            window = values[:, row * stride : row * stride + size, column * stride : column * stride + size]
            expected = np.sqrt((window**2).sum(axis=(1, 2)))
            np.testing.assert_allclose(pooled[:, row, column], expected, rtol=1e-5, atol=2e-6)


def test_l2_pooling_has_a_finite_gradient_where_all_is_zero() -> None:
    layer = Layer(filters=2, pooling="l2", pool_size=2, pool_stride=2)
    model = build(network(layer))
    model.get_layer("conv1").set_weights([np.zeros((3, 3, 3, 2)), np.zeros(2)])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    model.fit(images(SMALL), np.zeros(4), epochs=1, verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_by_a_number_is_so_many_zeros_on_every_side(padding: int, stride: int) -> None:
    input = Volume(6, 7, 2)
    padded = built_layer(
        Layer(filters=3, kernel_size=3, stride=stride, padding=padding, activation="linear"), input, "conv1_linear"
    )
    kernel, bias = padded.get_layer("conv1").get_weights()
    bias += 0.5
    padded.get_layer("conv1").set_weights([kernel, bias])
    x = images(input)
    # The zeros come behind the scaling to -1..1, where zero is mid-grey.
    scaled = np.pad(x / 127.5 - 1, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    expected = np.asarray(keras.ops.conv(scaled, kernel, stride, "valid")) + bias
    np.testing.assert_allclose(np.asarray(padded(x)), expected, atol=1e-5)


def reach(model: keras.Model, input: Volume) -> int:
    """Light one column of pixels after the other, and measure how far apart those are that the middle output sees."""
    dark = np.zeros((1, *input), np.float32)
    lit = np.zeros((input.width, *input), np.float32)
    lit[np.arange(input.width), :, np.arange(input.width)] = 127.5
    without, outputs = np.asarray(model(dark)), np.asarray(model(lit))
    middle = outputs.shape[2] // 2
    seen = np.flatnonzero(np.abs(outputs - without)[:, outputs.shape[1] // 2, middle, 0] > 1e-4)
    return int(seen[-1] - seen[0] + 1)


def linear(**geometry: Any) -> Layer:
    """Return a layer of one filter without an activation, through which every pixel can be followed."""
    return Layer(filters=1, activation="linear", **geometry)


POOL = {"pooling": "average", "pool_size": 2, "pool_stride": 2}


@pytest.mark.parametrize(
    "layers",
    [
        [linear(), linear(kernel_size=5), linear(padding="valid")],
        [linear(**POOL), linear(**POOL), linear(kernel_size=5)],
        [linear(stride=2, padding=1), linear(kernel_size=2, stride=3, padding="valid"), linear(kernel_size=4)],
        [linear(kernel_size=1, stride=2, padding="valid"), linear(pooling="average", pool_size=3, pool_stride=1)],
        [linear(kernel_size=5, one_by_one=1, pooling="average", pool_size=3, pool_stride=2), linear(padding=2)],
    ],
    ids=lambda layers: "-".join(map(str, layers)),
)
def test_the_receptive_field_is_how_far_an_output_of_the_real_network_sees(layers: list[Layer]) -> None:
    architecture = network(*layers, input=Volume(61, 61, 1))
    model = build(architecture)
    model.set_weights([np.ones_like(weights) for weights in model.get_weights()])
    for step in architecture.steps:
        if step.is_filter:
            until = keras.Model(model.input, model.get_layer(step.name).output)
            assert reach(until, architecture.input) == step.receptive_field, step


# What comes out


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_tells_probabilities_that_sum_to_one(name: str) -> None:
    input = Volume(12, 9, 3)
    for candidate in candidates(preset(name, input), 5):
        found = np.asarray(build(candidate.architecture)(images(input)))
        assert found.shape == (4, 10)
        assert found.min() >= 0
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_whole_numbers_and_fractions_of_the_same_pixels_give_the_same_answer() -> None:
    model, x = build(network(Layer(filters=4))), images(SMALL)
    np.testing.assert_allclose(np.asarray(model(x.astype(np.uint8))), np.asarray(model(x)), atol=1e-6)


def test_probabilities_stay_float32_under_mixed_precision() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(network(Layer(filters=4)))
        assert model.get_layer("conv1").compute_dtype == "float16"
        assert model.output.dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_momentum_of_batch_normalisation_is_the_one_asked_for() -> None:
    architecture = network(Layer(filters=4, batch_norm=True, one_by_one=2))
    for given_momentum in (0.5, 0.99):
        model = build(architecture, given_momentum)
        assert [model.get_layer(n).momentum for n in ("conv1_norm", "mix1_norm")] == [given_momentum] * 2
    assert not model.get_layer("conv1").use_bias
    assert not model.get_layer("mix1").use_bias


def test_dropout_acts_in_training_only() -> None:
    model = build(network(Layer(filters=8, dropout=0.5), units=(8,), dropout=0.5))
    x = images(SMALL)
    assert np.array_equal(np.asarray(model(x)), np.asarray(model(x)))
    assert not np.array_equal(np.asarray(model(x, training=True)), np.asarray(model(x, training=True)))


FRESH = f"""{WITHOUT_CONVSEARCH}import keras
import numpy as np

model = keras.saving.load_model(sys.argv[1] + "/model.keras", safe_mode=True)
np.save(sys.argv[1] + "/answers.npy", np.asarray(model(np.load(sys.argv[1] + "/images.npy"))))
"""


def test_a_saved_model_needs_nothing_of_ours(tmp_path: Path) -> None:
    every = Layer(
        filters=4,
        padding=1,
        activation="leaky_relu",
        batch_norm=True,
        one_by_one=3,
        pooling="l2",
        pool_size=2,
        pool_stride=2,
        dropout=0.2,
    )
    model = build(network(every, every, pooling="flatten", units=(6,), activation="gelu", dropout=0.2))
    x = images(SMALL)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", x)
    subprocess.run([sys.executable, "-c", FRESH, str(tmp_path)], check=True, capture_output=True, timeout=PATIENCE)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), np.asarray(model(x)), atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_candidates_are_saved_and_loaded_in_safe_mode(name: str, tmp_path: Path) -> None:
    input = Volume(12, 9, 3)
    for candidate in candidates(preset(name, input), 3, seed=2):
        model, x = build(candidate.architecture), images(input)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), atol=1e-6)


# Augmentation

STRENGTHS: list[dict[str, Any]] = [
    {"horizontal_flip": True},
    {"vertical_flip": True},
    {"horizontal_flip": True, "vertical_flip": True},
    {"crop": 0.3},
    {"translation": 0.2},
    {"rotation": 30},
    {"colour_jitter": 0.5},
    {"colour_jitter": 1},
    {"greyscale": 1},
    {"crop": 0.2, "translation": 0.1, "rotation": 10, "colour_jitter": 0.2, "greyscale": 0.5, "horizontal_flip": True},
]
COLOURS_ONLY = [{"greyscale": 1}]


def vary(augmentation: dict[str, Any], x: NDArray[np.float32], training: bool) -> NDArray[np.float32]:
    varied: Any = x
    for layer in augmenter(Augmentation(**augmentation), Volume(*x.shape[1:])):
        varied = layer(varied, training=training)
    return np.asarray(varied)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("augmentation", STRENGTHS, ids=str)
def test_augmentation_leaves_images_alone_outside_training(augmentation: dict[str, Any], depth: int) -> None:
    x = images(Volume(10, 14, depth))
    assert np.array_equal(vary(augmentation, x, training=False), x)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("augmentation", STRENGTHS, ids=str)
def test_augmentation_varies_training_images_within_shape_and_value_range(
    augmentation: dict[str, Any], depth: int
) -> None:
    x = images(Volume(10, 14, depth), count=32)
    varied = vary(augmentation, x, training=True)
    assert varied.shape == x.shape
    assert varied.min() >= -1e-3
    assert varied.max() <= 255 + 1e-3
    assert np.array_equal(varied, x) == (depth == 1 and augmentation in COLOURS_ONLY)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("augmentation", [a for a in STRENGTHS if a not in COLOURS_ONLY], ids=str)
def test_each_image_of_a_batch_is_varied_in_its_own_way(augmentation: dict[str, Any], depth: int) -> None:
    same = np.repeat(images(Volume(10, 14, depth), count=1), 32, axis=0)
    ways = np.unique(vary(augmentation, same, training=True).reshape(32, -1), axis=0)
    assert len(ways) >= (2 if set(augmentation) <= {"horizontal_flip", "vertical_flip"} else 20)


@pytest.mark.parametrize("strength", [0.1, 0.3, 0.5])
def test_jittered_colours_are_both_stronger_and_paler_than_the_image_s_own(strength: float) -> None:
    x = np.tile(np.array([150.0, 110.0, 90.0], "float32"), (200, 4, 4, 1))
    spans = np.ptp(vary({"colour_jitter": strength}, x, training=True), axis=-1).mean(axis=(1, 2))
    assert 0.5 * 60 < np.median(spans) < 1.5 * 60
    assert (spans > 1.02 * 60).mean() > 0.2
    assert (spans < 0.98 * 60).mean() > 0.2


@pytest.fixture
def channels_first() -> Iterator[None]:
    """Keras as a user's `keras.json` may have set it."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    assert keras.config.image_data_format() == "channels_first"
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize("augmentation", STRENGTHS, ids=str)
def test_a_user_whose_keras_has_channels_first_gets_the_same_augmentation(
    channels_first: None, augmentation: dict[str, Any]
) -> None:
    flat = np.repeat(images(Volume(1, 1, 3), count=8), 10 * 14, axis=1).reshape(8, 10, 14, 3)
    varied = vary(augmentation, flat, training=True)
    assert varied.shape == flat.shape
    assert np.ptp(varied, axis=(1, 2)).max() < 1  # one colour stays one colour, whatever it is


def test_a_user_whose_keras_has_channels_first_gets_the_same_network(channels_first: None) -> None:
    every = Layer(filters=4, padding=1, batch_norm=True, one_by_one=3, pooling="l2", pool_size=2, pool_stride=2)
    average, most = (
        network(every, Layer(filters=2, pooling="max", pool_size=2, pool_stride=2), pooling=f"global_{how}")
        for how in ("average", "max")
    )
    for architecture in (average, most, network(every, pooling="flatten", units=(6,))):
        assert_as_computed(architecture)


def test_a_crop_enlarges_a_window_that_lies_inside_of_the_image() -> None:
    down, right = np.mgrid[0:30, 0:40].astype(np.float32)
    x = np.repeat(np.stack([down, right], axis=-1)[None], 50, axis=0)
    varied = vary({"crop": 0.4}, x, training=True)
    # A ramp stays a ramp, only less steep: nothing of its ends is mirrored or repeated.
    np.testing.assert_allclose(np.diff(varied[:, 2:-2, :, 0], axis=1), 0.6, atol=1e-3)
    np.testing.assert_allclose(np.diff(varied[:, :, 2:-2, 1], axis=2), 0.6, atol=1e-3)
    middles = varied[:, 15, 20]
    assert (np.ptp(middles, axis=0) > [8, 10]).all()


def test_a_horizontal_flip_mirrors_left_and_right_of_half_the_images() -> None:
    x = images(Volume(6, 6, 3), count=400)
    for key, axis in (("horizontal_flip", 2), ("vertical_flip", 1)):
        varied = vary({key: True}, x, training=True)
        mirrored = (varied == np.flip(x, axis)).all(axis=(1, 2, 3))
        assert (mirrored | (varied == x).all(axis=(1, 2, 3))).all()
        assert 140 < mirrored.sum() < 260


def test_greyscale_takes_the_colours_of_its_share_of_the_images() -> None:
    x = images(Volume(6, 6, 3), count=400)
    varied = vary({"greyscale": 0.5}, x, training=True)
    grey = np.ptp(varied, axis=3).max(axis=(1, 2)) < 1e-3
    assert 140 < grey.sum() < 260
    assert np.array_equal(varied[~grey], x[~grey])


def test_without_augmentation_there_are_no_layers_for_it() -> None:
    assert augmenter(Augmentation(), Volume(8, 8, 3)) == []
    assert augmenter(Augmentation(greyscale=0.5), Volume(8, 8, 1)) == []


def test_augmentation_can_stand_before_a_network_in_one_model() -> None:
    shape = Volume(10, 14, 1)
    inputs = t = keras.Input(tuple(shape))
    for layer in augmenter(Augmentation(**STRENGTHS[-1]), shape):
        t = layer(t)
    model = keras.Model(inputs, build(network(Layer(filters=2), input=shape))(t))
    model.compile(loss="sparse_categorical_crossentropy")
    model.fit(images(shape, 8).astype(np.uint8), np.arange(8) % 5, batch_size=4, verbose=0)
    assert np.asarray(model(images(shape))).shape == (4, 5)
