import math
import random
from itertools import product

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from spaces_samples import (
    assert_every_volume_fits,
    assert_fitted,
    definitions,
    preset,
    proposal,
    sides,
    sound,
    space_of,
    space_or_none,
)

from convsearch.spaces.architecture import Architecture
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace

SLOW = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def everything(space: SearchSpace, input: Volume | None = None) -> set[Architecture]:
    """Return all architectures by trying all combinations of all options; hypothesis skips examples of too many."""
    names = [name for name in space.dimensions if name.startswith(("layer", "all_layers.", "head."))]
    options = [space.dimensions[name].values or () for name in names]
    assume(math.prod(map(len, options)) <= 4000)
    tried = (sound(space, dict(zip(names, values, strict=True)), input) for values in product(*options))
    return {candidate.architecture for candidate in tried if candidate is not None}


def says_a_stride_twice(text: str) -> bool:
    """Whether `size` and a number are options of the same stride, and so may amount to the same."""
    data = yaml.safe_load(text)
    sections = [data.get("all_layers", {}), data.get("each_layer", {}), *data.get("by_layer", {}).values()]
    strides = [section["pool_stride"] for section in sections if "pool_stride" in section]
    return any(isinstance(stride, list) and "size" in stride and len(stride) > 1 for stride in strides)


# Fitting


@SLOW
@given(definitions(), sides(), st.integers(0, 2**32))
def test_any_wish_in_any_space_is_fitted_to_what_can_be_built(text: str, input: Volume, seed: int) -> None:
    space = space_or_none(text, input)
    assume(space is not None)
    assert space is not None
    random_source = random.Random(seed)
    for _ in range(5):
        wish = proposal(space, random_source)
        fitted = space.fit(wish)
        assert_fitted(space, fitted)
        assert space.fit(wish) == fitted


@SLOW
@given(definitions(), sides(), st.integers(0, 2**32))
def test_a_wish_that_can_be_built_is_left_alone(text: str, input: Volume, seed: int) -> None:
    space = space_or_none(text, input)
    assume(space is not None)
    assert space is not None
    random_source = random.Random(seed)
    for _ in range(5):
        wish = proposal(space, random_source)
        if candidate := sound(space, wish):
            assert space.candidate(space.fit(wish)) == candidate


@SLOW
@given(definitions(most_layers=2, others=False), sides())
def test_a_space_is_refused_exactly_when_trying_everything_finds_nothing(text: str, input: Volume) -> None:
    roomy = space_or_none(text, Volume(1000, 1000, input.depth))
    assume(roomy is not None)
    assert roomy is not None
    assert bool(everything(roomy, input)) == (space_or_none(text, input) is not None)


def test_fitting_names_the_dimension_that_has_no_value() -> None:
    space = preset("classic")
    wish = proposal(space, random.Random(0)) | {"layers": 3}
    del wish["layer3.filters"]
    with pytest.raises(KeyError, match=r"layer3\.filters"):
        space.fit(wish)
    assert space.fit(wish | {"layers": 2})["layers"] == 2


def test_fitting_refuses_an_unknown_word() -> None:
    space = preset("classic")
    wish = proposal(space, random.Random(0)) | {"all_layers.activation": "relo"}
    with pytest.raises(ValueError, match="'relo' is none of relu, leaky_relu, gelu"):
        space.fit(wish)


def test_fewer_layers_are_built_where_many_do_not_fit() -> None:
    space = space_of("layers: [1, 2, 5]\neach_layer: {pooling: max, filters: [4, 8]}", Volume(8, 8, 1))
    wish = proposal(space, random.Random(0)) | {"layers": 5}
    assert space.fit(wish)["layers"] == 2


def test_the_narrow_side_decides_what_fits() -> None:
    space = space_of("layers: {min: 1, max: 9}\neach_layer: {padding: valid}", Volume(7, 300, 3))
    assert space.fit({"layers": 9}) == {"layers": 3}


def test_a_shared_geometry_gives_way_to_the_nearest_that_lets_all_layers_fit() -> None:
    text = "layers: 3\nall_layers: {kernel_size: [1, 3, 5, 7], padding: valid}"
    space = space_of(text, Volume(9, 9, 1))
    assert space.fit({"all_layers.kernel_size": 7}) == {"all_layers.kernel_size": 3}


def test_a_shared_key_that_no_layer_uses_is_dropped() -> None:
    space = space_of(
        "layers: [1, 2]\nall_layers: {kernel_size: [1, 3], filters: [4, 8]}\n"
        "by_layer: {1: {kernel_size: 5, filters: 6}}"
    )
    wish = {"layers": 1, "all_layers.kernel_size": 3, "all_layers.filters": 8}
    assert space.fit(wish) == {"layers": 1}
    assert space.fit(wish | {"layers": 2}) == wish | {"layers": 2}


def test_pool_sizes_without_a_pool_are_dropped() -> None:
    space = space_of("layers: 1\neach_layer: {pooling: [none, max], pool_size: [2, 3], pool_stride: [1, 2]}")
    wish = {"layer1.pooling": "none", "layer1.pool_size": 3, "layer1.pool_stride": 2}
    assert space.fit(wish) == {"layer1.pooling": "none"}
    assert space.fit(wish | {"layer1.pooling": "max"}) == wish | {"layer1.pooling": "max"}


def test_hidden_layers_that_are_not_there_have_no_units_and_no_activation() -> None:
    space = space_of("layers: 1\nhead: {hidden_layers: [0, 1, 2], units: [4, 8], activation: [relu, tanh]}")
    wish = {"head.hidden_layers": 1, "head.activation": "tanh", "head.units1": 8, "head.units2": 4}
    assert space.fit(wish) == {"head.hidden_layers": 1, "head.activation": "tanh", "head.units1": 8}
    assert space.fit(wish | {"head.hidden_layers": 0}) == {"head.hidden_layers": 0}


def test_only_colour_images_can_lose_their_colours() -> None:
    text = "layers: 1\naugmentation: {greyscale: [0, 0.5]}"
    assert space_of(text, Volume(8, 8, 3)).fit({"augmentation.greyscale": 0.5}) == {"augmentation.greyscale": 0.5}
    assert space_of(text, Volume(8, 8, 1)).fit({"augmentation.greyscale": 0.5}) == {}
    fixed = space_of("layers: 1\naugmentation: {greyscale: 0.5}", Volume(8, 8, 1))
    assert fixed.candidate(fixed.fit({})).recipe.augmentation.greyscale == 0


def test_an_exception_for_one_layer_holds_for_that_layer_only() -> None:
    space = space_of(
        "layers: 3\neach_layer: {filters: 8}\nall_layers: {dropout: 0.1}\nby_layer: {2: {filters: 5, dropout: 0}}"
    )
    layers = space.candidate({}).architecture.layers
    assert [layer.filters for layer in layers] == [8, 5, 8]
    assert [layer.dropout for layer in layers] == [0.1, 0, 0.1]


def test_dimensions_are_named_in_the_order_in_which_a_network_is_read() -> None:
    space = space_of(
        "layers: [1, 2]\nall_layers: {activation: [relu, tanh]}\neach_layer: {filters: [4, 8]}\n"
        "head: {hidden_layers: [0, 1], units: [8, 16]}\nrecipe: {learning_rate: {min: 0.001, max: 0.1, log: true}}\n"
        "augmentation: {rotation: [0, 10]}"
    )
    assert list(space.dimensions) == [
        "layers",
        "all_layers.activation",
        "layer1.filters",
        "layer2.filters",
        "head.hidden_layers",
        "head.units1",
        "learning_rate",
        "augmentation.rotation",
    ]
    assert space.fixed["layer1.kernel_size"] == 3
    assert not set(space.fixed) & set(space.dimensions)


def test_a_perturbed_candidate_fits_and_keeps_most_of_its_values() -> None:
    space, random_source = preset("textbook"), random.Random(0)
    for _ in range(200):
        values = space.draw(random_source)
        near, far = space.perturb(values, 1, random_source), space.perturb(values, 99, random_source)
        for fitted in (near, far):
            assert_fitted(space, fitted)
        kept = [name for name in near if values.get(name) == near[name]]
        assert len(kept) >= len(set(near) & set(values)) / 2 or near["layers"] != values["layers"]


# Size


@SLOW
@given(definitions(most_layers=3).filter(lambda text: not says_a_stride_twice(text)), sides())
def test_the_architectures_that_are_counted_and_enumerated_are_those_that_trying_everything_finds(
    text: str, input: Volume
) -> None:
    space = space_or_none(text, input)
    assume(space is not None)
    assert space is not None
    expected = everything(space)
    assert space.architectures == len(expected)
    found = [space.candidate(values).architecture for values in space.enumerate()]
    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("layers: 2", 1),
        ("layers: [1, 2]\neach_layer: {filters: [4, 8]}", 2 + 4),
        ("layers: [1, 2]\nall_layers: {filters: [4, 8]}", 2 + 2),
        ("layers: 2\neach_layer: {pooling: [none, max], pool_size: [2, 3]}", 9),
        ("layers: 2\nall_layers: {pool_size: [2, 3]}\neach_layer: {pooling: [none, max]}", 1 + 3 * 2),
        # Only layer 2 follows the shared size, so without a pool there the size means nothing.
        (
            "layers: 2\nall_layers: {pool_size: [2, 3]}\neach_layer: {pooling: [none, max]}\n"
            "by_layer: {1: {pool_size: 4}}",
            2 + 2 * 2,
        ),
        ("layers: [1, 2]\nall_layers: {filters: [4, 8]}\nby_layer: {1: {filters: 6}}", 1 + 2),
        ("layers: 1\nexact_fit: true\neach_layer: {stride: [1, 2, 3], kernel_size: [2, 3], padding: valid}", 2 + 1 + 1),
        ("layers: 1\nhead: {hidden_layers: [0, 1, 2], units: [4, 8], activation: [relu, tanh]}", 1 + 2 * 2 + 2 * 4),
        ("layers: 1\nhead: {dropout: {min: 0, max: 0.5}}", 1),
    ],
)
def test_architectures_are_counted_as_by_hand(text: str, count: int) -> None:
    assert space_of(text, Volume(24, 24, 1)).architectures == count


def test_recipes_are_counted_apart_and_a_continuous_range_counts_once() -> None:
    space = space_of(
        "layers: [1, 2]\nrecipe: {optimizer: [sgd, adam], learning_rate: {min: 0.001, max: 0.1}}\n"
        "augmentation: {rotation: [0, 10, 20], greyscale: [0, 0.5]}"
    )
    assert space.recipes == 6
    assert space.continuous == ["learning_rate"]


def test_enumeration_yields_each_candidate_once_recipes_too() -> None:
    space = space_of(
        "layers: [1, 2]\nall_layers: {pool_size: [2, 3], filters: 4}\neach_layer: {pooling: [none, max]}\n"
        "recipe: {batch_size: [16, 32]}\naugmentation: {horizontal_flip: [true, false]}",
        Volume(24, 24, 1),
    )
    found = list(space.enumerate())
    assert len(found) == space.architectures * space.recipes == (3 + 7) * 4
    assert len({space.candidate(values).hash for values in found}) == len(found)
    for values in found:
        assert_fitted(space, values)


def test_two_ways_to_say_the_same_stride_are_enumerated_once() -> None:
    space = space_of("layers: 1\neach_layer: {pooling: max, pool_size: 2, pool_stride: [size, 2]}")
    assert len(list(space.enumerate())) == 1


def test_enumeration_keeps_the_limits() -> None:
    text = "layers: [1, 2]\neach_layer: {filters: [2, 4, 8]}\n"
    every = [space_of(text).candidate(values) for values in space_of(text).enumerate()]
    limit = sorted(candidate.architecture.parameters for candidate in every)[5]
    limited = space_of(f"{text}limits: {{max_parameters: {limit}}}")
    found = [limited.candidate(values) for values in limited.enumerate()]
    assert found == [candidate for candidate in every if candidate.architecture.parameters <= limit]
    assert 6 <= len(found) < len(every)


@SLOW
@given(definitions(most_layers=3), sides(), st.sampled_from(["parameters", "macs", "activation_bytes"]), st.randoms())
def test_what_is_enumerated_within_limits_is_what_is_within_them_of_all(
    text: str, input: Volume, measure: str, source: random.Random
) -> None:
    space = space_or_none(text, input)
    assume(space is not None and not space.definition.limits.model_dump(exclude_none=True))
    assert space is not None
    assume(space.holds_at_most(2000))
    every = [space.candidate(values) for values in space.enumerate()]
    most = getattr(source.choice(every).architecture, measure)
    key, limit = ("max_activation_mb", most / 1e6) if measure == "activation_bytes" else (f"max_{measure}", most)
    limited = space_or_none(f"{text}\nlimits: {{{key}: {limit}}}", input)
    assume(limited is not None and most > 0)
    assert limited is not None
    found = [limited.candidate(values) for values in limited.enumerate()]
    assert found == [candidate for candidate in every if getattr(candidate.architecture, measure) <= most]


RARE = (  # more than a million architectures, sixteen of them within the limit
    "layers: [4, 5]\neach_layer: {filters: [16, 32, 64, 128], kernel_size: [3, 5], pooling: [none, max]}\n"
    "limits: {max_parameters: 8000}"
)


def test_layers_beyond_the_limits_are_not_enumerated_with_all_that_could_follow_them() -> None:
    space = space_of(RARE, Volume(32, 32, 3))
    assert space.architectures > 1_000_000
    looked_at = list(space.enumerate_all())
    assert len(looked_at) < 5_000
    assert len(looked_at) - looked_at.count(None) == 16


@SLOW
@given(definitions(most_layers=3), sides(), st.integers(1, 3000))
def test_whether_a_space_holds_at_most_so_many_is_told_as_it_is_counted(text: str, input: Volume, most: int) -> None:
    space = space_or_none(text, input)
    assume(space is not None)
    assert space is not None
    expected = not space.continuous and space.architectures * space.recipes <= most
    assert space.holds_at_most(most) == expected


def test_a_space_of_any_size_is_known_to_be_large_without_being_counted() -> None:
    space = space_of(
        "layers: {min: 1, max: 32}\neach_layer: {kernel_size: [1, 3, 5, 7], stride: [1, 2], pooling: [none, max]}",
        Volume(240, 321, 3),
    )
    assert not space.holds_at_most(20_000)
    assert "architectures" not in vars(space)


def test_a_continuous_dimension_cannot_be_enumerated_and_is_named() -> None:
    with pytest.raises(InputError, match=r"learning_rate, weight_decay are continuous ranges; give a list"):
        next(preset("classic").enumerate())
    with pytest.raises(InputError, match=r"learning_rate is a continuous range; .*--set NAME=VALUE"):
        next(preset("tiny").enumerate())


# What is refused


def test_a_space_in_which_nothing_fits_is_refused_with_the_volumes_that_led_there() -> None:
    with pytest.raises(InputError) as error:
        space_of("layers: [3, 4]\neach_layer: {kernel_size: [5, 7], padding: valid}", Volume(10, 12, 3))
    message = str(error.value)
    assert "nothing in this space fits the input 10x12x3 with 3 layers or more" in message
    assert "layer 1: 10x12 -> 6x8   (K=5, S=1, padding valid, pooling none)" in message
    assert "layer 2: 6x8 -> 2x4 " in message
    assert "layer 3: no filter of size 5, 7 (with its pool) fits 2x4" in message
    assert message.endswith("Allow smaller filters, padding, fewer layers or `pooling: none`.")


def test_a_space_that_leaves_a_remainder_everywhere_is_refused_for_that() -> None:
    with pytest.raises(InputError, match=r"no filter of size 3 .* fits 8x8 without a remainder"):
        space_of("layers: 1\nexact_fit: true\neach_layer: {stride: 2, padding: valid}")


def test_a_space_whose_filters_would_see_only_zeros_is_refused() -> None:
    with pytest.raises(InputError, match=r"layer 1: no filter of size 1 .* fits 8x8"):
        space_of("layers: 1\neach_layer: {kernel_size: 1, padding: 2}")


@pytest.mark.parametrize(
    "limit", ["max_parameters: 30", "max_macs: 500", "max_macs_per_pixel: 9", "max_activation_mb: 0.0001"]
)
def test_limits_that_nothing_keeps_are_refused_with_the_smallest_network_found(limit: str) -> None:
    with pytest.raises(InputError) as error:
        space_of(f"layers: [1, 2]\neach_layer: {{filters: [2, 4]}}\nlimits: {{{limit}}}")
    message = str(error.value)
    assert "no architecture stays within the limits" in message
    assert "for 8x8x1" in message
    # 2 filters of 3 x 3 with a bias each, and 10 classes: 20 + 30 parameters.
    assert "the smallest, 2c3-gap-10, has 50 parameters, 1,172 MACs and 0.00107 MB" in message


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("max_parameters: 90", None),
        ("max_parameters: 89", "90 parameters exceed max_parameters: 89"),
        ("max_macs: 2344", None),
        ("max_macs: 2_343", "2,344 MACs exceed max_macs: 2,343"),
        ("max_macs_per_pixel: 37", None),
        ("max_macs_per_pixel: 36", "36.625 MACs for each pixel exceed max_macs_per_pixel: 36"),
        ("max_activation_mb: 0.0012", "0.002104 MB of activations exceed max_activation_mb: 0.0012"),
    ],
)
def test_an_excess_is_told_with_the_limit(limit: str, message: str | None) -> None:
    space = space_of(f"layers: 1\neach_layer: {{filters: [2, 4]}}\nlimits: {{{limit}}}")
    assert space.excess(space.candidate({"layer1.filters": 4})) == message
    assert space.excess(space.candidate({"layer1.filters": 2})) is None


def test_limits_that_only_the_smallest_networks_keep_are_accepted() -> None:
    text = "layers: {min: 1, max: 8}\neach_layer: {filters: {min: 1, max: 512}, kernel_size: [1, 3, 5, 7]}\n"
    space = space_of(f"{text}limits: {{max_parameters: 300}}")
    assert space.definition.limits.max_parameters == 300


def test_a_space_without_anything_open_has_one_candidate() -> None:
    space = space_of("layers: 2", Volume(32, 32, 3))
    assert space.dimensions == {}
    assert list(space.enumerate()) == [{}]
    architecture = space.candidate(space.fit({})).architecture
    assert str(architecture) == "32c3-32c3-gap-10"
    assert_every_volume_fits(architecture, exact=False)
