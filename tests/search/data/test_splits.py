from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convsearch.search.data import Dataset, Split, split
from convsearch.search.data.splits import divide
from convsearch.search.sources import open_data
from convsearch.spaces.arithmetic import Volume
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


def parts_of(parts: Split, count: int) -> NDArray[np.int8]:
    """Return which of its three parts each image is in."""
    found = np.full(count, -1, dtype=np.int8)
    for number, part in enumerate((parts.train, parts.val, parts.test)):
        found[part] = number
    return found


@st.composite
def grouped(draw: st.DrawFn, mixed: bool) -> tuple[Labels, Labels]:
    """Labels and groups of images: each class in three groups or more, of several classes if they are `mixed`."""
    classes = draw(st.integers(2, 5))
    labels: list[int] = []
    groups: list[int] = []
    for label in range(classes):
        sizes = draw(st.lists(st.integers(1, 12), min_size=3, max_size=12))
        labels += [label] * sum(sizes)
        groups += np.repeat(np.arange(len(sizes)) + (0 if mixed else 100 * label), sizes).tolist()
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    return np.array(labels, dtype=np.int32)[order], np.array(groups, dtype=np.int64)[order]


@given(data=grouped(mixed=True) | grouped(mixed=False), seed=seeds, val=fractions, test=fractions)
def test_no_group_is_on_two_sides(data: tuple[Labels, Labels], seed: int, val: float, test: float) -> None:
    labels, groups = data
    parts = divide(labels, undecided(labels), seed, val, test, groups)
    assert parts.divides(len(labels))
    sides = parts_of(parts, len(labels))
    assert all(len(set(sides[groups == group])) == 1 for group in set(groups))


@given(data=grouped(mixed=False), seed=seeds, val=fractions, test=fractions)
def test_every_class_of_three_groups_or_more_is_in_every_part(
    data: tuple[Labels, Labels], seed: int, val: float, test: float
) -> None:
    labels, groups = data
    parts = divide(labels, undecided(labels), seed, val, test, groups)
    for part in (parts.train, parts.val, parts.test):
        assert set(labels[part]) == set(labels)


@given(data=grouped(mixed=True), seed=seeds)
def test_groups_that_all_have_the_first_three_classes_reach_every_part(data: tuple[Labels, Labels], seed: int) -> None:
    labels, groups = data
    parts = divide(labels, undecided(labels), seed, groups=groups)
    for part in (parts.train, parts.val, parts.test):
        assert set(labels[part]) == set(labels)


@given(data=grouped(mixed=False), seed=seeds, test=st.floats(0.1, 0.5))
def test_no_class_is_further_from_its_share_than_its_largest_group_has_images(
    data: tuple[Labels, Labels], seed: int, test: float
) -> None:
    labels, groups = data
    parts = divide(labels, undecided(labels), seed, test_fraction=test, groups=groups)
    for label in set(labels):
        largest = np.unique(groups[labels == label], return_counts=True)[1].max()
        assert abs((labels[parts.test] == label).sum() - test * (labels == label).sum()) <= largest + 1


@given(data=grouped(mixed=True) | grouped(mixed=False), seed=seeds, val=fractions)
def test_whole_groups_are_held_out_for_the_test_however_many_validate(
    data: tuple[Labels, Labels], seed: int, val: float
) -> None:
    labels, groups = data
    one, two = (divide(labels, undecided(labels), seed, share, groups=groups) for share in (0.2, val))
    again = divide(labels, undecided(labels), seed, 0.2, groups=groups + 7)
    assert np.array_equal(one.test, two.test)
    assert np.array_equal(parts_of(one, len(labels)), parts_of(again, len(labels))), "numbers have no meaning"


@given(labels=labelled(), seed=seeds, val=fractions, test=fractions)
def test_images_without_companions_are_divided_as_if_there_were_no_groups(
    labels: Labels, seed: int, val: float, test: float
) -> None:
    alone = np.random.default_rng(0).permutation(len(labels))
    one = divide(labels, undecided(labels), seed, val, test)
    other = divide(labels, undecided(labels), seed, val, test, alone)
    assert np.array_equal(parts_of(one, len(labels)), parts_of(other, len(labels)))


@given(data=grouped(mixed=False), seed=seeds)
def test_given_images_stay_where_they_are_whatever_their_groups(data: tuple[Labels, Labels], seed: int) -> None:
    labels, groups = data
    both, roles = np.concatenate([labels, labels]), np.repeat([0, 3], len(labels)).astype(np.int8)
    parts = divide(both, roles, seed, groups=np.concatenate([groups, groups]))
    assert np.array_equal(parts.test, np.arange(len(labels), 2 * len(labels)))
    sides = parts_of(parts, len(both))[: len(labels)]
    assert all(len(set(sides[groups == group])) == 1 for group in set(groups))


def a_dataset(folder: Path, labels: list[int], groups: list[int], given: int | list[int] = 0) -> Dataset:
    """Return a data set of cats and dogs that has no images."""
    np.save(folder / "labels.npy", np.array(labels, dtype=np.int32))
    np.save(folder / "groups.npy", np.array(groups, dtype=np.int64))
    np.save(folder / "given.npy", np.broadcast_to(np.array(given, dtype=np.int8), len(labels)))
    volume = Volume(8, 8, 1)
    return Dataset("pets", "pets.csv", "f" * 64, volume, len(labels), ("cat", "dog"), folder)


CASES = [
    ([0, 1] * 10, [0] * 12 + [1] * 8, "no image is left to test on", "the 20 images are 2 such lots, of 12, 8"),
    ([0, 1] * 10, [0] * 20, "no image is left to test on", "the 20 images are 1 such lot, of 20 images"),
    (
        [0] * 10 + [1] * 10,
        [0] * 7 + [1] * 3 + [*range(2, 12)],
        "no image of 'cat' is left to test on",
        "the 10 images of 'cat' are 2 such lots, of 7, 3 images. At least 3 are needed: add images of other groups, or",
    ),
]


@pytest.mark.parametrize(("labels", "groups", "what", "why"), CASES)
def test_groups_that_leave_a_part_without_a_class_are_refused(
    tmp_path: Path, labels: list[int], groups: list[int], what: str, why: str
) -> None:
    with pytest.raises(InputError, match=rf"^pets\.csv: {what}\. .* are not divided, and {why}"):
        split(a_dataset(tmp_path, labels, groups), 0)


def test_groups_of_which_two_are_enough_where_a_part_is_given(tmp_path: Path) -> None:
    labels, given = [0, 1] * 10, [0] * 14 + [3] * 6
    parts = split(a_dataset(tmp_path, labels, [0] * 8 + [1] * 6 + [2] * 6, given), 0)
    assert sorted(map(len, (parts.train, parts.val))) == [6, 8]
    (tmp_path / "one").mkdir()
    with pytest.raises(InputError, match=r"At least 2 are needed: add images of other groups\."):
        split(a_dataset(tmp_path / "one", labels, [0] * 20, given), 0)


def test_where_all_parts_are_given_no_group_is_refused(tmp_path: Path) -> None:
    parts = split(a_dataset(tmp_path, [0, 1] * 6, [0] * 12, [1] * 4 + [2] * 4 + [3] * 4), 0)
    assert len(parts.train) == len(parts.val) == len(parts.test) == 4


def test_a_data_set_of_an_earlier_version_has_no_groups(tmp_path: Path) -> None:
    dataset = a_dataset(tmp_path, [0, 1] * 5, [0] * 10)
    (tmp_path / "groups.npy").unlink()
    assert np.array_equal(dataset.groups(), np.arange(10))


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
