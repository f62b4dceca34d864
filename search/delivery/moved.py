"""A home that was moved, renamed or copied: its MLflow store names artifacts by the full paths that they once had.

Only for the home's own `mlflow.db`: what a server stores is where that server says.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from ..study.home import Home
from ..system.addresses import artifact_place
from .reach import FILE

PLACES = (  # tables of MLflow, with the columns that say where artifacts are
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def follow_home(home: Home, experiment_id: str) -> None:
    """Correct where the home's own store says that the artifacts of a study are.

    What is not in this home, but still where the store says, is left as it is. So are other studies: one may be running
    just now, and see the home by another path, as in a container.

    Args:
        home: with a whole store, of the version of MLflow that is installed.
        experiment_id: of the study, which nobody else writes to.

    Raises:
        sqlite3.Error: the store cannot be read or written.
    """
    which = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
    with closing(sqlite3.connect(home.path / FILE)) as store, store:
        (old,) = store.execute(which, (int(experiment_id),)).fetchone()
        new = _place_here(home, old)
        if new is None or _is_only_there(old, new):
            return
        for table, column in PLACES:
            store.executemany(
                f"UPDATE {table} SET {column} = ? WHERE rowid = ?", _changes(store, table, column, old, new)
            )


def _place_here(home: Home, old: str) -> str | None:
    """Return where a study's artifacts are in the home; None if that is `old`, or `old` was never a home's."""
    folder, artifacts = _folder(old), home.artifacts.resolve()
    if not folder.is_absolute() or folder.parent.name != home.artifacts.name or folder.parent == artifacts:
        return None
    return artifact_place(artifacts / folder.name)


def _changes(store: sqlite3.Connection, table: str, column: str, old: str, new: str) -> Iterator[tuple[str, int]]:
    """Yield the new places of a column and their rows."""
    within = f"{column} = ?1 OR substr({column}, 1, length(?1) + 1) = ?1 || '/'"
    for row, place in store.execute(f"SELECT rowid, {column} FROM {table} WHERE {within}", (old,)).fetchall():
        moved = new + place[len(old) :]
        if not _is_only_there(place, moved):
            yield moved, row


def _is_only_there(old: str, new: str) -> bool:
    """Whether artifacts are still at their old place: an earlier version went on there when the home had moved."""
    return not _folder(new).exists() and _folder(old).exists()


def _folder(place: str) -> Path:
    return Path(unquote(place.removeprefix("file://")) if place.startswith("file://") else place)
