import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convsearch.spaces.dimension import Options, Range

NUMBERS = st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    whole = draw(st.booleans())
    if whole:
        low, length = draw(st.integers(0, 50)), draw(st.integers(1, 60))
        log = draw(st.booleans()) and low > 0
        step = None if log else draw(st.none() | st.integers(1, length))
        return Range(low, low + length, step, log, whole=True)
    low, length = draw(st.floats(0, 10)), draw(st.floats(0.01, 10))
    log = draw(st.booleans()) and low > 1e-6
    step = None if log else draw(st.none() | st.floats(0.004, 1).map(lambda share: share * length))
    return Range(low, low + length, step, log)


def in_range(value: object, found: Range) -> bool:
    if found.values is not None:
        return value in found.values
    return isinstance(value, float) and found.low <= value <= found.high


@given(ranges(), NUMBERS)
def test_the_nearest_number_is_in_the_range_and_stays_where_it_is(found: Range, wish: float) -> None:
    nearest = found.nearest(wish)
    assert in_range(nearest, found)
    assert found.nearest(nearest) == nearest
    assert type(nearest) is (int if found.whole else float)


@given(ranges(), NUMBERS)
def test_no_number_of_the_range_is_nearer_than_the_nearest(found: Range, wish: float) -> None:
    distance = abs(float(found.nearest(wish)) - wish)
    others = (
        found.values if found.values is not None else (found.low, found.high, min(max(wish, found.low), found.high))
    )
    assert all(distance <= abs(float(other) - wish) + 1e-9 for other in others)


@given(ranges(), st.randoms(use_true_random=False))
def test_a_drawn_number_is_in_the_range(found: Range, random_source: random.Random) -> None:
    drawn = found.draw(random_source)
    assert in_range(drawn, found)
    assert found.has(drawn)


@given(ranges(), NUMBERS)
def test_what_the_range_has_are_its_own_numbers(found: Range, wish: float) -> None:
    assert found.has(wish) == math.isclose(found.nearest(wish), wish, rel_tol=1e-9, abs_tol=1e-12)
    assert not found.has("many")
    assert not found.has(True)


@given(ranges())
def test_the_values_of_a_range_rise_in_even_steps_from_low_to_at_most_high(found: Range) -> None:
    values = found.values
    assert (values is None) == (not found.whole and found.step is None)
    if values is not None:
        step = found.step or 1
        assert values[0] == pytest.approx(found.low)
        assert found.high - step - 1e-6 < values[-1] <= found.high + 1e-6
        assert all(value == pytest.approx(found.low + i * step) for i, value in enumerate(values))


def test_the_values_of_a_range_with_a_step_are_written_as_a_person_would() -> None:
    assert Range(0, 0.3, 0.1).values == (0.0, 0.1, 0.2, 0.3)
    assert Range(1, 6, 2, whole=True).values == (1, 3, 5)


@pytest.mark.parametrize("found", [Range(1, 4, whole=True), Range(0, 1.5, 0.5), Options((1, 2, 3, "same"))])
def test_all_values_are_drawn_equally_often(found: Range | Options) -> None:
    random_source = random.Random(0)
    counts = Counter(found.draw(random_source) for _ in range(8000))
    assert set(counts) == set(found.values or ())
    assert all(1800 < count < 2200 for count in counts.values())


def test_a_logarithmic_range_gives_equal_ratios_equal_attention() -> None:
    random_source, found = random.Random(0), Range(1e-4, 1e-2, log=True)
    below = sum(float(found.draw(random_source)) < 1e-3 for _ in range(8000))
    assert 3800 < below < 4200


def test_a_range_of_a_billion_steps_is_drawn_from_without_listing_it() -> None:
    found = Range(0, 1, 1e-9)
    value = found.draw(random.Random(0))
    assert found.nearest(value) == value


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True), NUMBERS)
def test_no_option_is_nearer_than_the_nearest(numbers: list[int], wish: float) -> None:
    options = Options((*numbers, "same"))
    nearest = options.nearest(wish)
    assert nearest in numbers
    assert all(abs(nearest - wish) <= abs(other - wish) for other in numbers)  # type: ignore[operator]
    assert options.nearest(nearest) == nearest


@pytest.mark.parametrize("options", [Options(("relu", "tanh")), Options((1, 2, "same")), Options((True, False))])
def test_an_option_is_its_own_nearest(options: Options) -> None:
    assert [options.nearest(value) for value in options.values] == list(options.values)


def test_an_unknown_word_has_no_nearest_option() -> None:
    with pytest.raises(ValueError, match="'relo' is none of relu, tanh"):
        Options(("relu", "tanh")).nearest("relo")
    with pytest.raises(ValueError, match="'valid' is none of 1, 2"):
        Options((1, 2)).nearest("valid")
    with pytest.raises(ValueError, match="3 is none of True, False"):
        Options((True, False)).nearest(3)


@pytest.mark.parametrize("wish", ["many", True])
def test_what_is_no_number_has_no_nearest_in_a_range(wish: str | bool) -> None:
    with pytest.raises(ValueError, match="is not a number from 1 to 9"):
        Range(1, 9, whole=True).nearest(wish)


def test_numbers_are_apart_by_size_and_words_by_their_place() -> None:
    options = Options((1, 5, "same", "valid"))
    assert options.distance(1, 5) == 4
    assert options.distance("same", "valid") == 1
    assert options.distance(1, "valid") == 3


def test_only_one_option_is_fixed() -> None:
    assert Options((3,)).fixed
    assert not Options((3, 5)).fixed
    assert not Range(0, 1).fixed


@given(st.floats(1e-8, 1), st.floats(1.001, 1e6), st.randoms(use_true_random=False))
def test_a_logarithmic_draw_never_leaves_its_ends_by_rounding(
    low: float, ratio: float, random_source: random.Random
) -> None:
    found = Range(low, low * ratio, log=True)
    value = float(found.draw(random_source))
    assert low <= value <= low * ratio
    assert not math.isnan(value)
