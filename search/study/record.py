"""The record of a study: `trials.jsonl`, a JSON line whenever a trial begins or ends; the last line of a trial counts.

It is written first when a trial ends, before the engine and MLflow are updated. Lines are only ever appended, so that a
kill at any moment costs at most the line being written.
"""

import json
import os
from bisect import bisect_left, insort
from itertools import islice
from pathlib import Path

from ..values.proposal import State
from .trial import FINISHED, STATES, Trial

FILE = "trials.jsonl"


class Record:
    """All trials of a study, on disk and in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE
        self._begin()

    def _begin(self) -> None:
        """Load the trials from the disk."""
        self.trials: dict[int, Trial] = {}
        self._numbers: dict[State, set[int]] = {state: set() for state in STATES}
        # Complete trials, and others that have a value, the best first: (-value, number).
        self._complete: list[tuple[float, int]] = []
        self._rest: list[tuple[float, int]] = []
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # cut off by a kill or a full disk while it was written
                self._take(Trial.model_validate_json(line))

    def add(self, trial: Trial) -> None:
        """Write a trial's new state to the disk; it is durable when this returns."""
        self._drop_partial_line()
        line = json.dumps(trial.model_dump(mode="json"), separators=(",", ":")).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._take(trial)
        except KeyboardInterrupt:  # what is on the disk counts
            self._begin()
            raise

    def _take(self, trial: Trial) -> None:
        """Replace a trial's state in memory."""
        if (old := self.trials.get(trial.number)) is not None:
            self._numbers[old.state].discard(old.number)
            if old.value is not None:
                ranked = self._ranked(old)
                del ranked[bisect_left(ranked, (-old.value, old.number))]
        self.trials[trial.number] = trial
        self._numbers[trial.state].add(trial.number)
        if trial.value is not None:
            insort(self._ranked(trial), (-trial.value, trial.number))

    def _ranked(self, trial: Trial) -> list[tuple[float, int]]:
        return self._complete if trial.state == "complete" else self._rest

    def _drop_partial_line(self) -> None:
        if not self._path.exists() or not (size := self._path.stat().st_size):
            return
        with self._path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                whole = file.read(size).rfind(b"\n") + 1
                file.truncate(whole)

    def counts(self) -> dict[State, int]:
        """Return how many trials are in each state."""
        return {state: len(numbers) for state, numbers in self._numbers.items()}

    def in_state(self, state: State) -> list[Trial]:
        """Return the trials of one state, by number."""
        return [self.trials[number] for number in sorted(self._numbers[state])]

    def finished(self) -> int:
        """Return how many trials count towards `--trials`: not the interrupted ones, which run again."""
        return sum(len(self._numbers[state]) for state in FINISHED)

    def best(self, count: int = 1) -> list[Trial]:
        """Return the best trials, the best first: complete ones, or pruned ones if none is complete."""
        return [self.trials[number] for _, number in (self._complete or self._rest)[:count]]

    def best_here(self, count: int) -> list[Trial]:
        """Return the best of the trials that ran in this loop."""
        ranked = (self.trials[number] for _, number in self._complete or self._rest)
        return list(islice((trial for trial in ranked if trial.loop is None), count))
