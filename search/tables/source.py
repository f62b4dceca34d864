"""A table of labels with the images beside it, as a source.

    dogs/labels.csv     id,breed
                        0a1b,beagle
    dogs/train/         0a1b.jpg ...

The paths are relative to the table's folder, or to a folder in it, with or without their endings. A column may say
train, val or test, and another one which images belong together. Nothing outside the table's folder is ever read.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import InputError
from ...spaces.printable import printable
from ...spaces.sizes import Size
from ..data.class_names import class_names
from ..data.source import Progress, Role, Source, listed, quoted, role_of
from ..images.files import Scan, decoded, facts, headers_of, scan
from ..images.reading import require_unchanged, state_of
from ..values.columns import Columns
from .columns import Chosen, choose_columns
from .images import Images
from .labels import require_classes
from .open import open_table
from .rows import Matched, Row, match
from .table import Table

_SAMPLE = 1000  # rows that say which column is which


def read_table(
    path: Path,
    spec: str,
    said: Columns,
    studies: Collection[Path] = (),
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Read a table and scan its images: hash each and read its header, without decoding any.

    Args:
        path: of the table.
        spec: its name for messages.
        said: the columns that a person named.
        studies: the folders where studies are kept, which may be beside the table and are no part of the data.
        skip_bad: whether to leave out rows without an image or a label.
        progress: called while the images are hashed, with the number done and the total.

    Raises InputError where the table, its columns, or what its rows say cannot be used.
    """
    before = state_of(path)
    table = open_table(path, spec)
    images = Images(path.parent, studies)
    sample = [cells for _, cells in islice(table.read(range(len(table.columns))), _SAMPLE)]
    chosen = choose_columns(table, said, sample, lambda value: bool(images.find(images.inside(value.strip()) or "")))
    matched = match(table, chosen, images, skip_bad=skip_bad)
    require_unchanged(path, before, spec)
    rows = matched.rows
    counts = Counter(row.label for row in rows)
    require_classes(spec, table.name(chosen.label), counts)
    split = "" if chosen.split is None else table.name(chosen.split)
    parts = sorted({row.part for row in rows})
    if parts != [""] and "train" not in parts:
        raise InputError(
            f"{spec}: '{split}' has {quoted(parts)} but no 'train', which must be said of the training images."
        )
    seen = scan(rows, progress)
    headers = headers_of(spec, rows, seen)
    names = class_names(f"{spec}: '{table.name(chosen.label)}'", counts)
    index = {label: number for number, label in enumerate(names)}
    return Source(
        name=printable(path.stem),
        spec=spec,
        fingerprint=_fingerprint(rows, seen, images.root, chosen),
        sizes=Counter(Size(header.height, header.width) for header in headers),
        depth=1 if all(header.grey for header in headers) else 3,
        classes=tuple(names.values()),
        labels=np.array([index[row.label] for row in rows], dtype=np.int32),
        given=np.array([role_of(row.part, parts) for row in rows], dtype=np.int8),
        batches=partial(decoded, spec, rows, seen),
        notes=tuple(_notes(table, chosen, matched, images)),
        places={Role[part.upper()]: f"'{split}' {part}" for part in parts if part},
        groups=None if chosen.group is None else _groups(rows),
        files=facts(rows, seen),
    )


def _groups(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Return the number of each image's group; an image of none has one of its own."""
    numbers: dict[str | int, int] = {}
    keys = (row.group or place for place, row in enumerate(rows))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _fingerprint(rows: Sequence[Row], seen: Sequence[Scan], root: Path, chosen: Chosen) -> str:
    """Return the SHA-256 over what the table says of each image, and the images' contents.

    How it says it does not count: the order of its rows and columns, its format, endings that it leaves out.
    """
    total = hashlib.sha256(b"table\n")
    for row, item in zip(rows, seen, strict=True):
        part = row.part if chosen.split is not None else None
        group = row.group if chosen.group is not None else None
        path = os.fspath(row.path.relative_to(root))
        total.update(json.dumps([path, row.label, part, group, item.digest]).encode() + b"\n")
    return total.hexdigest()


def _notes(table: Table, chosen: Chosen, matched: Matched, images: Images) -> list[str]:
    """Return notes for a person: which columns were taken, and what of the table and the images is not used."""
    rows = matched.rows
    paths = {row.path for row in rows}
    notes = [_columns_note(table, chosen, rows, [place for place in images.places(paths) if place])]
    if matched.left_out.count:
        notes.append(
            f"skipped: {matched.left_out.count:,} of {matched.total:,} rows without an image or a label, such as "
            f"{matched.left_out.first[0]}"
        )
    if matched.repeated.count:
        notes.append(
            f"{matched.repeated.count:,} rows say again what others say of the same images, such as "
            f"{matched.repeated.first[0]}"
        )
    if others := list(images.others(paths)):
        first = printable(others[0].relative_to(images.root).as_posix())
        total = len(others) + len(paths)
        notes.append(f"ignored: {len(others):,} of {total:,} images beside them have no row, such as {first}")
    if chosen.group is not None:
        notes += _group_notes(table.name(chosen.group), rows)
    return notes


def _columns_note(table: Table, chosen: Chosen, rows: Sequence[Row], places: Sequence[str]) -> str:
    where = f" in {listed(places, ', ', limit=3)}" if places else ""
    taken = [f"images from '{table.name(chosen.image)}'{where}"]
    taken.append(f"labels from '{table.name(chosen.label)}' ({len({row.label for row in rows}):,} classes)")
    if chosen.split is not None:
        taken.append(f"splits from '{table.name(chosen.split)}'")
    if chosen.group is not None:
        taken.append(f"groups from '{table.name(chosen.group)}' ({len({row.group for row in rows if row.group}):,})")
    others = [name for column, name in enumerate(table.columns) if column not in chosen.all and name]
    others += table.passed_over
    unread = f"; not read: {quoted([printable(name) for name in others])}" if others else ""
    return f"columns: {', '.join(taken)}{unread}"


def _group_notes(column: str, rows: Sequence[Row]) -> list[str]:
    """Return notes on images without a group, and on groups that the table itself has put on several sides."""
    notes = []
    if alone := sum(not row.group for row in rows):
        notes.append(f"{alone:,} images have no '{column}': each of them is a group of its own")
    sides: dict[str, set[str]] = {}
    for row in rows:
        if row.group:
            sides.setdefault(row.group, set()).add(row.part)
    divided = [group for group, parts in sides.items() if len(parts) > 1]
    if divided:
        parts = " and ".join(sorted(sides[divided[0]]))
        notes.append(
            f"{len(divided):,} groups are on several sides of the given split, such as '{printable(divided[0])}' in "
            f"{parts}: it stays as it is given, and may inflate the scores"
        )
    return notes
