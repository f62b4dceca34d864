"""Tables of labels as they might be, beside real images."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from convsearch.search.data.source import Source
from convsearch.search.sources.open import scan
from convsearch.search.values.columns import Columns
from convsearch.spaces.errors import InputError

SaveImage = Callable[..., Path]
NAMES = tuple(f"0a{number:x}" for number in range(12))
BREEDS = tuple(("pug", "beagle")[number % 2] for number in range(12))
CSV = "id,breed\n" + "".join(f"{name},{breed}\n" for name, breed in zip(NAMES, BREEDS, strict=True))
"""A table as Kaggle has it: names without endings, in the order of the images, of `BREEDS`, twelve in all."""


def save_images(folder: Path, save: SaveImage, names: Iterable[str] = NAMES) -> Path:
    """Save an image of each name into a folder; return that."""
    for name in names:
        save(folder / (name if "." in name else f"{name}.jpg"))
    return folder


def with_column(name: str, values: Sequence[object]) -> str:
    """The table with one column more."""
    lines = CSV.splitlines()
    return "".join(f"{line},{value}\n" for line, value in zip(lines, (name, *values), strict=True))


def read(path: Path, table: str | bytes | None = None, *, skip_bad: bool = False, **columns: str) -> Source:
    """Scan a table, having written it if its text is given."""
    if table is not None:
        path.write_bytes(table.encode() if isinstance(table, str) else table)
    return scan(str(path), (), Columns(**columns), skip_bad=skip_bad)


def refused(path: Path, table: str | bytes | None = None, *, skip_bad: bool = False, **columns: str) -> str:
    """Return the message that a table is refused with, without its own path at the beginning."""
    with pytest.raises(InputError) as error:
        read(path, table, skip_bad=skip_bad, **columns)
    return str(error.value).replace(str(path), path.name)


def breeds(source: Source) -> list[str]:
    """The class of each image, in order."""
    return [source.classes[label] for label in source.labels]
