"""Batches: which rows, in which order, with which labels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from convsearch.search.training.batches import Batches
from convsearch.search.training.mixup import mixed

COUNT, CLASSES = 23, 3


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Each image is all of its own row number, so that it can be told by a pixel."""
    return np.arange(COUNT, dtype=np.uint8).repeat(4).reshape(COUNT, 2, 2, 1)


@pytest.fixture
def labels() -> NDArray[np.int32]:
    return (np.arange(COUNT) % CLASSES).astype(np.int32)


INDICES = np.array([22, 3, 4, 5, 9, 1, 0, 17, 12, 11])


def rows(batches: Batches) -> list[int]:
    return [int(row) for i in range(len(batches)) for row in batches[i][0][:, 0, 0, 0]]


def test_an_epoch_holds_each_row_once_and_nothing_else(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    batches = Batches(images, labels, INDICES, CLASSES, 4, seed=1)
    assert len(batches) == 3
    for _ in range(3):
        assert sorted(rows(batches)) == sorted(INDICES)
        batches.on_epoch_end()


@given(count=st.integers(1, 500), size=st.integers(1, 100))
def test_batches_that_are_trained_on_are_as_few_as_fit_and_equal_to_within_one_image(count: int, size: int) -> None:
    images, labels = np.zeros((count, 1, 1, 1), "uint8"), np.zeros(count, "int32")
    batches = Batches(images, labels, np.arange(count), CLASSES, size, seed=1)
    sizes = [len(batches[i][0]) for i in range(len(batches))]
    assert len(sizes) == -(-count // size)
    assert sum(sizes) == count
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_the_last_batch_that_is_not_trained_on_is_smaller(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    for size, sizes in ((4, [4, 4, 2]), (5, [5, 5])):
        batches = Batches(images, labels, INDICES, CLASSES, size)
        assert [len(batches[i][0]) for i in range(len(batches))] == sizes


def test_labels_are_one_hot_and_belong_to_their_images(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    batches = Batches(images, labels, INDICES, CLASSES, 4, seed=1)
    for i in range(len(batches)):
        pixels, targets = batches[i]
        assert (pixels.dtype, targets.dtype) == (np.uint8, np.float32)
        assert targets.shape == (len(pixels), CLASSES)
        assert (targets.sum(axis=1) == 1).all()
        assert (targets.argmax(axis=1) == pixels[:, 0, 0, 0] % CLASSES).all()


def test_a_seed_shuffles_anew_each_epoch_and_the_same_way_each_time(
    images: NDArray[np.uint8], labels: NDArray[np.int32]
) -> None:
    epochs = []
    for _ in range(2):
        batches = Batches(images, labels, INDICES, CLASSES, 2, seed=7)
        first = rows(batches)
        batches.on_epoch_end()
        epochs.append((first, rows(batches)))
    assert epochs[0] == epochs[1]
    assert epochs[0][0] != epochs[0][1]
    assert rows(Batches(images, labels, INDICES, CLASSES, 2, seed=8)) != epochs[0][0]


def test_without_a_seed_the_rows_come_in_the_order_given_sorted_within_a_batch(
    images: NDArray[np.uint8], labels: NDArray[np.int32]
) -> None:
    batches = Batches(images, labels, INDICES, CLASSES, 4)
    assert rows(batches) == [3, 4, 5, 22, 0, 1, 9, 17, 11, 12]
    batches.on_epoch_end()
    assert rows(batches) == [3, 4, 5, 22, 0, 1, 9, 17, 11, 12]


def test_the_indices_that_were_given_are_left_as_they_are(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    given = INDICES.copy()
    Batches(images, labels, given, CLASSES, 4, seed=1).on_epoch_end()
    assert (given == INDICES).all()


def test_mixup_blends_images_and_labels_by_the_same_shares() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 2, 2, 3), dtype=np.uint8)
    # Each image is a class of its own, so that a label tells which images were blended, and how.
    blended, shares = mixed(pixels, np.eye(64, dtype="float32"), 1.0, random)
    assert (blended.dtype, shares.dtype) == (np.uint8, np.float32)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (np.count_nonzero(shares, axis=1) <= 2).all()
    assert (shares.max(axis=1) < 0.999).any()
    assert (np.diag(shares) >= 0.5).all()
    expected = np.tensordot(shares, pixels.astype("float32"), axes=(1, 0))
    assert np.abs(blended - expected).max() <= 0.51


def test_blended_batches_are_the_same_each_time_and_others_each_epoch(
    images: NDArray[np.uint8], labels: NDArray[np.int32]
) -> None:
    def epochs() -> list[Any]:
        batches = Batches(images, labels, INDICES, CLASSES, 10, seed=3, mixup=1.0)
        first = batches[0]
        batches.on_epoch_end()
        return [first, batches[0]]

    (first, second), (again, _) = epochs(), epochs()
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[1] != second[1]).any()
    assert ((first[1] > 0) & (first[1] < 1)).any()


def test_an_image_alone_in_its_batch_stays_as_it_is(images: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    pixels, targets = Batches(images, labels, INDICES[:1], CLASSES, 4, seed=3, mixup=1.0)[0]
    assert (pixels == images[INDICES[:1]]).all()
    assert targets.tolist() == [[0.0, 1.0, 0.0]]
