"""Which images belong together: copies, and what a source says; and what is told of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convsearch.search.data.groups import Companions, companions, divided, notes, same, united

NONE = np.empty((0, 2), np.int64)


def pairs(*found: tuple[int, int]) -> np.ndarray:
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def labels(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts).astype(np.int32)


def lots(numbers: np.ndarray) -> list[list[int]]:
    """Return the lots of two images and more."""
    found = [np.flatnonzero(numbers == number).tolist() for number in np.unique(numbers)]
    return [lot for lot in found if len(lot) > 1]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_images_are_of_one_number_where_pairs_lead_from_one_to_the_other(found: list[tuple[int, int]]) -> None:
    numbers = united(20, pairs(*found))
    expected = np.arange(20)
    for _ in range(20):
        for one, other in found:
            expected[[one, other]] = expected[[one, other]].min()
    assert np.array_equal(numbers[:, None] == numbers, expected[:, None] == expected)


@given(st.lists(st.integers(0, 4), max_size=20))
def test_images_of_one_value_are_connected(values: list[int]) -> None:
    numbers = united(len(values), same(np.array(values, dtype=np.int64)))
    assert np.array_equal(numbers[:, None] == numbers, np.equal.outer(values, values))


def test_copies_and_the_groups_of_the_source_are_joined_where_they_share_an_image() -> None:
    found = companions(labels(8, 4), pairs((0, 1)), pairs((1, 2)), np.array([7, 8, 9, 9, 8, 6, 5, 4, 3, 2, 1, 0]))
    assert lots(found.exact) == [[0, 1]]
    assert lots(found.copies) == [[0, 1, 2]]
    assert lots(found.kept) == [[0, 1, 2, 3, 4]]


def test_where_very_many_look_alike_they_are_no_copies_but_exact_copies_are() -> None:
    row = [(image, image + 1) for image in range(11)]
    found = companions(labels(40, 40), pairs((3, 4), (60, 61)), pairs(*row, (70, 71)), None)
    assert lots(found.copies) == [[3, 4], [60, 61], [70, 71]]
    assert np.flatnonzero(found.alike).tolist() == list(range(12))
    few = companions(labels(40, 40), pairs((3, 4)), pairs(*row[:10]), None)
    assert lots(few.copies) == [list(range(11))], "ten pictures, one of them twice"


def test_many_exact_copies_of_one_picture_are_one_picture() -> None:
    found = companions(labels(60, 40), same(np.array([0] * 50 + [*range(1, 51)])), pairs((0, 55)), None)
    assert lots(found.copies) == [[*range(50), 55]]
    assert not found.alike.any()


def test_near_copies_are_not_joined_where_a_class_would_be_left_with_fewer_than_three_lots() -> None:
    found = companions(labels(4, 9), NONE, pairs((0, 1), (2, 3), (4, 5), (6, 7)), None)
    assert lots(found.kept) == [[4, 5], [6, 7]]
    assert lots(companions(labels(4, 9), NONE, pairs((2, 3)), None).kept) == [[2, 3]]


def test_the_first_two_that_differ_are_named_of_each_lot() -> None:
    numbers = np.array([0, 1, 1, 0, 2, 1, 0])
    assert divided(numbers, np.array([0, 0, 0, 0, 0, 5, 5])) == [(0, 6), (1, 5)]
    assert divided(numbers, np.zeros(7, dtype=int)) == []


NAMES = [f"{number}.png" for number in range(20)]
CLASSES = ("cat", "dog")
UNDECIDED = np.zeros(20, dtype=np.int8)


def told(found: Companions, given_: np.ndarray = UNDECIDED, own: np.ndarray | None = None) -> tuple[str, ...]:
    return notes(found, labels(10, 10), given_, own, CLASSES, NAMES, 22)


def test_without_companions_nothing_is_told() -> None:
    assert told(companions(labels(10, 10), NONE, NONE, None)) == ()


def test_exact_and_near_copies_are_counted() -> None:
    exact, near = pairs((0, 1), (1, 2)), pairs((4, 5))
    kept = "each lot is kept on one side of the split"
    assert told(companions(labels(10, 10), exact, near, None)) == (
        f"2 of 22 images are exact copies of others, 1 nearly; {kept}",
    )
    assert told(companions(labels(10, 10), exact, NONE, None)) == (
        f"2 of 22 images are exact copies of others; {kept}",
    )
    assert told(companions(labels(10, 10), NONE, near, None)) == (f"1 of 22 images are near copies of others; {kept}",)


def test_copies_with_different_labels_are_named() -> None:
    _, told_of = told(companions(labels(10, 10), pairs((2, 12), (3, 4)), pairs((5, 15)), None))
    assert told_of == "labels that differ: 2 lots of copies, such as 2.png ('cat') and 12.png ('dog')"


def test_copies_and_groups_in_several_given_parts_are_named_and_not_said_to_be_kept_together() -> None:
    parts = np.repeat([1, 2, 3], [10, 5, 5]).astype(np.int8)
    own = np.arange(20)
    own[[1, 19]] = 99
    first, *others = told(companions(labels(10, 10), pairs((12, 16)), NONE, own), parts, own)
    assert first == "1 of 22 images are exact copies of others"
    assert others == [
        "in several parts of the data: 1 lot of copies, such as 12.png and 16.png; this inflates the scores",
        "in several parts of the data: 1 lot of groups, such as 1.png and 19.png; this inflates the scores",
    ]


def test_a_picture_that_is_there_often_is_named_once() -> None:
    values = np.array([0] * 4 + [9] * 6 + list(range(10, 15)) + [8] * 5)
    (_, often) = told(companions(labels(10, 10), same(values), NONE, None))
    assert often == (
        "often: 4.png is there 6 times, and 1 more 5 times or more; delete it if it only says that there is no picture"
    )


def test_near_copies_are_called_often_only_in_several_classes() -> None:
    chain = [(number, number + 1) for number in range(4)]
    assert not any("often" in note for note in told(companions(labels(10, 10), NONE, pairs(*chain), None)))
    chain = [(number, number + 1) for number in range(7, 11)]
    assert any(
        "often: 7.png is there 5 times" in n for n in told(companions(labels(10, 10), NONE, pairs(*chain), None))
    )


def test_images_that_look_alike_are_counted() -> None:
    row = [(image, image + 1) for image in range(12)]
    assert told(companions(labels(10, 10), NONE, pairs(*row), None)) == (
        "13 of 22 images look so much like very many others that these are no copies; they are divided like all others",
    )
