"""Opens a table by the ending of its file, and says which files may be tables."""

from collections.abc import Callable
from pathlib import Path

from ...spaces.errors import InputError
from ...spaces.printable import printable
from ..data.source import quoted
from .json_lines import read_json_lines
from .parquet import read_parquet
from .table import Table
from .text import read_text

_READERS: dict[str, Callable[[Path, str], Table]] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".parquet": read_parquet,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}

ENDINGS = tuple(_READERS)
"""The endings of tables."""


def is_table(path: Path) -> bool:
    """Whether a file is a table by its ending."""
    return path.suffix.lower() in _READERS


def open_table(path: Path, spec: str) -> Table:
    """Return the table in a file; InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{spec}: no regular file; a table is read twice.")
    table = _READERS[path.suffix.lower()](path, spec)
    if len(table.columns) < 2:
        found = f"one column, {table.names()}" if table.columns else "no columns"
        found += f" beside {nested_columns(table)}" if table.passed_over else ""
        raise InputError(
            f"{spec} has {found}; expected one of images and one of labels, with commas, semicolons or tabs between "
            "them if it is text."
        )
    return table


def nested_columns(table: Table) -> str:
    """Return the columns that are passed over, for messages."""
    return f"columns of lists, structures or bytes, {quoted([printable(name) for name in table.passed_over])}"


def tables_at(folder: Path) -> list[Path]:
    """Return the tables in a folder and beside it, the nearest first; none where these cannot be listed."""
    found: list[Path] = []
    for place in (folder, folder.parent):
        try:
            found += sorted(path for path in place.iterdir() if is_table(path) and path.is_file())
        except OSError:  # it is only for a hint
            continue
    return found
