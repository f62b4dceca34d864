"""MLflow's file in a home, `mlflow.db`: whole or absent, whatever is killed and however many launches begin at once.

MLflow makes its tables by dozens of migrations, and cannot go on with what a kill leaves of them, nor beside another
process that makes them. So they are made elsewhere in the home, under its lock, and published when they are complete.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Engine, event

from ..study.home import Home
from ..system.addresses import sqlite_url
from ..system.files import free_name, partial_folder, publish_file
from .reach import FILE

ASIDE = f"{FILE}.half-made"
BESIDE = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a file
DEFAULT_ARTIFACTS = "mlruns"  # MLflow's own place for runs that are in no study's experiment


def make_whole(home: Home) -> str | None:
    """Make the store of a home, if there is none; only for one process at a time: the home is locked.

    What an earlier version's kill has left, a store without any experiment, is moved aside.

    Returns:
        what was moved where, if anything was.

    Raises:
        OSError, MlflowException, SQLAlchemyError: it cannot be made.
    """
    file, note = home.path / FILE, None
    if file.exists() and _is_half_made(file):
        aside = file.rename(free_name(home.path / ASIDE))
        note = f"{file} was left half made by a kill, without any run: moved to {aside.name} and made anew"
    if not file.exists():
        with partial_folder(home.path) as place:
            made = place.resolve() / FILE
            with _unsynced():
                SqlAlchemyStore(sqlite_url(made), DEFAULT_ARTIFACTS).engine.dispose()
            _sync(made)
            with suppress(FileExistsError):  # another program has made one meanwhile, and may be writing to it
                _publish(made, file)
    return note


def _publish(made: Path, file: Path) -> None:
    """Give a complete store its name; FileExistsError if another has it.

    What is beside that name is of a store that was deleted, and SQLite would take it for a part of this one: until it
    is gone, nobody can read the store, which is locked.
    """
    with closing(sqlite3.connect(made, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        publish_file(made, file)
        for end in BESIDE:
            file.with_name(FILE + end).unlink(missing_ok=True)


def _is_half_made(file: Path) -> bool:
    """Whether MLflow has never finished a store: its first experiment is the last thing that it makes.

    Opened for writing: SQLite then puts right what a kill has left beside the file, and removes it.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "experiments" not in tables:
                return not tables  # otherwise it is some other program's
            return database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is None
    except sqlite3.Error:  # damaged or locked: MLflow itself says so
        return False


@contextmanager
def _unsynced() -> Iterator[None]:
    """Have SQLite wait for no disk in the block: each migration would, and what is killed is thrown away anyway."""

    def hurry(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(Engine, "connect", hurry)
    try:
        yield
    finally:
        event.remove(Engine, "connect", hurry)


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
