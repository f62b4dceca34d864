import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from spaces_samples import PRESETS, WITHOUT_CONVSEARCH, candidates, preset
from terminal import PATIENCE

from convsearch.spaces.architecture import Activation, Architecture, Head, Layer, names
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.building.model import build
from convsearch.spaces.building.program import source

INPUT = Volume(12, 9, 3)
EVERYTHING = Architecture(
    input=INPUT,
    layers=(
        Layer(filters=4, padding=1, activation="leaky_relu", batch_norm=True, one_by_one=3, dropout=0.1),
        Layer(filters=4, kernel_size=2, stride=2, padding="valid", pooling="l2", pool_size=2, pool_stride=1),
    ),
    head=Head(pooling="flatten", units=(6, 5), activation="gelu", dropout=0.2),
    classes=3,
)


def rename() -> None:
    """Have Keras count anew, so that two models name their unnamed operations alike."""
    keras.backend.clear_session(free_memory=False)


def executed(text: str) -> keras.Model:
    """Return the model that the text builds in a namespace of its own."""
    rename()
    return executed_as_keras_is(text)


def executed_as_keras_is(text: str) -> keras.Model:
    """The same, by Keras as it is set: `rename` forgets the policy."""
    namespace: dict[str, Any] = {"__name__": "network"}
    exec(compile(text, "network.py", "exec"), namespace)
    return namespace["build_model"]()


def built(architecture: Architecture, momentum: float = 0.9) -> keras.Model:
    rename()
    return build(architecture, momentum)


def images(count: int = 3, input: Volume = INPUT) -> NDArray[np.float32]:
    return np.random.default_rng(0).integers(0, 256, (count, *input)).astype(np.float32)


def assert_same_model(architecture: Architecture) -> None:
    one, other = built(architecture), executed(source(architecture))
    assert other.get_config() == one.get_config()
    random_source = np.random.default_rng(1)
    # Positive, because a moving variance is among them.
    weights = [random_source.uniform(0.05, 0.5, w.shape) for w in one.get_weights()]
    one.set_weights(weights)
    other.set_weights(weights)
    x = images(input=architecture.input)
    np.testing.assert_array_equal(np.asarray(other(x)), np.asarray(one(x)))


@pytest.mark.parametrize("name", PRESETS)
def test_the_source_builds_the_same_model_as_build(name: str) -> None:
    for candidate in candidates(preset(name, INPUT), 25, seed=3):
        assert_same_model(candidate.architecture)


def test_the_source_of_a_network_with_everything_in_it_builds_the_same_model() -> None:
    assert_same_model(EVERYTHING)


@pytest.mark.parametrize("activation", names(Activation))
def test_the_source_knows_every_activation(activation: str) -> None:
    layer = Layer(filters=2, activation=activation, batch_norm=True)  # type: ignore[arg-type]
    head = Head(units=(3,), activation=activation)  # type: ignore[arg-type]
    assert_same_model(Architecture(input=INPUT, layers=(layer,), head=head, classes=2))


def test_the_source_states_the_momentum_that_was_trained_with() -> None:
    one, other = built(EVERYTHING, 0.75), executed(source(EVERYTHING, 0.75))
    assert other.get_config() == one.get_config()
    assert other.get_layer("conv1_norm").momentum == 0.75


def test_the_source_tells_what_it_builds_with_the_volumes() -> None:
    text = source(EVERYTHING)
    assert text.startswith('"""4c3p1-3c1-4c2s2v-lp2s1-flat-6d-5d-3\n')
    assert f"{EVERYTHING.parameters:,} parameters, {EVERYTHING.macs:,} multiply-accumulates an image" in text
    assert "shape (batch, 12, 9, 3)" in text
    assert "# Layer 1: 12x9x3 -> 12x9x3\n" in text
    assert "# Layer 2: 12x9x3 -> 5x3x4\n" in text
    assert "convsearch." not in text
    assert "import ops" not in text.replace("layers, ops", "")


@pytest.mark.parametrize("policy", ["float16", "float64", "mixed_float16"])
def test_the_source_builds_the_same_model_whatever_keras_is_set_to_and_leaves_that_as_it_was(policy: str) -> None:
    expected = built(EVERYTHING)
    before = keras.config.floatx(), keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy(policy)
    try:
        model = executed_as_keras_is(source(EVERYTHING))
        assert keras.config.dtype_policy().name == policy
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_image_data_format(before[1])
        keras.config.set_dtype_policy("float32")
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.get_layer("conv1").compute_dtype == ("float16" if policy == "mixed_float16" else "float32")
    model.set_weights(expected.get_weights())
    tolerance = 1e-2 if policy == "mixed_float16" else 0
    np.testing.assert_allclose(np.asarray(model(images())), np.asarray(expected(images())), atol=tolerance)


def test_operations_are_imported_only_where_they_are_used() -> None:
    plain = source(Architecture(input=INPUT, layers=(Layer(filters=2),), classes=2))
    assert "ops" not in plain
    assert "from keras import layers, ops\n" in source(EVERYTHING)


FRESH = f"""{WITHOUT_CONVSEARCH}import runpy
folder = sys.argv[1]
import numpy as np

module = runpy.run_path(folder + "/network.py", run_name="__main__")
model = module["build_model"]()
model.load_weights(folder + "/model.keras")
np.save(folder + "/answers.npy", np.asarray(model(np.load(folder + "/images.npy"))))
"""


def test_the_source_runs_where_nothing_of_ours_is_and_takes_the_trained_weights(tmp_path: Path) -> None:
    model, x = built(EVERYTHING), images()
    model.save(tmp_path / "model.keras")
    (tmp_path / "network.py").write_text(source(EVERYTHING), encoding="utf-8")
    np.save(tmp_path / "images.npy", x)
    arguments = [sys.executable, "-c", FRESH, str(tmp_path)]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == 0, run.stderr
    # Run as a program it prints what it built.
    assert f"Total params: {EVERYTHING.parameters:,}" in run.stdout
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), np.asarray(model(x)), atol=1e-6)
