"""Divides the images into training, validation and test.

scikit-learn's stratified splitters keep the class proportions only on average: of a class of three images, the test
may get none. Here every class must be in every part, so the images are allotted class by class. Images that belong
together (groups.py) stay together; where none do, they have no influence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import InputError
from .dataset import Dataset
from .source import Role, listed
from .whole_groups import hold_out_groups

HELD_OUT = 0.2
"""The share of the images that are held out for the test, and of those left for validation."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """The images of a data set by their use: sorted indices, each image in exactly one of the three."""

    train: Indices
    val: Indices
    test: Indices

    def save(self, path: Path) -> None:
        """Write the split to a new `.npz` file; in a folder that nobody reads before it is complete."""
        with path.open("xb") as stream:
            np.savez(stream, train=self.train, val=self.val, test=self.test)

    def divides(self, count: int) -> bool:
        """Whether each of `count` images, and nothing else, is in one of the parts."""
        return np.array_equal(np.sort(np.concatenate([self.train, self.val, self.test])), np.arange(count))

    def test_images_known_to(self, other: "Split") -> int:
        """Return how many test images another split of the same images trains or validates on."""
        return len(np.intersect1d(self.test, np.concatenate([other.train, other.val])))

    def examples(self, dataset: Dataset, count: int) -> NDArray[np.uint8]:
        """Return the first `count` training images, or all if there are fewer: what a check or a sample may show.

        Neither may touch the other parts: test images are read by the one test only.
        """
        return np.array(dataset.images()[self.train[:count]])

    @staticmethod
    def load(path: Path) -> "Split":
        """Read a split that `save` wrote; InputError where there is none, or an image is in two parts."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                parts = [arrays[name] for name in ("train", "val", "test")]
        except Exception as error:  # a damaged zip makes zipfile and NumPy raise many things
            raise InputError(f"{path}: not a readable split ({error}).") from error
        if any(part.ndim != 1 or part.dtype.kind not in "iu" for part in parts):
            raise InputError(f"{path}: not a readable split: its parts are not lists of images.")
        images = np.concatenate(parts)
        if len(np.unique(images)) < len(images):
            raise InputError(f"{path}: damaged: an image is in two of its parts.")
        return Split(*(part.astype(np.int64) for part in parts))


def split(dataset: Dataset, seed: int, val_fraction: float = HELD_OUT, test_fraction: float = HELD_OUT) -> Split:
    """Divide a data set: hold out the test images first, then those for validation; the rest is for training.

    Test or validation images that the source provides are kept as they are. Otherwise `test_fraction` of the undecided
    images are for the test, and `val_fraction` of those still left for validation; both stratified by
    class, and at least one image of each class in each part where it has three or more. Images that belong together
    stay together, and the fractions are met as nearly as that allows. The same data set, seed and fractions give the
    same split; the test images do not depend on `val_fraction`.

    Raises:
        InputError: so many images belong together that a part gets none of a class.
    """
    labels, given, groups = dataset.labels(), dataset.given, dataset.groups()
    parts = divide(labels, given, seed, val_fraction, test_fraction, groups)
    _require_all_classes(dataset, labels, groups, given, parts)
    return parts


def divide(
    labels: NDArray[np.int32],
    given: NDArray[np.int8],
    seed: int,
    val_fraction: float = HELD_OUT,
    test_fraction: float = HELD_OUT,
    groups: NDArray[np.int64] | None = None,
) -> Split:
    """Divide images by their classes (n,) and given roles (n,), those of one group (n,) together; see `split`."""
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 < value < 1:
            raise InputError(f"{name} must be between 0 and 1, as in 0.2, but is {value}.")
    if seed < 0:
        raise InputError(f"the seed must be a whole number from 0 up, but is {seed}.")
    roles = given.copy()
    for role, fraction in ((Role.TEST, test_fraction), (Role.VAL, val_fraction)):
        if not np.any(given == role):
            # The part that is chosen first leaves an image of each class for each later part.
            after = 2 if role is Role.TEST and not np.any(given == Role.VAL) else 1
            undecided = np.flatnonzero(roles == Role.UNDECIDED)
            random = np.random.default_rng([seed, role])
            own = None if groups is None else groups[undecided]
            roles[undecided[_hold_out(labels[undecided], own, fraction, after, random)]] = role
    train = np.flatnonzero(roles <= Role.TRAIN)
    return Split(train, np.flatnonzero(roles == Role.VAL), np.flatnonzero(roles == Role.TEST))


def _hold_out(
    labels: NDArray[np.int32],
    groups: NDArray[np.int64] | None,
    fraction: float,
    leave: int,
    random: np.random.Generator,
) -> Indices:
    """Return which images to hold out: `fraction` of each class, at least one, but leave `leave` of each."""
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = _shares(counts * fraction)
    shares = np.minimum(np.maximum(shares, 1), np.maximum(counts - leave, 0))
    if groups is not None and len(np.unique(groups)) < len(groups):
        return hold_out_groups(codes.astype(np.int32), groups, shares, leave, random)
    chosen: Sequence[Indices] = [
        random.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in zip(classes, shares, strict=True)
    ]
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)


def _require_all_classes(
    dataset: Dataset, labels: NDArray[np.int32], groups: NDArray[np.int64], given: NDArray[np.int8], parts: Split
) -> None:
    """Raise an InputError if a part that was made here, or what it leaves to train on, has no image of a class."""
    made = [("test on", parts.test)] if not np.any(given == Role.TEST) else []
    made += [("validate on", parts.val)] if not np.any(given == Role.VAL) else []
    uses = [*made, ("train on", parts.train)] if made else []
    to_divide = given <= Role.TRAIN
    for use, images in uses:
        lacking = np.setdiff1d(labels[to_divide], labels[images])
        if len(lacking):
            name = f" of '{dataset.classes[lacking[0]]}'" if len(images) else ""
            chosen = to_divide & (labels == lacking[0]) if name else to_divide
            lots = np.sort(np.unique(groups[chosen], return_counts=True)[1])[::-1]
            few = f"At least {len(uses)} are needed: add images of other groups"
            mixed = "They hold images of other classes, too, and cannot be divided so that each part has all classes: "
            raise InputError(
                f"{dataset.source}: no image{name} is left to {use}. Copies of one picture, and images of one group, "
                f"are not divided, and the {np.count_nonzero(chosen):,} images{name} are {len(lots):,} such lot"
                f"{'' if len(lots) == 1 else 's'}, of "
                f"{listed([f'{size:,}' for size in lots], ', ', limit=5)} images. "
                f"{few if len(lots) < len(uses) else f'{mixed}add images of other groups'}"
                f"{', or remove the class' if name else ''}."
            )


def _shares(exact: NDArray[np.floating[Any]]) -> Indices:
    """Round to whole numbers that keep the total: those with the largest remainders are rounded up.

    >>> _shares(np.array([2.4, 2.4, 2.4])).tolist()
    [3, 2, 2]
    """
    whole: Indices = np.floor(exact).astype(np.int64)
    missing = int(np.rint(exact.sum())) - int(whole.sum())
    up = np.argsort(whole - exact, kind="stable")[:missing]  # by the largest remainder
    whole[up] += 1
    return whole
