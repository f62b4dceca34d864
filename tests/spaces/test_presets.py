import random

import pytest
from spaces_samples import INPUTS, PRESETS, assert_fitted, preset, proposal

from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import DEFAULTS, load, presets
from convsearch.spaces.space import SearchSpace

PER_INPUT = 600  # 3,000 for each preset, 15,000 in all


def test_the_presets_are_those_that_the_design_names() -> None:
    assert PRESETS == ["all_convolutional", "classic", "network_in_network", "textbook", "tiny"]


@pytest.mark.parametrize("input", INPUTS, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_every_wish_is_fitted_to_what_can_be_built(name: str, input: Volume) -> None:
    space, random_source = preset(name, input), random.Random(f"{name} {input}")
    layers = set()
    for _ in range(PER_INPUT):
        wish = proposal(space, random_source)
        fitted = space.fit(wish)
        candidate = assert_fitted(space, fitted)
        layers.add(len(candidate.architecture.layers))
        # What did not have to change did not: the recipe knows no volume.
        assert all(fitted[key] == wish[key] for key in DEFAULTS["recipe"] if key in fitted)
    assert layers == {int(value) for value in space.all_dimensions["layers"].values or ()}


@pytest.mark.parametrize("name", PRESETS)
def test_a_wish_is_fitted_alike_whatever_was_fitted_before(name: str) -> None:
    # Nothing that fitting remembers may change its answers.
    fresh, old = preset(name), preset(name)
    for values in [old.draw(random.Random(seed)) for seed in range(100, 200)]:
        old.fit(values)
    for seed in range(50):
        wish = proposal(fresh, random.Random(seed))
        assert fresh.fit(wish) == old.fit(wish)
        assert fresh.fit(dict(reversed(wish.items()))) == fresh.fit(wish)


@pytest.mark.parametrize("input", INPUTS, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_the_limits_of_a_preset_leave_enough_to_search(name: str, input: Volume) -> None:
    space, random_source = preset(name, input), random.Random(0)
    drawn = [space.candidate(space.draw(random_source)) for _ in range(200)]
    assert sum(space.excess(candidate) is None for candidate in drawn) >= 20


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_in_a_line_what_it_is(name: str) -> None:
    definition = load(name)
    assert 10 < len(definition.description) < 100
    text = presets()[name].read_text(encoding="utf-8")
    assert text.startswith(f"# {name}: ")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("input", [Volume(1, 1, 1), Volume(2, 3, 3), Volume(224, 224, 3)], ids=str)
def test_presets_serve_the_smallest_and_large_images(name: str, input: Volume) -> None:
    space, random_source = SearchSpace(load(name), input, 2), random.Random(0)
    for _ in range(20):
        assert_fitted(space, space.draw(random_source))
