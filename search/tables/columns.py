"""Which column of a table says what: as a person said, or by its name and by what its first rows hold.

The surest evidence of the column of images is that images have the names in it. Where two columns could be meant, none
is guessed.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ...spaces.errors import InputError, nearest
from ...spaces.printable import printable
from ..data.parts import PARTS
from ..images.decoding import SUFFIXES
from ..values.columns import NO_COLUMN, Columns
from .table import Table

_IMAGES = (
    "image images img image_id img_id image_name img_name image_path img_path image_file file files filename filenames "
    "file_name file_path filepath filepaths path paths id uuid"
)
_LABELS = "label labels class classes class_name label_name category target species breed diagnosis dx"
_NUMBERED = "class_id label_id category_id class_index label_index y"
"""Names of columns of labels that often stand beside one of those above, with a number for each name."""
_SPLITS = "split splits set subset partition data_set dataset fold phase"
_GROUPS = "group patient subject participant person case lesion camera"
_ROLES: dict[str, Sequence[frozenset[str]]] = {
    "image": [frozenset(_IMAGES.split())],
    "label": [frozenset(_LABELS.split()), frozenset(_NUMBERED.split())],
    "split": [frozenset(_SPLITS.split())],
    "group": [frozenset(f"{name}{ending}" for name in _GROUPS.split() for ending in ("", "s", "id", "_id"))],
}
"""The names, in lower case, of the columns of each role; those that come first are looked for first."""


class Chosen(NamedTuple):
    """The indices of the columns; None where there is none."""

    image: int
    label: int
    split: int | None
    group: int | None

    @property
    def all(self) -> tuple[int, ...]:
        """Those that are there, in this order."""
        return tuple(column for column in self if column is not None)


def choose_columns(
    table: Table, said: Columns, sample: Sequence[Sequence[str]], is_image: Callable[[str], bool]
) -> Chosen:
    """Return which column says what.

    Args:
        table: whose columns they are.
        said: those that a person named.
        sample: the first rows, with the values of all columns.
        is_image: whether a value names an image that is there.

    Raises:
        InputError: a column that was said is not there; none could be it, or several could.
    """
    if any(PurePosixPath(name.replace("\\", "/")).suffix.lower() in SUFFIXES for name in table.columns):
        raise InputError(
            f"{table.spec}: the first line is a row already, {table.names()}; it must have the names of the columns, "
            "such as image,label."
        )
    found = {role: _said(table, role, name) for role, name in said if name is not None}
    _require_different(table, found)

    def free() -> list[int]:
        return [column for column in range(len(table.columns)) if column not in found.values()]

    if "image" not in found:
        found["image"] = _image(table, free(), sample, is_image)
    if "split" not in found:  # a set or fold may also be a number, which says nothing about parts
        words = [column for column in free() if any(row[column].strip().lower() in PARTS for row in sample)]
        found["split"] = _one_at_most(table, "split", words)
    if "group" not in found:
        found["group"] = _one_at_most(table, "group", free())
    if "label" not in found:  # last, because it may be the one that is left
        found["label"] = _label(table, free())
    image, label = found["image"], found["label"]
    assert image is not None, "none is not among what may be said of it"
    assert label is not None, "none is not among what may be said of it"
    return Chosen(image, label, found["split"], found["group"])


def _said(table: Table, role: str, name: str) -> int | None:
    count = table.columns.count(name)
    if name == NO_COLUMN and role in ("split", "group") and not count:
        return None
    if not count:
        known = map(printable, table.columns)
        if name in table.passed_over:
            raise InputError(f"--{role}-column {name}: {table.spec} has lists, structures or bytes there, no text.")
        raise InputError(f"--{role}-column {name}: {table.spec} has no such column: {nearest(name, known)}")
    if count > 1:
        raise InputError(f"--{role}-column {name}: {table.spec} has {count} columns of that name; rename the others.")
    return table.columns.index(name)


def _require_different(table: Table, found: Mapping[str, int | None]) -> None:
    taken: dict[int, str] = {}
    for role, column in found.items():
        if column is not None and (other := taken.setdefault(column, role)) != role:
            raise InputError(
                f"{table.spec}: --{other}-column and --{role}-column name one column, '{table.name(column)}'; say "
                "different ones."
            )


def _image(table: Table, free: Sequence[int], sample: Sequence[Sequence[str]], is_image: Callable[[str], bool]) -> int:
    hits = {column: sum(is_image(row[column]) for row in sample) for column in free}
    most = max(hits.values(), default=0)
    # Of several, each with at least half of them: labels may be numbers, which are names of images, too.
    candidates = [column for column in free if most and 2 * hits[column] >= most]
    named = _named(table, "image", candidates or free)
    if len(candidates) == 1:
        return candidates[0]
    if len(named) == 1:
        return named[0]
    if named or candidates:
        raise _several(table, "image", named or candidates)
    raise InputError(
        f"{table.spec}: none of its columns names images that are there: {table.names(free)}. Which one has their "
        "paths, relative to the table or to a folder beside it? --image-column"
    )


def _label(table: Table, free: Sequence[int]) -> int:
    named = _named(table, "label", free)
    if len(named) == 1:
        return named[0]
    left = [column for column in free if table.columns[column]]  # pandas writes its index without a name
    if not named and len(left) == 1:
        return left[0]
    if not left:
        raise InputError(
            f"{table.spec} has no column of labels: {table.names()}. Add one, or say which it is: --label-column"
        )
    raise _several(table, "label", named or left)


def _one_at_most(table: Table, role: str, columns: Sequence[int]) -> int | None:
    named = _named(table, role, columns)
    if len(named) > 1:
        raise _several(table, role, named)
    return named[0] if named else None


def _named(table: Table, role: str, columns: Iterable[int]) -> list[int]:
    """Return those of the columns that have the first names of a role that any of them has."""
    for names in _ROLES[role]:
        if found := [column for column in columns if _plain(table.columns[column]) in names]:
            return found
    return []


def _plain(name: str) -> str:
    """Return a name in lower case, with one underscore for whatever stands between its words.

    >>> _plain("Image ID"), _plain("data-set"), _plain("imageId")
    ('image_id', 'data_set', 'image_id')
    """
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)).strip("_").lower()


def _several(table: Table, role: str, columns: Sequence[int]) -> InputError:
    none = f"; or --{role}-column {NO_COLUMN}" if role in ("split", "group") else ""
    return InputError(
        f"{table.spec}: several columns may be that of the {role}s: {table.names(columns)}. Say which one: "
        f"--{role}-column NAME{none}"
    )
