"""A table as rows of text, whatever the format of its file."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...spaces.printable import printable
from ..data.source import quoted

Rows = Iterator[tuple[int, Sequence[str]]]
"""The number of each row in its file, counted from 1, and the values of the columns that were asked for."""


@dataclass(frozen=True)
class Table:
    """The names of the columns, and `read`, which yields the rows of some of them, given by their indices, in order.

    Rows are read one after the other, so a table may be larger than memory. `unit` is what a row's number counts, for
    messages: the "line" of a text, or the "row". `passed_over` are
    further columns, of bytes, lists and the like. Reading raises an InputError where the file is damaged.
    """

    spec: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[int]], Rows]
    unit: str = "line"
    passed_over: tuple[str, ...] = ()

    def name(self, column: int) -> str:
        """Return the name of a column, to be shown."""
        return printable(self.columns[column])

    def names(self, columns: Iterable[int] | None = None) -> str:
        """Return the names of some columns or of all, quoted, for a message."""
        return quoted([self.name(column) for column in (range(len(self.columns)) if columns is None else columns)])


def text_of(value: Any) -> str:
    """Return a plain value of a file with types as the text of a cell; empty where there is none.

    >>> text_of(7), text_of(True), text_of(None), text_of(float("nan"))
    ('7', 'true', '', '')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
