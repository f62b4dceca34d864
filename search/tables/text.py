"""A table as text: commas, semicolons, tabs or vertical bars between the values, whichever it has; values in quotes."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ...spaces.errors import InputError
from .lines import lines
from .table import Rows, Table

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 100  # lines that say which it is


def read_text(path: Path, spec: str) -> Table:
    """Return the table in a text file, whose first line has the names of the columns.

    Raises InputError where it is no such table; so does reading it, with the line.
    """
    separator = _separator(list(islice(lines(path, spec), _SAMPLE)))
    header = next(_records(path, spec, separator), None)
    if header is None:
        raise InputError(f"{spec}: empty; expected a table whose first line has the names of the columns.")

    def read(columns: Sequence[int]) -> Rows:
        records = _records(path, spec, separator)
        width = len(next(records)[1])
        for line, record in records:
            if len(record) != width:
                raise InputError(
                    f"{spec}: line {line} has {len(record)} values, the first line {width}. Put values into quotes "
                    f"that hold {_name(separator)} or a line break."
                )
            yield line, [record[column] for column in columns]

    return Table(spec, tuple(name.strip() for name in header[1]), read)


def _separator(sample: Sequence[str]) -> str:
    """Return the separator with which most lines have as many values as the first one, and the more of these."""
    found: list[tuple[int, int, str]] = []
    for separator in _SEPARATORS:
        widths = [len(record) for record in csv.reader(sample, delimiter=separator, skipinitialspace=True) if record]
        if widths and widths[0] > 1:
            found.append((widths.count(widths[0]), widths[0], separator))
    return max(found, key=lambda one: one[:2], default=(0, 0, _SEPARATORS[0]))[2]


def _records(path: Path, spec: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the values of each row with the line on which it begins; lines without any are passed over."""
    reader = csv.reader(lines(path, spec), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    try:
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{spec}: the quotes in line {line} do not close as they should ({error}). A quote within quotes is "
            'written twice: "a ""b"" c".'
        ) from error


def _name(separator: str) -> str:
    return "a tab" if separator == "\t" else f"'{separator}'"
