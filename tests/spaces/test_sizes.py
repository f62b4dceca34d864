"""Sizes of images: what a space may say of them, and candidates that take their images at one of them each."""

import random
from itertools import islice

import optuna
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from spaces_samples import INPUTS, assert_fitted, definitions, proposal, sides, space_of, space_or_none

from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.errors import InputError
from convsearch.spaces.known.portfolio import guesses
from convsearch.spaces.known.translation import values_near
from convsearch.spaces.sizes import MAX_SIDE, Size
from convsearch.spaces.space import SearchSpace

SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
SHALLOW = "layers: [1, 2]\neach_layer: {filters: [4, 8], pooling: [none, max]}\n"
PHOTOGRAPH = Volume(375, 500, 3)


def sizes_of(text: str, input: Volume = PHOTOGRAPH) -> list[str]:
    return list(space_of(f"input_size: {text}\n{SHALLOW}", input).sizes)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("auto", ["375x500"]),
        ("64", ["64x85"]),
        ("64x64", ["64x64"]),
        ("[128, 64x64, 96]", ["64x64", "96x128", "128x171"]),
        ("{min: 32, max: 96, step: 32}", ["32x43", "64x85", "96x128"]),
        ("[64, 64x85]", ["64x85"]),
        ("1", ["1x1"]),
        ("1000", ["1000x1333"]),
    ],
)
def test_a_number_is_the_shorter_side_of_the_images_own_shape(text: str, sizes: list[str]) -> None:
    assert sizes_of(text) == sizes


def test_of_upright_images_the_shorter_side_is_the_width() -> None:
    assert sizes_of("64", Volume(500, 375, 3)) == ["85x64"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "0 is out of bounds"),
        ("100000", "100000 is out of bounds"),
        ("'0x32'", f"0x32 has a side of 0; it takes sides from 1 to {MAX_SIDE}"),
        ("32x100000", f"32x100000 has a side of 100,000; it takes sides from 1 to {MAX_SIDE}"),
        ("large", "'large' is not a valid value"),
        ("64x64x3", "'64x64x3' is not a valid value"),
        ("[auto, 64]", "`auto` stands for itself"),
        ("[64, 64]", "64 is in the list twice"),
        ("{min: 64x64, max: 96}", "`min` and `max` must be numbers"),
        ("1.5", "1.5 is not a whole number"),
    ],
)
def test_what_is_no_size_is_refused_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^space.yaml:1: input_size: ") as error:
        sizes_of(text)
    assert said in str(error.value)


def test_the_input_of_the_space_holds_every_size() -> None:
    space = space_of(f"input_size: [64x32, 32x96]\n{SHALLOW}", PHOTOGRAPH)
    assert space.input == (64, 96, 3)


LISTS = st.lists(sides(), min_size=1, max_size=3)


def with_sizes(text: str, volumes: list[Volume]) -> str:
    words = list(dict.fromkeys(f"{volume.height}x{volume.width}" for volume in volumes))
    return f"input_size: [{', '.join(words)}]\n{text}"


@SLOW
@given(definitions(), LISTS, st.integers(0, 2**32))
def test_any_wish_is_fitted_to_a_network_at_one_of_the_sizes(text: str, volumes: list[Volume], seed: int) -> None:
    space = space_or_none(with_sizes(text, volumes), volumes[0])
    assume(space is not None)
    assert space is not None
    random_source = random.Random(seed)
    for _ in range(5):
        wish = proposal(space, random_source)
        fitted = space.fit(wish)
        assert space.fit(fitted) == fitted
        candidate = space.candidate(fitted)
        size = Size(*candidate.architecture.input[:2])
        assert size in space.sizes.values()
        assert fitted.get("input_size", str(size)) == str(size)
        assert_fitted(space_of(with_sizes(text, [candidate.architecture.input]), volumes[0]), without_size(fitted))


def without_size(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != "input_size"}


@SLOW
@given(definitions(), LISTS)
def test_a_space_of_several_sizes_is_the_union_of_those_of_one(text: str, volumes: list[Volume]) -> None:
    space = space_or_none(with_sizes(text, volumes), volumes[0])
    assume(space is not None)
    assert space is not None
    texts = (with_sizes(text, [Volume(size.height, size.width, 1)]) for size in space.sizes.values())
    alone = [one for one in (space_or_none(single, volumes[0]) for single in texts) if one is not None]
    assert space.architectures == sum(one.architectures for one in alone)
    assume(not space.continuous and space.architectures * space.recipes <= 300)
    found = {space.candidate(values).hash for values in space.enumerate()}
    assert found == {one.candidate(values).hash for one in alone for values in one.enumerate()}


def test_limits_for_each_pixel_are_those_of_the_candidates_own_size() -> None:
    text = f"input_size: [8, 64]\n{SHALLOW}limits: {{max_macs_per_pixel: 500}}\n"
    space = space_of(text, Volume(64, 64, 3))
    for values in islice(space.enumerate(), 50):
        architecture = space.candidate(values).architecture
        assert architecture.macs <= 500 * architecture.input.height * architecture.input.width


def test_a_size_at_which_nothing_fits_is_never_taken() -> None:
    space = space_of("input_size: [2x2, 16x16]\nlayers: 2\neach_layer: {filters: 4, kernel_size: 3, padding: valid}\n")
    fitted = space.fit(
        {"input_size": "2x2", **{name: d.draw(random.Random(0)) for name, d in space.dimensions.items()}}
    )
    assert fitted["input_size"] == "16x16"


def test_networks_of_other_images_get_the_size_nearest_to_theirs() -> None:
    space = space_of(f"input_size: [32, 64, 128]\n{SHALLOW}", Volume(128, 128, 3))
    for side, nearest in ((8, "32x32"), (40, "32x32"), (60, "64x64"), (500, "128x128")):
        other = space_of(SHALLOW, Volume(side, side, 3), 5)
        values = values_near(space, other.candidate(other.draw(random.Random(0))))
        assert values is not None
        assert values["input_size"] == nearest


def test_the_portfolio_takes_the_size_that_it_is_given() -> None:
    space = SearchSpace(space_of("input_size: [32, 64]\nlayers: [3, 5]\n").definition, Volume(64, 64, 3), 10)
    assert {values["input_size"] for values in guesses(space, 100, "64x64")} == {"64x64"}
    assert {values["input_size"] for values in guesses(space, 100)} == {"32x32"}


def test_optuna_and_keras_tuner_know_the_sizes_by_their_words() -> None:
    from convsearch.search.engines.hyperparameters import decoded, hyperparameters

    space = space_of(f"input_size: [8, 16]\n{SHALLOW}", INPUTS[3])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(20):
        trial = study.ask()
        candidate = space.suggest(trial)
        seen.add(trial.params["input_size"])
        assert str(Size(*candidate.architecture.input[:2])) == trial.params["input_size"]
    assert seen == set(space.sizes)
    chosen = hyperparameters(space).values["input_size"]
    assert decoded(space.dimensions["input_size"], chosen) in space.sizes
