import json
import os
import random
import subprocess
import sys
from itertools import pairwise, product
from typing import Any

import pytest
from pydantic import ValidationError
from spaces_samples import INPUTS, PRESETS, candidates, preset

from convsearch.spaces.architecture import MAX_LAYERS, Architecture, Augmentation, Candidate, Head, Layer, Recipe, names
from convsearch.spaces.architecture import Optimizer as OptimizerWord
from convsearch.spaces.arithmetic import Volume

PLAIN = Layer(filters=8)
POOLED = Layer(filters=8, pooling="max", pool_size=2, pool_stride=2)


def network(*layers: Layer, input: Volume = INPUTS[2], **head: Any) -> Architecture:
    return Architecture(input=input, layers=layers, head=Head(**head), classes=10)


# Values


@pytest.mark.parametrize("input", INPUTS, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_a_candidate_comes_back_from_json_as_it_was(name: str, input: Volume) -> None:
    for candidate in candidates(preset(name, input), 20):
        hash_before = candidate.hash
        text = candidate.model_dump_json()
        again = Candidate.model_validate_json(text)
        assert again == candidate
        assert again.hash == hash_before
        assert again.architecture.steps == candidate.architecture.steps
        assert isinstance(again.architecture.input, Volume)
        assert Candidate.model_validate(json.loads(json.dumps(json.loads(text), sort_keys=True))) == candidate


def test_equal_candidates_have_equal_hashes_on_every_machine() -> None:
    program = (
        "import sys; from convsearch.spaces.architecture import Candidate;"
        "print(Candidate.model_validate_json(sys.argv[1]).hash)"
    )
    candidate = next(candidates(preset("classic"), 1))
    arguments = [sys.executable, "-c", program, candidate.model_dump_json()]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == candidate.hash


def test_different_candidates_have_different_hashes() -> None:
    found = list(candidates(preset("classic"), 500))
    assert len({candidate.hash for candidate in found}) == len(set(found)) > 490


def test_candidates_are_compared_by_value() -> None:
    one = Candidate(architecture=network(PLAIN, POOLED))
    other = Candidate(architecture=network(Layer(filters=8), POOLED), recipe=Recipe())
    # What one has computed and the other has not makes no difference.
    assert one.architecture.parameters > 0
    assert len(one.hash) == 16
    assert one == other
    assert hash(one) == hash(other)
    assert one != Candidate(architecture=network(POOLED, PLAIN))
    assert one != Candidate(architecture=one.architecture, recipe=Recipe(batch_size=16))


def test_whole_numbers_and_fractions_of_the_same_value_make_the_same_candidate() -> None:
    one = Candidate(architecture=network(Layer(filters=8, dropout=0)), recipe=Recipe(learning_rate=1))
    other = Candidate(architecture=network(Layer(filters=8, dropout=0.0)), recipe=Recipe(learning_rate=1.0))
    assert one == other
    assert one.hash == other.hash


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("architecture",),
        ("architecture", "layers", 0),
        ("architecture", "head"),
        ("recipe",),
        ("recipe", "augmentation"),
    ],
)
def test_an_unknown_key_is_refused_at_every_depth(path: tuple[str | int, ...]) -> None:
    data = json.loads(Candidate(architecture=network(PLAIN)).model_dump_json())
    place = data
    for key in path:
        place = place[key]
    place["colour"] = "red"
    with pytest.raises(ValidationError, match="colour"):
        Candidate.model_validate(data)


def test_a_candidate_cannot_be_changed() -> None:
    candidate = Candidate(architecture=network(PLAIN))
    with pytest.raises(ValidationError, match="frozen"):
        candidate.architecture.layers[0].filters = 9  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        candidate.recipe = Recipe()  # type: ignore[misc]


@pytest.mark.parametrize(
    "pool",
    [{"pooling": "max"}, {"pooling": "max", "pool_size": 2}, {"pool_size": 2, "pool_stride": 2}, {"pool_stride": 1}],
)
def test_a_pool_has_a_size_and_a_stride_and_no_pool_has_neither(pool: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="both are at least 1 where there is a pool, and 0 where there is none"):
        Layer(filters=8, **pool)


@pytest.mark.parametrize(
    "wrong",
    [
        {"filters": 0},
        {"kernel_size": 0},
        {"stride": 0},
        {"padding": -1},
        {"padding": "full"},
        {"activation": "relo"},
        {"dropout": 1.0},
        {"one_by_one": -1},
    ],
)
def test_what_no_layer_can_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Layer(**{"filters": 8, **wrong})


def test_a_network_has_a_layer_and_two_classes_at_least_and_not_endlessly_many_layers() -> None:
    assert len(network(*[PLAIN] * MAX_LAYERS).layers) == MAX_LAYERS
    for layers, classes in [((), 10), ((PLAIN,) * (MAX_LAYERS + 1), 10), ((PLAIN,), 1)]:
        with pytest.raises(ValidationError):
            Architecture(input=INPUTS[0], layers=layers, classes=classes)


def test_a_network_whose_volume_vanishes_is_refused_with_the_layer_that_does_not_fit() -> None:
    with pytest.raises(ValidationError, match=r"pool2 does not fit: a max of size 2, stride 2 .* makes 2x0x8 of 4x1x8"):
        network(POOLED, POOLED, input=Volume(9, 3, 1))
    with pytest.raises(ValidationError, match="conv1 does not fit: a conv of size 5, stride 1 and padding valid"):
        network(Layer(filters=8, kernel_size=5, padding="valid"), input=Volume(9, 4, 1))


@pytest.mark.parametrize(
    "wrong",
    [{"optimizer": "adma"}, {"learning_rate": 0}, {"weight_decay": -1}, {"batch_size": 0}, {"schedule": "none"}],
)
def test_what_no_recipe_can_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_the_words_of_a_key_are_known() -> None:
    assert names(OptimizerWord) == ("adamw", "adam", "nadam", "sgd", "rmsprop")


# The one-line form


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        (network(Layer(filters=32), Layer(filters=64, stride=2)), "32c3-64c3s2-gap-10"),
        (
            network(
                Layer(filters=32, pooling="max", pool_size=2, pool_stride=2),
                Layer(filters=64, pooling="max", pool_size=2, pool_stride=2),
            ),
            "32c3-mp2-64c3-mp2-gap-10",
        ),
        (network(Layer(filters=8, kernel_size=5, padding="valid"), pooling="flatten"), "8c5v-flat-10"),
        (network(Layer(filters=8, kernel_size=5, stride=2, padding=2), pooling="global_max"), "8c5s2p2-gmp-10"),
        (network(Layer(filters=8, padding=0)), "8c3p0-gap-10"),
        (network(Layer(filters=8, pooling="average", pool_size=3, pool_stride=2)), "8c3-ap3s2-gap-10"),
        (network(Layer(filters=8, one_by_one=4, pooling="l2", pool_size=2, pool_stride=2)), "8c3-4c1-lp2-gap-10"),
        (network(PLAIN, pooling="flatten", units=(64, 32)), "8c3-flat-64d-32d-10"),
        (network(Layer(filters=8, batch_norm=True, dropout=0.5, activation="elu"), dropout=0.5), "8c3-gap-10"),
    ],
)
def test_a_network_reads_in_one_line(architecture: Architecture, expected: str) -> None:
    assert str(architecture) == expected


# The steps


def test_the_steps_are_the_keras_layers_in_order() -> None:
    full = Layer(
        filters=8,
        activation="elu",
        batch_norm=True,
        one_by_one=4,
        pooling="l2",
        pool_size=2,
        pool_stride=2,
        dropout=0.1,
    )
    architecture = network(full, PLAIN, pooling="flatten", units=(16,), activation="tanh", dropout=0.2)
    assert [(step.name, step.kind) for step in architecture.steps] == [
        ("conv1", "conv"),
        ("conv1_norm", "batch_norm"),
        ("conv1_elu", "activation"),
        ("mix1", "conv"),
        ("mix1_norm", "batch_norm"),
        ("mix1_elu", "activation"),
        ("pool1", "l2"),
        ("dropout1", "dropout"),
        ("conv2", "conv"),
        ("conv2_relu", "activation"),
        ("flatten", "head"),
        ("hidden1_dropout", "dropout"),
        ("hidden1", "dense"),
        ("hidden1_tanh", "activation"),
        ("classes_dropout", "dropout"),
        ("classes", "dense"),
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_each_step_begins_with_the_volume_that_the_one_before_left(name: str) -> None:
    for candidate in candidates(preset(name), 100):
        steps = candidate.architecture.steps
        assert steps[0].before == candidate.architecture.input
        assert all(one.after == other.before for one, other in pairwise(steps))
        assert steps[-1].after == (1, 1, 10)
        assert len({step.name for step in steps}) == len(steps)
        assert all(one.receptive_field <= other.receptive_field for one, other in pairwise(steps))


def test_lenet_has_the_figures_of_the_textbooks() -> None:
    lenet = Architecture(
        input=Volume(32, 32, 1),
        layers=(
            Layer(filters=6, kernel_size=5, padding="valid", pooling="average", pool_size=2, pool_stride=2),
            Layer(filters=16, kernel_size=5, padding="valid", pooling="average", pool_size=2, pool_stride=2),
        ),
        head=Head(pooling="flatten", units=(120, 84)),
        classes=10,
    )
    by_name = {step.name: step for step in lenet.steps}
    volumes = [str(by_name[name].after) for name in ("conv1", "pool1", "conv2", "pool2", "flatten")]
    assert volumes == ["28x28x6", "14x14x6", "10x10x16", "5x5x16", "1x1x400"]
    assert [by_name[name].parameters for name in ("conv1", "conv2", "hidden1", "hidden2", "classes")] == [
        156,
        2416,
        48120,
        10164,
        850,
    ]
    assert lenet.parameters == 61_706
    assert lenet.macs == 117_600 + 240_000 + 48_000 + 10_080 + 840
    assert [by_name[name].receptive_field for name in ("conv1", "pool1", "conv2", "pool2")] == [5, 6, 14, 16]
    # Every pixel is read without a remainder, so the head sees the image and not a pixel more.
    assert by_name["flatten"].receptive_field == 32


def products(architecture: Architecture) -> int:
    """Count the multiplications one by one: each output of each filter meets each weight of that filter once."""
    total = 0
    for step in architecture.steps:
        if step.kind == "dense":
            total += sum(1 for _ in product(range(step.before.size), range(step.after.depth)))
        elif step.kind == "conv":
            weights = [range(step.kernel_size), range(step.kernel_size), range(step.before.depth)]
            total += sum(1 for _ in product(*map(range, step.after), *weights))
    return total


def test_macs_are_the_multiplications_counted_one_by_one() -> None:
    for name in PRESETS:
        for candidate in candidates(preset(name, Volume(6, 9, 1)), 6):
            if candidate.architecture.macs < 1_000_000:
                assert candidate.architecture.macs == products(candidate.architecture)
    small = network(Layer(filters=3, stride=2, one_by_one=2), input=Volume(5, 7, 2), units=(4,))
    assert small.macs == products(small) == 3 * 4 * 3 * 18 + 3 * 4 * 2 * 3 + 2 * 4 + 4 * 10


def test_activations_are_four_bytes_for_each_value_of_each_layer() -> None:
    small = network(Layer(filters=3, pooling="max", pool_size=2, pool_stride=2), input=Volume(4, 6, 1))
    conv = relu = 4 * 6 * 3
    assert small.activation_bytes == 4 * (conv + relu + 2 * 3 * 3 + 3 + 10)


def test_the_whole_of_a_long_image_is_seen_behind_the_head() -> None:
    long = network(Layer(filters=2, padding="valid"), Layer(filters=2, padding="valid"), input=Volume(7, 300, 3))
    assert [step.receptive_field for step in long.steps if step.kind in ("conv", "head")] == [3, 5, 300]


# Flat


@pytest.mark.parametrize("name", PRESETS)
def test_every_choice_of_a_space_is_found_flat_under_its_name(name: str) -> None:
    space, random_source = preset(name), random.Random(0)
    for _ in range(50):
        values = space.draw(random_source)
        flat = space.candidate(values).flat()
        for key, value in values.items():
            section, _, rest = key.rpartition(".")
            if section == "all_layers":
                assert {flat[f"layer{i}.{rest}"] for i in range(1, int(values["layers"]) + 1)} == {value}
            elif value != "size":
                assert flat[key] == value, key


def test_flat_holds_the_fixed_choices_too() -> None:
    flat = Candidate(
        architecture=network(POOLED, units=(64,)), recipe=Recipe(augmentation=Augmentation(crop=0.1))
    ).flat()
    assert flat["layers"] == 1
    assert flat["layer1.pool_size"] == 2
    assert flat["head.hidden_layers"] == 1
    assert flat["head.units1"] == 64
    assert flat["optimizer"] == "adamw"
    assert flat["augmentation.crop"] == 0.1
    assert all(isinstance(value, str | int | float) for value in flat.values())


@pytest.mark.parametrize(
    ("key", "value"), [("classes", 10**400), ("input", (0, 8, 1)), ("input", (10**400, 8, 1)), ("input", (-8, -8, 3))]
)
def test_sizes_that_nothing_can_have_are_refused(key: str, value: object) -> None:
    given = {"input": (8, 8, 1), "layers": (Layer(filters=4),), "classes": 2}
    Architecture.model_validate(given)
    with pytest.raises(ValidationError, match=key):
        Architecture.model_validate(given | {key: value})
