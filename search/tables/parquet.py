"""A table as a Parquet file, of which only the columns that are asked for are read, some rows at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...spaces.errors import InputError
from ..images.reading import is_of_the_machine
from .table import Rows, Table, text_of

_ROWS = 2**14  # read at a time


def read_parquet(path: Path, spec: str) -> Table:
    """Return the table in a Parquet file: its columns of text, numbers, dates, and true and false.

    Columns of bytes, lists and structures are passed over. Raises InputError where the file is damaged; so does reading
    it.
    """
    import pyarrow as pa  # takes a third of a second, and few have such tables
    import pyarrow.parquet as pq

    @contextmanager
    def damage() -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if is_of_the_machine(error):
                raise
            raise InputError(f"{spec}: cannot be read as Parquet: {error}") from error
        except (pa.ArrowException, ValueError, KeyError, OverflowError) as error:
            raise InputError(f"{spec}: cannot be read as Parquet: {error}") from error

    with damage(), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
    plain = [
        field.name
        for field in schema
        if not (pa.types.is_nested(field.type) or "binary" in str(field.type)) and schema.names.count(field.name) == 1
    ]

    def read(columns: Sequence[int]) -> Rows:
        names = [plain[column] for column in columns]
        row = 0
        with damage(), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=names):
                for values in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                    row += 1
                    yield row, [text_of(value) for value in values]

    others = tuple(name for name in schema.names if name not in plain)
    return Table(spec, tuple(plain), read, unit="row", passed_over=others)
