"""Reads the rows of a table, and brings each together with the image that it names."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...spaces.errors import InputError, nearest
from ...spaces.printable import printable
from ..data.parts import PARTS
from ..data.source import listed
from .columns import Chosen
from .images import Images
from .table import Table

_NAMED = 20  # rows that cannot be used, by an error; of all others only the number is kept


class Row(NamedTuple):
    """What a table says of an image: `number` is that of the row in its file.

    `name` is the image's path relative to the table's folder, to be shown. `part` is "train", "val" or "test", `group`
    the text of its cell; both are empty where no column says them.
    """

    path: Path
    name: str
    number: int
    label: str
    part: str
    group: str


class Matched(NamedTuple):
    """The rows of the images that are there, in the order of their names, and how many rows there were in `total`.

    `left_out` are those that cannot be used, as `place: reason`, `repeated` those that say again what another row says.
    """

    rows: list[Row]
    total: int
    left_out: "Listed"
    repeated: "Listed"


@dataclass
class Listed:
    """How many rows there are of a kind, and the first of them; there may be millions."""

    count: int = 0
    first: list[str] = field(default_factory=list)


def match(table: Table, chosen: Chosen, images: Images, *, skip_bad: bool) -> Matched:
    """Return what a table says of the images that are there.

    Raises InputError where a path leads out of the table's folder or may mean several images, where an image has two
    labels, splits or groups, where a split is no known word, and, unless `skip_bad`, one that names all rows without an
    image or a label.
    """
    found: dict[Path, Row] = {}
    left_out, repeated, total = Listed(), Listed(), 0
    split_at = 2 if chosen.split is not None else None
    group_at = len(chosen.all) - 1 if chosen.group is not None else None
    for number, cells in table.read(chosen.all):
        total += 1
        value, label = cells[0].strip(), cells[1].strip()
        path = _image(table, number, value, images)
        if path is None or not label:
            if len(left_out.first) < _NAMED:
                why = f"no label under '{table.name(chosen.label)}'" if path else images.why_not(value)
                left_out.first.append(f"{table.unit} {number}: '{printable(value)}': {why}")
            left_out.count += 1
            continue
        part = "" if split_at is None else _part(table, chosen, number, cells[split_at].strip())
        group = "" if group_at is None else cells[group_at].strip()
        row = Row(path, printable(path.relative_to(images.root).as_posix()), number, label, part, group)
        before = found.setdefault(path, row)
        if before is not row:
            _require_alike(table, before, row)
            repeated.count += 1
            repeated.first = repeated.first or [f"{table.unit} {number}"]
    if not total:
        raise InputError(f"{table.spec} has no rows below the names of its columns.")
    if left_out.count and (not skip_bad or not found):
        raise _left_out_error(table, images, left_out, total)
    rows = sorted(found.values(), key=lambda row: row.path.as_posix())
    return Matched(rows, total, left_out, repeated)


def _image(table: Table, number: int, value: str, images: Images) -> Path | None:
    """Return the image that a cell names, None where it is not there."""
    name = images.inside(value)
    found = [] if name is None else images.find(name)
    if len(found) == 1:
        return found[0]
    if not found and name is not None and not images.leads_out(name):
        return None
    place = f"{table.spec}: {table.unit} {number}: '{printable(value)}'"
    if len(found) > 1:
        names = [f"'{printable(one.relative_to(images.root).as_posix())}'" for one in found]
        advice = (
            "Write its ending."
            if found[0].parent == found[1].parent
            else "Write its folder into the table, or move the table into the folder that is meant."
        )
        raise InputError(f"{place} may be {listed(names, ' or ', limit=3)}. {advice}")
    raise InputError(
        f"{place} leads out of the table's folder; only images in it are read, and no links that lead out, to folders "
        "or nowhere. Put the images there, with paths relative to the table."
    )


def _part(table: Table, chosen: Chosen, number: int, text: str) -> str:
    part = PARTS.get(text.lower())
    if part is None:
        assert chosen.split is not None, "it has been read"
        place = f"{table.spec}: {table.unit} {number}: '{printable(text)}' under '{table.name(chosen.split)}'"
        raise InputError(f"{place} is no split: {nearest(printable(text), PARTS)}")
    return part


def _require_alike(table: Table, one: Row, other: Row) -> None:
    """Raise an InputError where two rows say different things of one image."""
    for what in ("label", "part", "group"):
        first, second = getattr(one, what), getattr(other, what)
        if first != second:
            word = "split" if what == "part" else what
            raise InputError(
                f"{table.spec}: {one.name} has two {word}s: '{printable(first)}' in {table.unit} {one.number}, "
                f"'{printable(second)}' in {table.unit} {other.number}. Keep the one that is right."
            )


def _left_out_error(table: Table, images: Images, left_out: Listed, total: int) -> InputError:
    items = "".join(f"\n  {item}" for item in left_out.first)
    more = f" and {left_out.count - _NAMED:,} more" if left_out.count > _NAMED else ""
    hint = (
        "Correct or remove them, or continue without them: --skip-bad."
        if left_out.count < total
        else "None is left to continue with. Is it the right column, --image-column, and the right folder?"
    )
    return InputError(
        f"{table.spec}: {left_out.count:,} of {total:,} rows have no image or no label{images.walk.left_out}:"
        f"{items}{more}\nLooked in {images.looked_in}. {hint}"
    )
