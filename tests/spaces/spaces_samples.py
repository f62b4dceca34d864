"""What the tests of the spaces share: inputs, short ways to a space, and whole definitions for hypothesis."""

import random
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import strategies as st
from pydantic import ValidationError

from convsearch.spaces.architecture import Architecture, Candidate
from convsearch.spaces.arithmetic import Volume, doubled_padding, fits_exactly
from convsearch.spaces.definition import load, parse, presets
from convsearch.spaces.dimension import Options
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace, Values

INPUTS = [Volume(8, 8, 1), Volume(28, 28, 1), Volume(32, 32, 3), Volume(96, 64, 3), Volume(7, 300, 3)]
PRESETS = sorted(presets())


def space_of(text: str, input: Volume = INPUTS[0], classes: int = 10) -> SearchSpace:
    """Return the space of a YAML text."""
    return SearchSpace(parse(text, "space.yaml"), input, classes)


def preset(name: str, input: Volume = INPUTS[2], classes: int = 10) -> SearchSpace:
    return SearchSpace(load(name), input, classes)


def proposal(space: SearchSpace, random_source: random.Random) -> Values:
    """Return a value for every dimension, whether they go together or not: what an engine wishes."""
    return {name: dimension.draw(random_source) for name, dimension in space.dimensions.items()}


def candidates(space: SearchSpace, count: int, seed: int = 0) -> Iterator[Candidate]:
    random_source = random.Random(seed)
    for _ in range(count):
        yield space.candidate(space.draw(random_source))


def assert_every_volume_fits(architecture: Architecture, exact: bool) -> None:
    """Every volume has a pixel at least, no filter sees zeros only, and nothing is left over where `exact`."""
    for step in architecture.steps:
        assert min(step.after) >= 1, (str(architecture), step)
        if not step.is_filter:
            continue
        sides = (step.before.height, step.before.width)
        padding = doubled_padding(step.kernel_size, step.padding)
        assert all(step.kernel_size <= side + padding for side in sides), (str(architecture), step)
        if isinstance(step.padding, int):
            assert step.padding < step.kernel_size, (str(architecture), step)
        if exact:
            assert all(fits_exactly(side, step.kernel_size, step.stride, step.padding) for side in sides), step


def sound(space: SearchSpace, values: Values, input: Volume | None = None) -> Candidate | None:
    """Return the candidate of values that nobody fitted, on the input of the space or another; None where it fails."""
    try:
        candidate = space.candidate(values)
        built = candidate.architecture
        moved = Architecture(input=input or space.input, layers=built.layers, head=built.head, classes=built.classes)
        assert_every_volume_fits(moved, space.definition.exact_fit)
    except (ValidationError, AssertionError):
        return None
    return Candidate(architecture=moved, recipe=candidate.recipe)


def meaningful(space: SearchSpace, candidate: Candidate) -> set[str]:
    """Return the open dimensions that decide something about this candidate, by the rules as a user reads them."""
    layers, head = candidate.architecture.layers, candidate.architecture.head
    found = {"layers"}
    for number, layer in enumerate(layers, start=1):
        for key, _ in layer:
            if layer.pooling != "none" or key not in ("pool_size", "pool_stride"):
                own = f"layer{number}.{key}"
                found.add(own if own in space.all_dimensions else f"all_layers.{key}")
    for name in space.dimensions:
        section, _, key = name.rpartition(".")
        if section in ("", "augmentation"):
            found.add(name)
        elif key.startswith("units"):
            found |= {name} if int(key.removeprefix("units")) <= len(head.units) else set()
        elif section == "head" and (key != "activation" or head.units):
            found.add(name)
    if space.input.depth != 3:
        found.discard("augmentation.greyscale")
    return found & set(space.dimensions)


def assert_fitted(space: SearchSpace, values: Values) -> Candidate:
    """Check all that `fit` promises about its result, and return the candidate."""
    assert space.fit(values) == values
    candidate = space.candidate(values)
    assert set(values) == meaningful(space, candidate)
    assert list(values) == [name for name in space.dimensions if name in values]
    for name, value in values.items():
        dimension = space.dimensions[name]
        if dimension.values is None:
            assert dimension.nearest(value) == value
        else:
            assert value in dimension.values, name
            if isinstance(dimension, Options):
                assert type(value) in {type(option) for option in dimension.values}
    assert_every_volume_fits(candidate.architecture, space.definition.exact_fit)
    return candidate


# Whole definitions, valid or refused


def _some(*values: Any) -> st.SearchStrategy[Any]:
    """One value, or a list of different ones."""
    one = st.sampled_from(values)
    return one | st.lists(one, min_size=1, max_size=3, unique=True)


GEOMETRY = {
    "kernel_size": _some(1, 2, 3, 4, 5, 7),
    "stride": _some(1, 2, 3),
    "padding": _some("valid", "same", 0, 1, 2, 3),
    "pooling": _some("none", "max", "average", "l2"),
    "pool_size": _some(1, 2, 3, 4),
    "pool_stride": _some("size", 1, 2, 3),
}
OTHERS = {
    "filters": _some(1, 4, 7),
    "activation": _some("relu", "tanh", "leaky_relu"),
    "batch_norm": _some(True, False),
    "dropout": _some(0, 0.1, 0.5),
    "one_by_one": _some(0, 3),
}


@st.composite
def definitions(draw: st.DrawFn, most_layers: int = 4, others: bool = True) -> str:
    """The YAML of a small space, with each key in one section or none, and exceptions for some layers."""
    depths = st.lists(st.integers(1, most_layers), min_size=1, max_size=2, unique=True)
    data: dict[str, Any] = {"layers": draw(depths), "exact_fit": draw(st.booleans())}
    keys = GEOMETRY | (OTHERS if others else {})
    sections = st.sampled_from(["all_layers", "each_layer", None])
    for key, values in keys.items():
        if section := draw(sections):
            data.setdefault(section, {})[key] = draw(values)
    for number in draw(st.sets(st.integers(1, max(data["layers"])), max_size=2)):
        exceptions = draw(st.sets(st.sampled_from(sorted(keys)), min_size=1, max_size=3))
        data.setdefault("by_layer", {})[number] = {key: draw(keys[key]) for key in sorted(exceptions)}
    if others and draw(st.booleans()):
        data["head"] = {"hidden_layers": draw(_some(0, 1, 2)), "units": draw(_some(3, 5))}
        data["head"]["activation"] = draw(_some("relu", "tanh"))
        data["head"]["pooling"] = draw(_some("flatten", "global_average", "global_max"))
    return yaml.safe_dump(data)


def sides() -> st.SearchStrategy[Volume]:
    return st.builds(Volume, st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]))


def space_or_none(text: str, input: Volume) -> SearchSpace | None:
    """Return the space, or None where it is refused with a message for the user."""
    try:
        return space_of(text, input)
    except InputError:
        return None


# What a program begins with that has to run where Convsearch cannot be imported.
WITHOUT_CONVSEARCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "convsearch":
            raise ImportError("nothing of ours")

sys.meta_path.insert(0, Refuse())
"""
