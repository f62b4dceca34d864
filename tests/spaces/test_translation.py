"""A candidate of one space in another."""

import random

import pytest

from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse, presets
from convsearch.spaces.known.translation import values_near
from convsearch.spaces.space import SearchSpace


def space(name: str, *input: int) -> SearchSpace:
    return SearchSpace(load(name), Volume(*input), 10)


@pytest.mark.parametrize("name", presets())
def test_in_its_own_space_a_candidate_stays_what_it_is(name: str) -> None:
    own, source = space(name, 32, 32, 3), random.Random(0)
    for _ in range(50):
        values = own.draw(source)
        candidate = own.candidate(values)
        if own.excess(candidate) is None:
            near = values_near(own, candidate)
            assert near is not None
            assert own.candidate(near) == candidate


@pytest.mark.parametrize("other", presets())
@pytest.mark.parametrize("input", [(8, 8, 1), (28, 28, 1), (96, 64, 3)])
def test_in_any_other_space_and_on_any_input_it_becomes_something_that_fits(
    other: str, input: tuple[int, int, int]
) -> None:
    here, there, source = space("classic", 32, 32, 3), space(other, *input), random.Random(1)
    for _ in range(30):
        near = values_near(there, here.candidate(here.draw(source)))
        if near is not None:
            assert there.fit(near) == near
            assert there.excess(there.candidate(near)) is None


def test_what_both_spaces_know_is_kept() -> None:
    here = space("classic", 32, 32, 3)
    there = SearchSpace(
        parse("layers: [2, 3]\neach_layer: {filters: [8, 64], activation: [relu, gelu]}\n", "my.yaml"),
        Volume(28, 28, 1),
        3,
    )
    candidate = here.candidate(
        here.draw(random.Random(3))
        | {"layers": 2, "layer1.filters": 48, "layer2.filters": 96, "all_layers.activation": "gelu"}
    )
    near = values_near(there, candidate)
    assert near is not None
    assert near["layers"] == 2
    assert [near["layer1.filters"], near["layer2.filters"]] == [64, 64]
    assert near["layer1.activation"] == near["layer2.activation"] == "gelu"


def test_what_exceeds_the_limits_has_no_place() -> None:
    here, source = space("classic", 32, 32, 3), random.Random(0)
    there = SearchSpace(
        parse("layers: [1, 2]\neach_layer: {filters: [1, 128]}\nlimits: {max_parameters: 500}\n", "my.yaml"),
        Volume(32, 32, 3),
        10,
    )
    found = [values_near(there, here.candidate(here.draw(source))) for _ in range(20)]
    assert None in found
