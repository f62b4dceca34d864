"""`runs.jsonl`: the MLflow run of each trial, one line each."""

import json
import re
from pathlib import Path

from ..system.files import write_text

FILE = "runs.jsonl"
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}"  # MLflow answers any other with an error


class Runs:
    """The MLflow runs of a study's trials, on disk and in memory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._ids: dict[int, str] = {}
        self._partial = False  # whether the last line was cut off
        # Whether runs may be missing: lines cannot be read, or the delivery, which always writes the file, did not yet.
        self.damaged = not self._path.exists()
        if self.damaged:
            return
        text = self._path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]  # a kill may have come while a line was written
        rows = [_row(line) for line in whole.splitlines()]
        self.damaged = None in rows
        self._ids = dict(row for row in rows if row is not None)
        self._partial = len(whole) < len(text)

    def of(self, number: int) -> str | None:
        """Return the id of a trial's run, if it is known."""
        return self._ids.get(number)

    @property
    def all(self) -> list[str]:
        """The ids of all known runs, the latest trial's first."""
        return list(reversed(self._ids.values()))

    def forget(self) -> None:
        """Forget all runs: they are in another store, or some are missing."""
        write_text(self._path, "")
        self._ids, self._partial = {}, False

    def note(self, number: int, run_id: str) -> None:
        """Store the id of a trial's run."""
        if self._ids.get(number) == run_id:
            return
        self._ids[number] = run_id
        if self._partial:
            write_text(self._path, "".join(f"{json.dumps(row)}\n" for row in self._ids.items()))
            self._partial = False
            return
        with self._path.open("ab") as file:
            file.write(json.dumps([number, run_id]).encode() + b"\n")


def _row(line: bytes) -> tuple[int, str] | None:
    """Return a line's trial and run; None where it is damaged."""
    try:
        number, run_id = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    is_row = isinstance(number, int) and isinstance(run_id, str) and re.fullmatch(RUN_ID, run_id)
    return (number, run_id) if is_row else None
