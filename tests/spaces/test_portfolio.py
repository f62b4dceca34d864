"""The first proposals of a study."""

import pytest

from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse, presets
from convsearch.spaces.known.portfolio import guesses, portfolio
from convsearch.spaces.space import SearchSpace

IMAGES = 4000  # to train on


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize("volume", [Volume(8, 8, 1), Volume(32, 32, 3), Volume(7, 300, 3)])
def test_guesses_fit_every_preset_and_keep_its_limits(preset: str, volume: Volume) -> None:
    space = SearchSpace(load(preset), volume, 10)
    found = list(guesses(space, IMAGES))
    assert found or not any(depth in (3, 5) for depth in space.all_dimensions["layers"].values or ())
    for values in found:
        assert space.fit(values) == values
        assert space.excess(space.candidate(values)) is None


def test_in_the_default_space_every_entry_is_as_it_was_written() -> None:
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    found = [space.candidate(values) for values in guesses(space, IMAGES)]
    assert [str(candidate.architecture) for candidate in found] == [
        "16c3-mp2-32c3-32c3-mp2-64c3-64c3-mp2-gap-10",
        "32c3-mp2-64c3-64c3-mp2-128c3-128c3-mp2-gap-10",
        "32c3-mp2-64c3-mp2-128c3-mp2-gap-10",
    ]
    assert {candidate.recipe.learning_rate for candidate in found} == {0.003}
    assert not any(candidate.recipe.augmentation.horizontal_flip for candidate in found)


def test_a_few_images_are_trained_on_in_smaller_batches() -> None:
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    for images, batch in ((IMAGES, 64), (640, 64), (300, 32), (10, 32)):
        assert {values["batch_size"] for values in guesses(space, images)} == {batch}


def test_on_small_images_only_as_much_is_pooled_as_there_is() -> None:
    space = SearchSpace(load("classic"), Volume(8, 8, 1), 10)
    for values in guesses(space, IMAGES):
        layers = space.candidate(values).architecture.layers
        assert sum(layer.pooling != "none" for layer in layers) == 3  # 8, 4, 2, 1
    small = SearchSpace(load("classic"), Volume(4, 4, 1), 10)
    for values in guesses(small, IMAGES):
        layers = small.candidate(values).architecture.layers
        assert [layer.pooling for layer in layers[-1:]] == ["none"]


def test_an_entry_that_the_space_does_not_allow_is_skipped_with_the_reason() -> None:
    text = "layers: [3, 4]\neach_layer: {filters: [8, 16, 32, 64, 128]}\nlimits: {max_parameters: 1_000_000}"
    space = SearchSpace(parse(text, "my.yaml"), Volume(32, 32, 3), 2)
    found = {guess.name: guess for guess in portfolio(space, IMAGES)}
    assert found["plain"].values is not None
    assert (found["paired"].values, found["paired"].reason) == (None, "it has 5 layers, the space allows 3 to 4")


def test_within_tight_limits_it_has_fewer_filters() -> None:
    text = "layers: 3\neach_layer: {filters: [4, 8, 16, 32, 64, 128]}\nlimits: {max_parameters: 8_000}"
    space = SearchSpace(parse(text, "my.yaml"), Volume(32, 32, 3), 2)
    (values,) = guesses(space, IMAGES)
    assert [values[f"layer{number}.filters"] for number in (1, 2, 3)] == [8, 16, 32]


def test_without_pools_strides_make_the_volume_smaller() -> None:
    space = SearchSpace(load("all_convolutional"), Volume(32, 32, 3), 10)
    found = [space.candidate(values).architecture.layers for values in guesses(space, IMAGES)]
    strides = [[layer.stride for layer in layers] for layers in found]
    assert strides[0] == [2, 1, 2, 1, 2]
    assert strides[-1] == [2, 2, 2]


def test_a_space_that_is_too_small_for_every_guess_gets_none() -> None:
    text = "layers: 1\neach_layer: {filters: [1, 4], kernel_size: [1, 9]}\nlimits: {max_macs: 100}"
    space = SearchSpace(parse(text, "my.yaml"), Volume(8, 8, 1), 2)
    assert list(guesses(space, IMAGES)) == []
    assert all(guess.reason for guess in portfolio(space, IMAGES))
