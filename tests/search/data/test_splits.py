from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convsearch.search.data import Split, split
from convsearch.search.data.splits import divide
from convsearch.search.sources import open_data
from convsearch.spaces.errors import InputError

Labels = NDArray[np.int32]


@st.composite
def labelled(draw: st.DrawFn, least: int = 3) -> Labels:
    """Labels of two to eight classes with at least so many images each, in any order."""
    counts = draw(st.lists(st.integers(least, 60), min_size=2, max_size=8))
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)


def undecided(labels: Labels) -> NDArray[np.int8]:
    return np.zeros(len(labels), dtype=np.int8)


seeds = st.integers(0, 2**40)
fractions = st.floats(0.01, 0.99)


@given(labels=labelled(least=1), seed=seeds, val=fractions, test=fractions)
def test_each_image_is_in_exactly_one_part(labels: Labels, seed: int, val: float, test: float) -> None:
    parts = divide(labels, undecided(labels), seed, val, test)
    together = np.concatenate([parts.train, parts.val, parts.test])
    assert sorted(together) == list(range(len(labels)))
    assert parts.train.dtype == parts.val.dtype == parts.test.dtype == np.int64


@given(labels=labelled(), seed=seeds, val=fractions, test=fractions)
def test_every_class_of_three_or_more_is_in_every_part(labels: Labels, seed: int, val: float, test: float) -> None:
    parts = divide(labels, undecided(labels), seed, val, test)
    for part in (parts.train, parts.val, parts.test):
        assert set(labels[part]) == set(labels)


@given(labels=labelled(least=10), seed=seeds)
def test_every_class_has_its_share_of_every_part_to_within_one_image(labels: Labels, seed: int) -> None:
    parts = divide(labels, undecided(labels), seed, val_fraction=0.25, test_fraction=0.2)
    count = np.bincount(labels)
    test = np.bincount(labels[parts.test])
    assert (np.abs(test - 0.2 * count) <= 1).all()
    assert (np.abs(np.bincount(labels[parts.val]) - 0.25 * (count - test)) <= 1).all()
    assert abs(len(parts.test) - 0.2 * len(labels)) <= 0.5


@given(labels=labelled(), seed=seeds)
def test_the_same_seed_gives_the_same_split(labels: Labels, seed: int) -> None:
    one, two = divide(labels, undecided(labels), seed), divide(labels, undecided(labels), seed)
    assert np.array_equal(one.train, two.train)
    assert np.array_equal(one.val, two.val)
    assert np.array_equal(one.test, two.test)


@given(labels=labelled(), seed=seeds, val=fractions)
def test_the_test_images_do_not_depend_on_how_many_validate(labels: Labels, seed: int, val: float) -> None:
    one, two = divide(labels, undecided(labels), seed), divide(labels, undecided(labels), seed, val)
    assert np.array_equal(one.test, two.test)


@given(labels=labelled(), seed=seeds, part=st.sampled_from([2, 3]))
def test_a_part_that_the_source_gives_is_kept_and_the_other_is_taken_from_the_rest(
    labels: Labels, seed: int, part: int
) -> None:
    both = np.concatenate([labels, labels])
    roles = np.repeat([0, part], len(labels)).astype(np.int8)
    parts = divide(both, roles, seed)
    kept, other = (parts.val, parts.test) if part == 2 else (parts.test, parts.val)
    assert np.array_equal(kept, np.arange(len(labels), 2 * len(labels)))
    assert set(both[other]) == set(both[parts.train]) == set(labels)


@given(labels=labelled(least=2), seed=seeds, part=st.sampled_from([2, 3]))
def test_two_images_of_a_class_are_enough_where_a_part_is_given(labels: Labels, seed: int, part: int) -> None:
    roles = np.repeat([0, part], len(labels)).astype(np.int8)
    both = np.concatenate([labels, labels])
    parts = divide(both, roles, seed)
    for indices in (parts.train, parts.val, parts.test):
        assert set(both[indices]) == set(labels)


@given(labels=labelled(least=1), seed=seeds)
def test_where_the_source_gives_all_parts_nothing_is_left_to_chance(labels: Labels, seed: int) -> None:
    roles = np.tile([1, 2, 3], len(labels)).astype(np.int8)
    parts = divide(np.repeat(labels, 3), roles, seed)
    assert np.array_equal(parts.train, np.flatnonzero(roles == 1))
    assert np.array_equal(parts.val, np.flatnonzero(roles == 2))
    assert np.array_equal(parts.test, np.flatnonzero(roles == 3))


def test_another_seed_gives_another_split(cache: Path) -> None:
    digits = open_data("digits", cache)
    assert not np.array_equal(split(digits, seed=0).test, split(digits, seed=1).test)


@settings(max_examples=20)
@given(classes=st.integers(2, 120))
def test_many_small_classes_still_give_the_fraction_in_all(classes: int) -> None:
    labels = np.repeat(np.arange(classes), 12).astype(np.int32)  # 2.4 images a class: neither 2 nor 3 for all
    parts = divide(labels, undecided(labels), seed=0)
    assert len(parts.test) == round(0.2 * len(labels))


@pytest.mark.parametrize("name", ["val_fraction", "test_fraction"])
@pytest.mark.parametrize("value", [0, 1, -0.2, 20, float("nan")])
def test_a_fraction_that_is_none_is_refused(cache: Path, name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be between 0 and 1, as in 0.2, but is {value}"):
        split(open_data("digits", cache), 0, **{name: value})


def test_a_negative_seed_is_refused(cache: Path) -> None:
    with pytest.raises(InputError, match="the seed must be a whole number from 0 up, but is -1"):
        split(open_data("digits", cache), -1)


def test_a_split_is_saved_and_loaded_again(tmp_path: Path, cache: Path) -> None:
    parts = split(open_data("digits", cache), 0)
    parts.save(tmp_path / "split.npz")
    again = Split.load(tmp_path / "split.npz")
    assert np.array_equal(again.train, parts.train)
    assert np.array_equal(again.val, parts.val)
    assert np.array_equal(again.test, parts.test)
    assert again.test.dtype == np.int64
    assert not list(tmp_path.glob(".split*"))


def test_a_missing_or_damaged_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split\.npz: not a readable split"):
        Split.load(tmp_path / "split.npz")
    (tmp_path / "split.npz").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"split\.npz: not a readable split"):
        Split.load(tmp_path / "split.npz")
    np.savez(tmp_path / "split.npz", train=np.array([1]))
    with pytest.raises(InputError, match=r"split\.npz: not a readable split"):
        Split.load(tmp_path / "split.npz")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ([0, 1], [2], [2]),  # in two parts
        ([0, 0], [1], [2]),
        ([[0, 1]], [2], [3]),
        ([0.0, 1.0], [2.0], [3.0]),
        (0, [1], [2]),
    ],
)
def test_a_split_in_which_an_image_is_in_two_parts_or_that_holds_no_images_is_refused(
    tmp_path: Path, train: object, val: object, test: object
) -> None:
    np.savez(tmp_path / "split.npz", train=np.array(train), val=np.array(val), test=np.array(test))
    with pytest.raises(InputError, match=r"split\.npz: (not a readable split|damaged)"):
        Split.load(tmp_path / "split.npz")
