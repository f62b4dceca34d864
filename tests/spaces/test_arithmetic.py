from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convsearch.spaces.arithmetic import (
    Padding,
    Step,
    Volume,
    batch_norm_parameters,
    conv_parameters,
    dense_parameters,
    fits_exactly,
    output_size,
    output_volume,
    receptive_field,
    seen,
)

SIDES, SIZES, STRIDES = st.integers(1, 64), st.integers(1, 12), st.integers(1, 6)
PADDINGS = st.sampled_from(["valid", "same"]) | st.integers(0, 6)


def zeros(size: int, padding: Padding) -> tuple[int, int]:
    """Return the zeros before and behind one axis at stride 1."""
    if padding == "same":
        return (size - 1) // 2, size // 2
    return (0, 0) if padding == "valid" else (padding, padding)


def positions(side: int, size: int, stride: int, padding: Padding) -> list[int]:
    """Return where a filter may stand: slide it along the padded axis and look whether it is still inside."""
    before, behind = zeros(size, padding)
    axis = range(-before, side + behind)
    return [start for start in axis[::stride] if start + size - 1 in axis]


def of_keras(side: int, size: int, stride: int, padding: Padding) -> int:
    """Return the side that Keras gives a convolution, 0 where it refuses."""
    shape = (1, side, side, 1)
    if isinstance(padding, int):
        shape = keras.layers.ZeroPadding2D(padding).compute_output_shape(shape)
        padding = "valid"
    convolution = keras.layers.Conv2D(1, size, strides=stride, padding=padding)
    try:
        return int(convolution.compute_output_shape(shape)[1])
    except ValueError:
        return 0


@given(SIDES, SIZES, STRIDES, PADDINGS)
def test_the_output_size_is_the_number_of_places_where_the_filter_can_stand(
    side: int, size: int, stride: int, padding: Padding
) -> None:
    assert output_size(side, size, stride, padding) == len(positions(side, size, stride, padding))


@given(SIDES, SIZES, STRIDES, PADDINGS)
def test_the_output_size_is_what_keras_gives(side: int, size: int, stride: int, padding: Padding) -> None:
    assert output_size(side, size, stride, padding) == of_keras(side, size, stride, padding)


@given(SIDES, SIZES, STRIDES)
def test_a_pool_has_the_output_size_that_keras_gives(side: int, size: int, stride: int) -> None:
    pool = keras.layers.MaxPooling2D(size, stride)
    expected = 0 if size > side else pool.compute_output_shape((1, side, side, 1))[1]
    assert output_size(side, size, stride) == expected


@pytest.mark.parametrize(("side", "size", "stride"), [(9, 4, 3), (10, 3, 2), (7, 7, 1), (8, 2, 5), (5, 1, 4)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_convolution_that_is_computed_has_the_output_size(side: int, size: int, stride: int, padding: str) -> None:
    result = keras.ops.conv(np.ones((1, side, side, 1)), np.ones((size, size, 1, 1)), stride, padding)
    assert result.shape[1:3] == (output_size(side, size, stride, padding),) * 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "size", "stride", "padding", "expected"),
    [
        (227, 11, 4, "valid", 55),  # AlexNet's first layer
        (224, 7, 2, 3, 112),  # ResNet's
        (28, 5, 1, 2, 28),  # LeNet's
        (5, 3, 2, 0, 2),
        (3, 5, 1, 1, 1),
        (3, 5, 1, 0, 0),
        (1, 1, 1, "same", 1),
    ],
)
def test_known_layers_have_their_known_sizes(
    side: int, size: int, stride: int, padding: Padding, expected: int
) -> None:
    assert output_size(side, size, stride, padding) == expected


@given(SIDES, SIZES)
def test_same_padding_keeps_the_side_at_stride_1(side: int, size: int) -> None:
    assert output_size(side, size, 1, "same") == side


@given(SIDES, SIZES, STRIDES, st.just("valid") | st.integers(0, 6))
def test_an_exact_fit_leaves_no_pixel_at_the_far_edge_unread(
    side: int, size: int, stride: int, padding: Padding
) -> None:
    places = positions(side, size, stride, padding)
    end = side + zeros(size, padding)[1]
    assert fits_exactly(side, size, stride, padding) == bool(places and places[-1] + size == end)


@given(SIDES, SIZES, STRIDES)
def test_same_padding_fits_exactly_where_the_zeros_are_equal_on_both_sides(side: int, size: int, stride: int) -> None:
    before, behind = zeros(size, "same")
    places = positions(side, size, stride, "same")
    exact = before == behind and places[-1] + size == side + behind
    assert fits_exactly(side, size, stride, "same") == exact


def test_a_filter_larger_than_the_padded_volume_fits_nowhere() -> None:
    assert not fits_exactly(3, 5)
    assert output_volume(Volume(3, 9, 2), 5, 1, "valid", 7) == Volume(0, 5, 7)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_convolution_has_the_parameters_that_keras_counts(size: int, depth: int, filters: int, bias: bool) -> None:
    layer = keras.layers.Conv2D(filters, size, use_bias=bias)
    layer.build((None, 16, 16, depth))
    assert conv_parameters(size, depth, filters, bias) == layer.count_params()


@given(st.integers(1, 20), st.integers(1, 20))
def test_dense_layers_and_normalisations_have_the_parameters_that_keras_counts(inputs: int, units: int) -> None:
    dense = keras.layers.Dense(units)
    dense.build((None, inputs))
    norm = keras.layers.BatchNormalization()
    norm.build((None, 4, 4, inputs))
    assert dense_parameters(inputs, units) == dense.count_params()
    assert batch_norm_parameters(inputs) == norm.count_params()


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4)), max_size=5))
def test_the_receptive_field_is_the_reach_of_one_output(layers: list[tuple[int, int]]) -> None:
    # Backwards from one output: which pixels of the layer before does it read, and which do those read, and so on?
    first, last = 0, 0
    for size, stride in reversed(layers):
        first, last = first * stride, last * stride + size - 1
    field, jump = 1, 1
    for size, stride in layers:
        field, jump = receptive_field(field, jump, size), jump * stride
    assert field == last - first + 1


@given(
    st.integers(5, 17),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), PADDINGS), min_size=1, max_size=3),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_a_value_sees_the_pixels_that_change_it_and_no_others(
    side: int, layers: list[tuple[int, int, Padding]], data: st.DataObject
) -> None:
    # Every pixel alone, as an image of its own, through filters of ones: which images reach the value?
    steps, volume = [], Volume(side, side, 1)
    images = np.eye(side * side, dtype="float32").reshape(-1, side, side, 1)
    field, jump = 1, 1
    for size, stride, padding in layers:
        after = output_volume(volume, size, stride, padding, 1)
        assume(after.size)
        field, jump = receptive_field(field, jump, size), jump * stride
        steps.append(Step("conv", "conv", volume, after, size, stride, padding, field))
        if isinstance(padding, int):
            images = keras.ops.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
        rule = "same" if padding == "same" else "valid"
        images = keras.ops.conv(images, np.ones((size, size, 1, 1), "float32"), stride, rule)
        volume = after
    row, column = data.draw(st.integers(0, volume.height - 1)), data.draw(st.integers(0, volume.width - 1))
    rows, columns = seen(steps, row, column)
    assert (len(rows), len(columns)) == (field, field)
    reached = np.argwhere(np.asarray(images)[:, row, column, 0].reshape(side, side))
    assert all(r in rows and c in columns for r, c in reached.tolist())
    if rows.start >= 0 and columns.start >= 0 and rows.stop <= side and columns.stop <= side:
        # Where strides leave pixels out, the field has gaps; its corners are always read.
        assert reached.min(axis=0).tolist() == [rows.start, columns.start]
        assert reached.max(axis=0).tolist() == [rows.stop - 1, columns.stop - 1]


def test_a_volume_reads_as_height_width_depth() -> None:
    assert str(Volume(7, 300, 3)) == "7x300x3"
    assert Volume(7, 300, 3).size == 6300


def test_filters_and_pools_slide_and_nothing_else_does() -> None:
    volume = Volume(4, 4, 2)
    kinds = ("conv", "max", "average", "l2", "batch_norm", "activation", "dropout", "head", "dense")
    assert [kind for kind in kinds if Step("x", kind, volume, volume).is_filter] == ["conv", "max", "average", "l2"]


@given(SIDES, SIZES, STRIDES, PADDINGS)
def test_a_larger_filter_or_stride_never_makes_a_larger_volume(
    side: int, size: int, stride: int, padding: Padding
) -> None:
    if padding != "same":
        by_size = [output_size(side, larger, stride, padding) for larger in range(size, size + 4)]
        assert all(a >= b for a, b in pairwise(by_size))
    by_stride = [output_size(side, size, larger, padding) for larger in range(stride, stride + 4)]
    assert all(a >= b for a, b in pairwise(by_stride))
