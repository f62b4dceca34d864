"""Which sizes a new study offers its candidates: what suits the images, and what the time allows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsearch.search.data.sizes import own_size
from convsearch.search.loop.cost import Costs
from convsearch.search.loop.epochs import epochs_for, first_guess, usual_epochs
from convsearch.search.loop.input_sizes import FIRST_SECONDS, FIRST_SHARE, SIDES, Wanted, sizes_on_offer
from convsearch.search.values.answers import answered
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.errors import InputError
from convsearch.spaces.sizes import Size
from convsearch.spaces.space import SearchSpace

CLASSIC = load("classic")


def wanted(images: int = 200, minutes: float | None = None, epochs: int | None = None) -> Wanted:
    return Wanted(3, 2, images, None if minutes is None else 60 * minutes, epochs)


@pytest.mark.parametrize(
    ("sizes", "own"),
    [
        ({(32, 32): 5}, "32x32"),
        ({(32, 32): 5, (8, 60): 6, (300, 300): 4}, "8x60"),  # thumbnails: the commonest
        ({(333, 500): 3, (500, 375): 2, (400, 600): 1}, "333x500"),
        ({(4032, 3024): 20, (3024, 4032): 4}, "4032x3024"),
        ({(100, 100): 1, (200, 400): 1, (300, 600): 1}, "200x400"),
        ({(1000, 1000): 2, (100, 3000): 3, (100, 100): 9}, "100x100"),
        ({(6000, 9000): 2}, "2731x4096"),
    ],
)
def test_the_size_of_images_as_one_is_none_that_most_fall_short_of(sizes: dict[tuple[int, int], int], own: str) -> None:
    assert str(own_size({Size(*size): count for size, count in sizes.items()})) == own


SIZES = st.tuples(st.integers(65, 3000), st.integers(65, 3000)).map(lambda sides: Size(*sides))


@settings(max_examples=60)
@given(st.dictionaries(SIZES, st.integers(1, 9), min_size=1, max_size=8))
def test_neither_side_is_above_the_median_one(sizes: dict[Size, int]) -> None:
    own = own_size(sizes)
    every = [size for size, count in sizes.items() for _ in range(count)]
    assert sum(min(size) < min(own) for size in every) <= len(every) / 2
    assert sum(max(size) < max(own) for size in every) <= len(every) / 2


def test_thumbnails_stay_as_they_are_whatever_the_time() -> None:
    for minutes in (None, 1, 600):
        found = sizes_on_offer(CLASSIC, Size(64, 80), wanted(5000, minutes))
        assert (found.sizes, found.first) == ((Size(64, 80),), Size(64, 80))


@pytest.mark.parametrize("own", [Size(333, 500), Size(100, 100), Size(3024, 4032), Size(66, 65)])
@pytest.mark.parametrize("images", [15, 200, 2000, 100_000])
@pytest.mark.parametrize("minutes", [None, 2, 5, 60])
def test_the_first_trial_fits_into_its_share_and_no_size_is_above_the_images(
    own: Size, images: int, minutes: float | None
) -> None:
    question = wanted(images, minutes)
    found = sizes_on_offer(CLASSIC, own, question)
    assert found.first in found.sizes
    assert list(found.sizes) == sorted(found.sizes)
    assert all(size.height <= own.height and size.width <= own.width for size in found.sizes)
    assert all(min(size) in SIDES for size in found.sizes)
    if min(found.first) == SIDES[0]:
        return  # the smallest of all: where that takes too long, fewer epochs or minutes are the user's to choose
    space = SearchSpace(CLASSIC.at(found.first), Volume(*found.first, 3), 2)
    epochs = usual_epochs(space, images) if minutes is None else epochs_for(space, images, minutes)
    seconds = Costs(images).trial(first_guess(space, images), epochs)
    assert seconds <= (FIRST_SECONDS if minutes is None else FIRST_SHARE * 60 * minutes)


def test_more_time_never_makes_the_first_size_smaller() -> None:
    firsts = [sizes_on_offer(CLASSIC, Size(600, 800), wanted(200, minutes)).first for minutes in (2, 5, 20, 60, 600)]
    assert firsts == sorted(firsts)
    assert firsts[0] < firsts[-1]


def test_sizes_that_the_space_names_are_all_offered_above_the_images_too() -> None:
    definition = answered(CLASSIC, {"input_size": "[32, 900]"})
    found = sizes_on_offer(definition, Size(100, 100), wanted(200, 5))
    assert [str(size) for size in found.sizes] == ["32x32", "900x900"]
    assert str(found.first) == "32x32"


def test_where_nothing_fits_at_any_size_the_reason_is_that_of_the_largest() -> None:
    definition = answered(CLASSIC, {"input_size": "[1x1, 2x2]", "layers": "6", "layer.pooling": "max"})
    with pytest.raises(InputError, match="nothing in this space fits the input 2x2x3"):
        sizes_on_offer(definition, Size(100, 100), wanted())
