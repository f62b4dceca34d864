"""What fits into a worker's memory: foretold, kept by every proposal, and reached by smaller batches first."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsearch.spaces.architecture import Architecture, Candidate, Layer, Recipe
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.errors import InputError
from convsearch.spaces.memory.evaluation import MOST, evaluation_batch
from convsearch.spaces.memory.limit import LEAST_BATCH, Memory
from convsearch.spaces.space import SearchSpace

GB = 10**9
OPEN = parse(
    """
layers: [1, 2, 3]
each_layer: {filters: [8, 32, 128], kernel_size: [3, 5], pooling: [none, max], activation: [relu, gelu]}
recipe: {batch_size: [16, 32, 128]}
""",
    "open.yaml",
)
SIZES = [(16, 16), (64, 48), (224, 224)]
seeds = st.integers(0, 10**6)
limits = st.integers(GB // 2, 8 * GB)


def candidate(layers: tuple[Layer, ...] = (Layer(filters=32),), size: int = 64, batch: int = 32) -> Candidate:
    return Candidate(
        architecture=Architecture(input=Volume(size, size, 3), layers=layers, classes=10),
        recipe=Recipe(batch_size=batch),
    )


def needed(one: Candidate) -> int:
    return Memory(limit=GB).needed(one)


# ---------------------------------------------------------------------- what is foretold


def test_larger_images_larger_batches_and_more_filters_take_more_memory() -> None:
    usual = needed(candidate())
    assert usual < needed(candidate(size=128)) < needed(candidate(size=256))
    assert usual < needed(candidate(batch=128))
    assert usual < needed(candidate((Layer(filters=128),)))


def test_a_normalisation_a_dropout_and_a_costly_activation_each_take_more() -> None:
    first = Layer(filters=32)
    usual = needed(candidate((first, first), batch=128))
    for layer in (
        Layer(filters=32, batch_norm=True),
        Layer(filters=32, dropout=0.2),
        Layer(filters=32, activation="gelu"),
        Layer(filters=32, padding=1),
    ):
        assert needed(candidate((first, layer), batch=128)) > usual, layer


def test_another_backend_which_was_not_measured_is_reckoned_to_take_more() -> None:
    one = candidate()
    assert Memory(limit=GB, backend="jax").needed(one) > Memory(limit=GB, backend="tensorflow").needed(one)


@given(seeds, st.sampled_from(SIZES), limits)
def test_the_most_images_of_a_batch_fit_and_one_more_does_not(seed: int, size: tuple[int, int], limit: int) -> None:
    space = SearchSpace(OPEN, Volume(*size, 3), 10)
    one = space.candidate(space.draw(random.Random(seed)))
    memory = Memory(limit=limit)

    def holds(batch: int) -> bool:
        recipe = one.recipe.model_copy(update={"batch_size": batch})
        return memory.holds(Candidate(architecture=one.architecture, recipe=recipe))

    most = memory.most_images(one)
    if most:
        assert holds(most)
    assert not holds(most + 1)


def test_large_volumes_are_evaluated_in_smaller_batches_and_small_ones_as_ever() -> None:
    assert evaluation_batch(candidate(size=16).architecture) == MOST
    assert 1 <= evaluation_batch(candidate(size=512).architecture) < 10
    assert evaluation_batch(candidate((Layer(filters=4096),), size=1024).architecture) == 1


# ---------------------------------------------------------------------- what is proposed


@given(seeds, st.sampled_from(SIZES), limits)
def test_what_a_space_proposes_fits_or_is_over_its_limit_with_the_smallest_batch(
    seed: int, size: tuple[int, int], limit: int
) -> None:
    memory = Memory(limit=limit)
    try:
        space = SearchSpace(OPEN, Volume(*size, 3), 10, memory)
    except InputError:  # nothing fits
        return
    values = space.draw(random.Random(seed))
    assert space.fit(values) == values
    found = space.candidate(values)
    if space.excess(found) is None:
        assert memory.holds(found)
    else:
        assert found.recipe.batch_size == LEAST_BATCH


@given(seeds, limits)
def test_a_batch_is_the_largest_allowed_that_fits_up_to_the_one_wished_for(seed: int, limit: int) -> None:
    size, memory = Volume(64, 48, 3), Memory(limit=limit)
    try:
        bound = SearchSpace(OPEN, size, 10, memory)
    except InputError:
        return
    free = SearchSpace(OPEN, size, 10)
    wish = free.draw(random.Random(seed))
    fitted, most = bound.fit(wish), memory.most_images(free.candidate(wish))
    allowed = [batch for batch in (16, 32, 128) if batch <= min(most, int(wish["batch_size"]))]
    assert fitted == wish | {"batch_size": max(allowed, default=16)}


def test_where_all_allowed_batches_are_too_large_the_least_is_halved_until_it_fits() -> None:
    fixed = parse("layers: [1]\neach_layer: {filters: [64, 65]}\nrecipe: {batch_size: 64}\n", "fixed.yaml")
    free = SearchSpace(fixed, Volume(128, 128, 3), 10)
    values = free.draw(random.Random(0))
    whole = free.candidate(values)
    limit = needed(whole.model_copy(update={"recipe": whole.recipe.model_copy(update={"batch_size": 20})}))
    found = SearchSpace(fixed, Volume(128, 128, 3), 10, Memory(limit=limit)).candidate(values)
    assert found.recipe.batch_size == 16
    assert found.architecture == whole.architecture


def test_without_a_memory_and_with_more_than_enough_a_space_is_the_same() -> None:
    definition, size = load("classic"), Volume(32, 32, 3)
    free, bound = SearchSpace(definition, size, 10), SearchSpace(definition, size, 10, Memory(limit=1000 * GB))
    for seed in range(50):
        values = free.draw(random.Random(seed))
        assert bound.fit(values) == values
        assert bound.candidate(values) == free.candidate(values)


def test_a_range_of_batches_is_lowered_within_its_steps() -> None:
    text = "layers: [1]\neach_layer: {filters: [64]}\nrecipe: {batch_size: {min: 10, max: 100, step: 15}}\n"
    size = Volume(128, 128, 3)
    whole = SearchSpace(parse(text, "r.yaml"), size, 10).candidate({"batch_size": 100})
    limit = needed(whole.model_copy(update={"recipe": whole.recipe.model_copy(update={"batch_size": 60})}))
    space = SearchSpace(parse(text, "r.yaml"), size, 10, Memory(limit=limit))
    assert space.fit({"batch_size": 100}) == {"batch_size": 55}
    assert space.fit({"batch_size": 25}) == {"batch_size": 25}


def test_a_space_of_which_nothing_fits_is_refused_with_what_the_smallest_would_take() -> None:
    wide = parse("layers: [1]\neach_layer: {filters: [2048, 4096]}\n", "wide.yaml")
    with pytest.raises(InputError, match=r"within the memory of a worker .* GB of memory for training in batches of 8"):
        SearchSpace(wide, Volume(512, 512, 3), 10, Memory(limit=2 * GB))
