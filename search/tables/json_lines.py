"""A table as JSON lines: an object in each line, whose keys are the columns."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...spaces.errors import InputError
from ...spaces.printable import printable
from .lines import lines
from .table import Rows, Table, text_of

_SAMPLE = 1000  # lines whose keys are the columns: not every line must have all


def read_json_lines(path: Path, spec: str) -> Table:
    """Return the table in a file of JSON lines.

    Raises InputError where it is none; so does reading it, with the line.
    """
    sample = [row for _, row in islice(_objects(path, spec), _SAMPLE)]
    keys = dict.fromkeys(key for row in sample for key in row)
    nested = {key for row in sample for key, value in row.items() if isinstance(value, dict | list)}
    columns = tuple(key for key in keys if key not in nested)

    def read(chosen: Sequence[int]) -> Rows:
        for line, row in _objects(path, spec):
            values = [row.get(columns[column]) for column in chosen]
            for column, value in zip(chosen, values, strict=True):
                if isinstance(value, dict | list):
                    raise InputError(
                        f"{spec}: line {line} has a {'list' if isinstance(value, list) else 'mapping'} under "
                        f"'{printable(columns[column])}'; expected text or a number."
                    )
            yield line, [text_of(value) for value in values]

    return Table(spec, columns, read, passed_over=tuple(key for key in keys if key in nested))


def _objects(path: Path, spec: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines(path, spec), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(_no_object(spec, number, f"is not valid JSON ({error})")) from error
        if not isinstance(row, dict):
            raise InputError(_no_object(spec, number, "is no JSON object"))
        yield number, row


def _no_object(spec: str, number: int, why: str) -> str:
    return (
        f'{spec}: line {number} {why}; expected an object in each line, as in {{"image": "a.jpg", "label": "cat"}}. '
        "pandas writes them so: to_json(..., orient='records', lines=True)."
    )
