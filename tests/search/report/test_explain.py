"""The arithmetic of a network layer by layer, and what `check` finds of a space."""

from itertools import pairwise

import pytest

from convsearch.search.report.check import checked
from convsearch.search.report.explain import explained, formula
from convsearch.spaces.architecture import Architecture, Head, Layer
from convsearch.spaces.arithmetic import Step, Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.memory.limit import Memory
from convsearch.spaces.space import SearchSpace

WORKER = Memory(limit=4 * 10**9)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "said"),
    [
        (32, 5, 1, "valid", "(32 - 5 + 0) / 1 + 1 = 28"),
        (32, 3, 2, 1, "(32 - 3 + 2) / 2 + 1 = 16 (remainder 1)"),
        (7, 3, 2, 0, "(7 - 3 + 0) / 2 + 1 = 3"),
        (8, 3, 1, "same", "(8 - 3 + 2) / 1 + 1 = 8"),
    ],
)
def test_the_formula_has_the_numbers_of_the_layer(
    size: int, kernel: int, stride: int, padding: object, said: str
) -> None:
    volume = Volume(size, size, 1)
    assert formula(size, Step("conv1", "conv", volume, volume, kernel, stride, padding)) == said  # type: ignore[arg-type]


def test_the_steps_follow_from_each_other_and_end_in_the_classes() -> None:
    architecture = Architecture(
        input=Volume(30, 20, 3),
        layers=(
            Layer(filters=8, kernel_size=5, padding="valid", pooling="max", pool_size=2, pool_stride=2),
            Layer(filters=16, kernel_size=3, stride=2, padding=1, batch_norm=True),
        ),
        head=Head(pooling="flatten", units=(32,)),
        classes=4,
    )
    found = explained(architecture)
    steps = found["steps"]
    assert steps[0]["before"] == [30, 20, 3]
    assert steps[-1]["after"] == [1, 1, 4]
    for one, other in pairwise(steps):
        assert one["after"] == other["before"]
    # Both sides of a volume that is not square have their own numbers.
    assert steps[0]["formula"] == ["(30 - 5 + 0) / 1 + 1 = 26", "(20 - 5 + 0) / 1 + 1 = 16"]
    assert {step["kind"] for step in steps if step["formula"]} == {"conv", "max"}
    assert sum(step["macs"] for step in steps) == found["macs"] == architecture.macs
    assert sum(step["parameters"] for step in steps) == found["parameters"] == architecture.parameters


def test_the_count_of_a_space_is_exact_where_nothing_limits_it_and_a_bound_where_something_does() -> None:
    text = "layers: [1, 2]\neach_layer: {filters: [4, 8], kernel_size: [3, 5]}\n"
    exact = checked(SearchSpace(parse(text, "mine.yaml"), Volume(8, 8, 1), 10), WORKER)
    assert (exact["architectures_are"], exact["architectures"], exact["within_limits"]) == ("exactly", 4 + 16, 1.0)
    limited = parse(text + "limits: {max_parameters: 500}\n", "mine.yaml")
    bound = checked(SearchSpace(limited, Volume(8, 8, 1), 10), WORKER)
    assert (bound["architectures_are"], bound["architectures"]) == ("at most", 20)
    assert 0 < bound["within_limits"] < 1
    assert bound["spread"]["parameters"]["most"] <= 500


def test_check_finds_the_same_each_time() -> None:
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    assert checked(space, WORKER) == checked(space, WORKER)
