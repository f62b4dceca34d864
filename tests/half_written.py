"""SQLite files as a program leaves them that is killed while it writes."""

import sqlite3
from contextlib import closing
from pathlib import Path


def half_written(file: Path) -> None:
    """Replace a database by what is on the disk in the middle of a transaction: half of it, and how to undo it."""
    journal = file.with_name(f"{file.name}-journal")
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that pages are written before the end
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE large (text TEXT)")
        writer.executemany("INSERT INTO large VALUES (?)", [("x" * 5000,)] * 100)
        left = file.read_bytes(), journal.read_bytes()
        writer.execute("ROLLBACK")
    file.write_bytes(left[0])
    journal.write_bytes(left[1])
