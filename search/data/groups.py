"""Images that belong together: copies of one picture, and what a source says must not be divided.

Numbers (n,) say so, the same for those that belong together, from 0 up. Those of one number go to the same side of each
split that we make (splits.py); in one that is given they stay where they are, and are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import Role

PARTS = 3  # training, validation and test

Numbers = NDArray[np.int64]
Pairs = NDArray[np.int64]
"""Pairs of images (m, 2)."""

EXACT = "are exact copies of others"
NEAR = "are near copies of others"
ALIKE = "look so much like very many others that these are no copies"
OFTEN_NOTE, LABELS_NOTE, ACROSS_NOTE = "often: ", "labels that differ: ", "in several parts of the data: "
KINDS = (EXACT, NEAR, ALIKE, OFTEN_NOTE, LABELS_NOTE, ACROSS_NOTE)
"""What is in the notes on images that belong together, and in no others."""

OFTEN = 5
"""A picture that is there so many times may be no picture, but the sign that there is none."""

_MANY = 10  # near copies of one picture, or a twentieth of all pictures if that is more


@dataclass(frozen=True, eq=False)
class Companions:
    """Which images belong together: numbers (n,) of three kinds, and the images that only look alike.

    `exact` are the same for exact copies, `copies` for near ones too, and `kept` for all that must not be divided.
    `alike` (n,) is whether an image has so many others that look like it that these are no copies.
    """

    exact: Numbers
    copies: Numbers
    kept: Numbers
    alike: NDArray[np.bool_]


def united(count: int, *links: Pairs) -> Numbers:
    """Return the numbers of `count` images where those of a pair belong together, and so on from pair to pair."""
    one, other = np.concatenate([np.empty((0, 2), np.int64), *links]).T
    if not len(one):
        return np.arange(count)
    from scipy.sparse import coo_array  # takes half a second
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(count, count))
    numbers: Numbers = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers


def same(values: NDArray[np.int64] | NDArray[np.uint64]) -> Pairs:
    """Return pairs that connect all images of the same value (n,)."""
    order = np.argsort(values, kind="stable")
    alike = values[order][1:] == values[order][:-1]
    return np.stack([order[:-1][alike], order[1:][alike]], axis=1)


def companions(labels: NDArray[np.int32], exact: Pairs, near: Pairs, source: NDArray[np.int64] | None) -> Companions:
    """Return which images belong together.

    Near copies are told by how they look. So where very many look alike, as those of one camera that never moves, or
    those of a class of which no three others would be left to train, validate and test on, they are not joined.

    Args:
        labels: the class of each image (n,).
        exact: pairs of exact copies.
        near: pairs of near copies.
        source: the source's own groups (n,); None if it has none.
    """
    count = len(labels)
    said = [] if source is None else [same(source)]
    likeness, pictures = united(count, exact, near), np.unique(united(count, exact), return_index=True)[1]
    many = max(_MANY, len(pictures) // 20)
    alike = (np.bincount(likeness[pictures]) > many)[likeness]
    near = near[~alike[near[:, 0]]]
    scarce = _lots_by_class(labels, united(count, exact, near, *said)) < PARTS
    near = near[~np.isin(likeness[near[:, 0]], likeness[scarce[labels]])]
    return Companions(united(count, exact), united(count, exact, near), united(count, exact, near, *said), alike)


def _lots_by_class(labels: NDArray[np.int32], lots: Numbers) -> NDArray[np.int64]:
    """Return how many numbers each class has, in the order of the classes."""
    return np.bincount(np.unique(np.stack([labels, lots]), axis=1)[0])


def notes(
    found: Companions,
    labels: NDArray[np.int32],
    given: NDArray[np.int8],
    source: NDArray[np.int64] | None,
    classes: Sequence[str],
    names: Sequence[str],
    total: int,
) -> tuple[str, ...]:
    """Return the notes on images that belong together, for a person.

    Args:
        found: which do.
        labels: the class of each image (n,).
        given: its role (n,).
        source: the source's own groups (n,), if it has some.
        classes: their names.
        names: of the images, for messages.
        total: how many images the source has, with the bad ones.
    """
    return (
        *_copies(found, given, total),
        *_often(found, labels, names),
        *_labelled(found, labels, classes, names),
        *_across("copies", found.copies, given, names),
        *(() if source is None else _across("groups", source, given, names)),
    )


def _copies(found: Companions, given: NDArray[np.int8], total: int) -> list[str]:
    said = []
    exact = len(found.exact) - len(np.unique(found.exact))
    near = len(np.unique(found.exact)) - len(np.unique(found.copies))
    ours = found.copies[given == Role.UNDECIDED]
    kept = "; each lot is kept on one side of the split" if len(np.unique(ours)) < len(ours) else ""
    if exact:
        said.append(f"{exact:,} of {total:,} images {EXACT}{f', {near:,} nearly' if near else ''}{kept}")
    elif near:
        said.append(f"{near:,} of {total:,} images {NEAR}{kept}")
    if found.alike.any():
        said.append(f"{int(found.alike.sum()):,} of {total:,} images {ALIKE}; they are divided like all others")
    return said


def _often(found: Companions, labels: NDArray[np.int32], names: Sequence[str]) -> list[str]:
    """Return a note on pictures that occur often: exact copies, or copies in several classes."""
    _, first, counts = np.unique(found.copies, return_index=True, return_counts=True)
    exact = np.bincount(found.copies, np.bincount(found.exact)[found.exact] >= OFTEN) > 0
    several = np.isin(np.arange(len(first)), found.copies[[one for one, _ in divided(found.copies, labels)]])
    often = np.flatnonzero((counts >= OFTEN) & (exact | several))
    if not len(often):
        return []
    most = often[counts[often].argmax()]
    more = f", and {len(often) - 1:,} more {OFTEN} times or more" if len(often) > 1 else ""
    return [
        f"{OFTEN_NOTE}{names[first[most]]} is there {counts[most]:,} times{more}; delete it if it only "
        "says that there is no picture"
    ]


def _labelled(found: Companions, labels: NDArray[np.int32], classes: Sequence[str], names: Sequence[str]) -> list[str]:
    pairs = divided(found.copies, labels)
    if not pairs:
        return []
    one, other = (f"{names[image]} ('{classes[labels[image]]}')" for image in pairs[0])
    return [f"{LABELS_NOTE}{_lots(len(pairs))} of copies, such as {one} and {other}"]


def _across(kind: str, numbers: Numbers, given: NDArray[np.int8], names: Sequence[str]) -> list[str]:
    """Return a note on what is in several parts of a source that is divided."""
    pairs = divided(numbers, np.maximum(given, Role.TRAIN))
    if not pairs:
        return []
    one, other = (names[image] for image in pairs[0])
    return [f"{ACROSS_NOTE}{_lots(len(pairs))} of {kind}, such as {one} and {other}; this inflates the scores"]


def _lots(count: int) -> str:
    return f"{count:,} lot{'' if count == 1 else 's'}"


def divided(numbers: Numbers, values: NDArray[np.integer[Any]]) -> list[tuple[int, int]]:
    """Return the first two images that differ in their values (n,), of each number that has such images."""
    _, firsts, codes = np.unique(numbers, return_index=True, return_inverse=True)
    first = firsts[codes]
    unlike = np.flatnonzero(values != values[first])
    second = unlike[np.unique(numbers[unlike], return_index=True)[1]]
    return sorted((int(first[image]), int(image)) for image in second)
