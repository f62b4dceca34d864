"""Measured rows, kept as JSON lines in `results/`, so that a long benchmark can be stopped and gone on with."""

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from .machine import machine

FOLDER = Path(os.environ.get("RESULTS", Path(__file__).parent / "results"))


class Results:
    """The rows of one benchmark; each has a key, what was measured, the date, the machine and the commit."""

    def __init__(self, name: str) -> None:
        self._path = FOLDER / f"{name}.jsonl"
        self.rows: list[dict[str, Any]] = []
        if self._path.exists():
            self.rows = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]

    def has(self, key: Mapping[str, Any]) -> bool:
        """Whether there is a row with these values."""
        return any(all(row.get(name) == value for name, value in key.items()) for row in self.rows)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row, on disk at once."""
        whole = dict(row) | {"date": date.today().isoformat(), "machine": machine(), "commit": _commit()}
        self.rows.append(whole)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(whole) + "\n")


def _commit() -> str:
    """Return the commit that is measured, which says whether a row is still of this code."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return found.stdout.strip()
