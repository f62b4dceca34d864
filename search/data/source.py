"""The common form of all sources: labels, roles and decoded batches; and the checks that make one usable.

The readers (sources/, tables/) make a `Source`, store.py turns it into arrays
on disk.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.sizes import Fit, Size

BATCH_BYTES = 16 * 2**20
"""About how much is decoded at a time: enough to keep all threads busy, small enough for any machine."""

Progress = Callable[[int, int], None]
"""Called with the number of images done and the total."""

Step = Callable[[str], Progress]
"""Called when a step of reading begins, with what is counted in it, such as `images decoded`."""


class Role(IntEnum):
    """What an image is for, where the source says so."""

    UNDECIDED = 0
    TRAIN = 1
    VAL = 2
    TEST = 3


IMAGES_OF = {
    Role.UNDECIDED: "the images",
    Role.TRAIN: "the training images",
    Role.VAL: "the validation images",
    Role.TEST: "the test images",
}
"""What a message calls the images of a role."""


class Truncated(NamedTuple):
    """An image that was read although its file lacks its end: its row in the source, and the file's name.

    `problem` is why earlier versions took it for a bad one; empty where they read it, too.
    """

    row: int
    name: str
    problem: str


class Batch(NamedTuple):
    """Decoded images (m, height, width, depth), their rows in the source (m,), and the bad images among them.

    `digests` (m,) are the same where the images were before they were resized; empty where the source has `files`.
    `truncated` are those of the images whose files lack their ends.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    bad: tuple[str, ...] = ()
    digests: NDArray[np.uint64] = np.empty(0, np.uint64)
    truncated: tuple[Truncated, ...] = ()


class Files(NamedTuple):
    """What a scan tells of a source's image files (n,).

    They are the printable names, numbers that are the same where the content is, and the lengths of the shorter sides
    in pixels, 0 where an image is bad.
    """

    names: Sequence[str]
    contents: NDArray[np.int64]
    sides: NDArray[np.int32]


@dataclass(frozen=True)
class Source:
    """A source that was scanned but not decoded yet.

    `sizes` counts the readable images of each size; `depth` is 1 if all are grey, otherwise 3. `labels` (n,) are
    indices in `classes`, `given` (n,) are roles. `places` is the source's own name for the place of a role, for
    messages. `batches` decodes everything in order, to a volume by a fit, and names what cannot be decoded in `bad`;
    who stops early closes it. `groups` (n,) are the same where images must not be divided, as those of one patient;
    None where the source does not say so. `files` are the images' files; None where they are arrays.
    """

    name: str
    spec: str
    fingerprint: str
    sizes: Mapping[Size, int]
    depth: int
    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    given: NDArray[np.int8]
    batches: Callable[[Volume, Fit], Iterator[Batch]]
    notes: tuple[str, ...] = ()
    places: dict[Role, str] = field(default_factory=dict)
    groups: NDArray[np.int64] | None = None
    files: Files | None = None


def role_of(part: str, parts: Sequence[str]) -> Role:
    """Return the role of the images in one of a source's `parts`: "train", "val", "test", or "" for no part.

    The source's training images still have to yield those for validation and test, unless it provides both; so
    they are undecided, not fixed.

    >>> role_of("train", ["train", "test"]).name, role_of("train", ["train", "val", "test"]).name
    ('UNDECIDED', 'TRAIN')
    """
    if part in ("val", "test"):
        return Role[part.upper()]
    return Role.TRAIN if "val" in parts and "test" in parts else Role.UNDECIDED


def check_classes(source: Source, rows: NDArray[np.int64] | None = None) -> None:
    """Reject what cannot be trained and tested: a single class, classes without training images, too few images.

    Every class needs an image to train on, one to validate on and one to test on; where the source provides
    its own validation or test images, correspondingly fewer. With `rows`, only those images count, and each part of the
    source must have some left.
    """
    labels = source.labels if rows is None else source.labels[rows]
    given = source.given if rows is None else source.given[rows]
    after = "" if rows is None or len(rows) == len(source.labels) else " after the bad ones were left out"
    if len(source.classes) < 2:
        raise InputError(f"{source.spec}: only one class, '{source.classes[0]}'; a search needs images of two or more.")
    for role, place in source.places.items():
        of_role = given <= Role.TRAIN if role is Role.TRAIN else given == role
        if not of_role.any():
            instead = "" if role is Role.TRAIN else ", or remove it: images of the others are then held out"
            raise InputError(f"{source.spec}: {place}: no image can be read. Put others there{instead}.")
    count = np.bincount(labels[given <= Role.TRAIN], minlength=len(source.classes))
    train_place = source.places.get(Role.TRAIN, "the training images")
    for role in (Role.VAL, Role.TEST):
        used = np.bincount(labels[given == role], minlength=len(source.classes))
        lacking = [source.classes[i] for i in np.flatnonzero((used > 0) & (count == 0))]
        if lacking:
            raise InputError(
                f"{source.spec}: {source.places[role]} has classes that {train_place} lacks{after}: "
                f"{quoted(lacking)}. What is validated or tested must have been trained: add images of "
                f"them to {train_place}, or remove them.{_twins(lacking, source.classes)}"
            )
    uses = ["training"]
    uses += [] if np.any(given == Role.VAL) else ["validation"]
    uses += [] if np.any(given == Role.TEST) else ["test"]
    few = [f"'{source.classes[i]}' has {count[i]}" for i in np.flatnonzero(count < len(uses))]
    if few:
        where = f" in {train_place}" if len(uses) < 3 else ""
        raise InputError(
            f"{source.spec}: too few images{after}: {listed(few, ', ')}. Every class needs at least "
            f"{len(uses)}{where}, one each for {' and '.join(uses)}; add images, or remove the class."
        )


def _twins(lacking: Sequence[str], classes: Sequence[str]) -> str:
    """Return a hint where another class looks the same: a Mac may store one letter with an accent as two."""
    others = {unicodedata.normalize("NFC", name) for name in classes if name not in lacking}
    twins = [name for name in lacking if unicodedata.normalize("NFC", name) in others]
    if not twins:
        return ""
    return f" There are classes that look like {quoted(twins)}, but whose accents are stored otherwise: rename them."


def class_notes(
    classes: tuple[str, ...], labels: NDArray[np.int32], given: NDArray[np.int8], places: dict[Role, str]
) -> list[str]:
    """Return notes for a person about the number of images, in total and of each class.

    `labels` and `given` are those of the images that can be read, `places` is the source's.
    """
    notes = []
    counts = np.bincount(labels, minlength=len(classes))
    if len(labels) < 50 * len(classes):
        notes.append(f"small: {len(labels):,} images, fewer than 50 per class on average; scores will vary a lot")
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= 5 * counts[least]:
        notes.append(
            f"unbalanced: '{classes[most]}' has {counts[most]:,} images, '{classes[least]}' "
            f"{counts[least]:,}; accuracy says little about the rare classes"
        )
    for role in (Role.VAL, Role.TEST):
        used = np.bincount(labels[given == role], minlength=len(classes))
        if used.any() and not used.all():
            lacking = [classes[i] for i in np.flatnonzero(used == 0)]
            place = places.get(role, f"the {role.name.lower()} part")  # there is none if the arrays are damaged
            notes.append(f"{place} has no images of {quoted(lacking)}")
    return notes


def listed(items: Sequence[str], separator: str, limit: int = 20) -> str:
    """Join the first `limit` items, and say how many more there are.

    >>> listed(["a", "b", "c"], ", ", limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(items) - limit:,} more" if len(items) > limit else ""
    return separator.join(items[:limit]) + more


def quoted(names: Sequence[str]) -> str:
    """Return names for a message: quoted, with commas, the first 20.

    >>> quoted(["cat", "dog"])
    "'cat', 'dog'"
    """
    return listed([f"'{name}'" for name in names], ", ")


def bad_report(spec: str, bad: Sequence[str], total: int) -> InputError:
    """Return a single error that names the bad images of a source of `total` images, up to 500 of them."""
    lines = listed([f"\n  {line}" for line in bad], "", limit=500)
    hint = (
        "Fix or remove them, or continue without them: --skip-bad."
        if len(bad) < total
        else "None is left to continue with."
    )
    return InputError(f"{spec}: {len(bad):,} of {total:,} images cannot be read:{lines}\n{hint}")
