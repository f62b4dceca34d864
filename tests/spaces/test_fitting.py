from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsearch.spaces.arithmetic import fits_exactly, output_size
from convsearch.spaces.dimension import Options
from convsearch.spaces.fitting import AS_POOL_SIZE, Fitting, Geometry, Side


def some(*values: int | str) -> st.SearchStrategy[Options]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(lambda v: Options(tuple(v)))


LAYER = st.tuples(
    some(1, 2, 3, 5),
    some(1, 2, 3),
    some("valid", "same", 0, 1, 2),
    some("none", "max", "average"),
    some(1, 2, 3),
    some(AS_POOL_SIZE, 1, 2),
)
FITTINGS = st.builds(Fitting, st.lists(LAYER, min_size=1, max_size=3), st.booleans())
SIDES = st.tuples(st.integers(1, 12), st.integers(1, 12))
PLAIN = (Options((3,)), Options((1,)), Options(("same",)), Options(("none",)), Options((2,)), Options((AS_POOL_SIZE,)))


def layer(**options: tuple[int | str, ...]) -> list[Options]:
    """Return the options of a plain 3 x 3 layer with some of them replaced."""
    return [Options(options.get(key, plain.values)) for key, plain in zip(Geometry._fields, PLAIN, strict=True)]  # type: ignore[arg-type]


def behind(side: int, geometry: Geometry, exact: bool) -> int:
    """Return the side behind a layer, or 0, filter and pool one after the other."""
    pool_stride = geometry.pool_size if geometry.pool_stride == AS_POOL_SIZE else geometry.pool_stride
    slides = [(geometry.kernel_size, geometry.stride, geometry.padding)]
    if geometry.pooling != "none":
        slides.append((geometry.pool_size, int(pool_stride), "valid"))
    for size, stride, padding in slides:
        if side == 0 or (exact and not fits_exactly(side, size, stride, padding)):
            return 0
        side = output_size(side, size, stride, padding)
    return side


def networks(fitting: Fitting, side: Side) -> set[tuple[Geometry, ...]]:
    """Return every way to build all layers, by trying all combinations of all options."""
    found = set()
    for layers in product(*(product(*(o.values for o in options)) for options in fitting.options)):
        geometries = tuple(Geometry(*values) for values in layers)  # type: ignore[arg-type]
        height, width = side
        for g in geometries:
            blind = isinstance(g.padding, int) and g.padding >= g.kernel_size
            height = 0 if blind or not height else behind(height, g, fitting.exact_fit)
            width = 0 if blind or not width else behind(width, g, fitting.exact_fit)
        if height and width:
            found.add(tuple(g.without_pool_sizes() for g in geometries))
    return found


def small(fitting: Fitting) -> bool:
    total = 1
    for options in fitting.options:
        for dimension in options:
            total *= len(dimension.values)
    return total <= 3000


@given(FITTINGS.filter(small), SIDES)
def test_the_networks_that_fit_are_those_that_trying_everything_finds(fitting: Fitting, side: Side) -> None:
    expected, count = networks(fitting, side), len(fitting.options)
    assert fitting.possible(0, side, count) == bool(expected)
    assert set(fitting.fitting(0, side, count)) == {network[0] for network in expected}
    assert fitting.count(0, side, count, frozenset(range(count))) == len(expected)


@given(FITTINGS.filter(small), SIDES, st.sets(st.integers(0, 2)))
def test_networks_with_pools_in_some_layers_only_are_counted(fitting: Fitting, side: Side, pooled: set[int]) -> None:
    expected = [
        network
        for network in networks(fitting, side)
        if all(i in pooled or geometry.pooling == "none" for i, geometry in enumerate(network))
    ]
    assert fitting.count(0, side, len(fitting.options), frozenset(pooled)) == len(expected)


@given(FITTINGS, SIDES, st.data())
def test_what_fits_stays_as_it_is_and_what_does_not_becomes_something_that_fits(
    fitting: Fitting, side: Side, data: st.DataObject
) -> None:
    count = len(fitting.options)
    if not fitting.possible(0, side, count):
        return
    wish = Geometry(*(data.draw(st.sampled_from(options.values)) for options in fitting.options[0]))  # type: ignore[arg-type]
    geometry, after = fitting.nearest(0, side, count, wish)
    ways = fitting.fitting(0, side, count)
    assert ways[geometry] == after
    assert (geometry == wish.without_pool_sizes()) == (wish.without_pool_sizes() in ways)
    assert fitting.nearest(0, side, count, geometry) == (geometry, after)
    # The size of the filter gives way last.
    sizes = {way.kernel_size for way in ways}
    assert abs(geometry.kernel_size - wish.kernel_size) == min(abs(size - wish.kernel_size) for size in sizes)
    strides = {way.stride for way in ways if way.kernel_size == geometry.kernel_size}
    assert abs(geometry.stride - wish.stride) == min(abs(stride - wish.stride) for stride in strides)


def test_a_filter_larger_than_the_volume_is_never_offered() -> None:
    fitting = Fitting([layer(kernel_size=(1, 3, 5, 7), padding=("valid",))], exact_fit=False)
    assert {g.kernel_size for g in fitting.fitting(0, (9, 4), 1)} == {1, 3}
    assert {g.kernel_size for g in fitting.fitting(0, (9, 9), 1)} == {1, 3, 5, 7}


def test_a_padding_that_shows_a_filter_nothing_but_zeros_is_never_offered() -> None:
    fitting = Fitting([layer(kernel_size=(1, 3), padding=(0, 1, 2, 3))], exact_fit=False)
    assert {(g.kernel_size, g.padding) for g in fitting.choices(0)} == {(1, 0), (3, 0), (3, 1), (3, 2)}


def test_room_is_left_for_the_layers_to_come() -> None:
    pooled = layer(pooling=("none", "max"))
    fitting = Fitting([pooled, layer(pooling=("max",)), layer(pooling=("max",))], exact_fit=False)
    wish = Geometry(3, 1, "same", "max", 2, AS_POOL_SIZE)
    assert fitting.nearest(0, (8, 8), 3, wish)[0].pooling == "max"
    assert fitting.nearest(0, (7, 8), 3, wish)[0].pooling == "none"


def test_an_exact_fit_offers_only_what_leaves_no_remainder() -> None:
    options = [layer(kernel_size=(2, 3), stride=(1, 2), padding=("valid", "same"))]
    offered = {(g.kernel_size, g.stride, g.padding) for g in Fitting(options, exact_fit=True).fitting(0, (7, 7), 1)}
    assert offered == {(2, 1, "valid"), (3, 1, "valid"), (3, 2, "valid"), (3, 1, "same"), (3, 2, "same")}
    assert len(Fitting(options, exact_fit=False).fitting(0, (7, 7), 1)) == 8


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Geometry(5, 1, "valid", "none", 0, 0), Geometry(3, 1, "valid", "none", 0, 0)),
        (Geometry(5, 1, "valid", "max", 2, AS_POOL_SIZE), Geometry(3, 1, "valid", "max", 2, AS_POOL_SIZE)),
        (Geometry(3, 1, "valid", "max", 3, 1), Geometry(3, 1, "valid", "max", 2, 1)),
        (Geometry(1, 1, "valid", "average", 3, 1), Geometry(1, 1, "valid", "average", 3, 1)),
    ],
)
def test_the_nearest_geometry_keeps_as_much_of_the_wish_as_can_be(wish: Geometry, expected: Geometry) -> None:
    options = layer(
        kernel_size=(1, 3, 5),
        padding=("valid",),
        pooling=("none", "max", "average"),
        pool_size=(2, 3),
        pool_stride=(AS_POOL_SIZE, 1),
    )
    assert Fitting([options], exact_fit=False).nearest(0, (4, 4), 1, wish)[0] == expected


def test_paddings_are_near_by_the_zeros_that_they_add() -> None:
    fitting = Fitting([layer(kernel_size=(3,), padding=(0, 1, "same"))], exact_fit=False)
    gone = Geometry(3, 1, 2, "none", 0, 0)
    assert fitting.nearest(0, (8, 8), 1, gone)[0].padding == 1


@pytest.mark.parametrize(("pool_stride", "side"), [(AS_POOL_SIZE, 2), (1, 6), (2, 3)])
def test_a_pool_steps_by_its_own_size_where_nothing_else_is_said(pool_stride: int | str, side: int) -> None:
    assert Geometry(3, 1, "same", "max", 3, pool_stride).after(8, exact=False) == side
