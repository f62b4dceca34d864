"""The first proposals of a study."""

import pytest

from convsearch.search.engines.guesses import guesses
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse, presets
from convsearch.spaces.space import SearchSpace


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize("volume", [Volume(8, 8, 1), Volume(32, 32, 3), Volume(7, 300, 3)])
def test_guesses_fit_every_preset_and_keep_its_limits(preset: str, volume: Volume) -> None:
    space = SearchSpace(load(preset), volume, 10)
    found = list(guesses(space))
    assert found
    for values in found:
        assert space.fit(values) == values
        assert space.excess(space.candidate(values)) is None


def test_in_the_default_space_it_is_the_plain_network_of_the_textbooks() -> None:
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    plain, mirrored = (space.candidate(values) for values in guesses(space))
    assert str(plain.architecture) == "32c3-mp2-64c3-mp2-128c3-mp2-gap-10"
    assert plain.architecture == mirrored.architecture
    assert [c.recipe.augmentation.horizontal_flip for c in (plain, mirrored)] == [False, True]


def test_without_pools_strides_make_the_volume_smaller() -> None:
    space = SearchSpace(load("all_convolutional"), Volume(32, 32, 3), 10)
    strides = [layer.stride for layer in space.candidate(next(guesses(space))).architecture.layers]
    assert strides == [2, 2, 2]


def test_a_space_that_is_too_small_for_every_guess_gets_none() -> None:
    text = "layers: 1\neach_layer: {filters: [1, 4], kernel_size: [1, 9]}\nlimits: {max_macs: 100}"
    space = SearchSpace(parse(text, "my.yaml"), Volume(8, 8, 1), 2)
    assert list(guesses(space)) == []
