"""The record of a study: `trials.jsonl`, a JSON line whenever a trial begins or ends; the last line of a trial counts.

The first thing that is written when a trial ends, before the engine and MLflow hear of it. Lines are only ever added,
so that a kill at any moment costs at most the line being written.
"""

import json
import os
from bisect import bisect_left, insort
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from ..spaces.architecture import Candidate
from ..spaces.space import Values
from .engines.protocol import Proposal, State
from .job import Outcome, Seconds

FILE = "trials.jsonl"
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
FINISHED: tuple[State, ...] = ("complete", "pruned", "failed")
STATES: tuple[State, ...] = (*FINISHED, "interrupted", "running")


class Spell(NamedTuple):
    """A time without a break in which a trial ran: its begin and end, ISO 8601, and what it had reached by then."""

    began: str
    ended: str
    value: float | None


class Trial(BaseModel):
    """One trial as the record has it. Curves are by epoch; `seconds` is the sum of `clock`.

    A trial that waited at a rung, or was interrupted, and went on later has run for several `spells`. `lost` holds the
    reasons for which its worker was lost, each of which cost it what it had reached in that spell. `loop` names the
    loop that it ran in, where several share a study: None is the one whose record this is.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    state: State
    value: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    started_at: str
    resumed_at: str | None = None
    ended_at: str | None = None
    spells: tuple[Spell, ...] = ()
    candidate: Candidate
    values: Values
    hash: str
    parameters: int
    macs: int
    latency_ms: float | None = None
    varied: dict[str, float] = {}
    worker: str | None = None
    error: str | None = None
    lost: tuple[str, ...] = ()
    mlflow_run_id: str | None = None
    loop: str | None = None
    best_epoch: int | None = None
    gap: float | None = None
    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    val_loss: tuple[float, ...] = ()
    val_accuracy: tuple[float, ...] = ()
    clock: Seconds = Seconds()

    @classmethod
    def begin(cls, proposal: Proposal) -> "Trial":
        """Return the record of a proposal that is about to run."""
        architecture = proposal.candidate.architecture
        return cls(
            number=proposal.number,
            state="running",
            started_at=now(),
            candidate=proposal.candidate,
            values=proposal.values,
            hash=proposal.candidate.hash,
            parameters=architecture.parameters,
            macs=architecture.macs,
        )

    def end(self, state: State, outcome: Outcome, waited: float) -> "Trial":
        """Return the record of the trial after its end; `waited` are the seconds until a worker took it."""
        clock = outcome.seconds.model_copy(update={"waiting": outcome.seconds.waiting + waited})
        # A trial that failed has no value: whatever it reached before is not to be trusted.
        value = None if state == "failed" else outcome.value
        better: dict[str, Any] = {"value": value, "best_epoch": outcome.best_epoch, "gap": outcome.gap}
        if self.epochs and state != "failed" and value is None:  # it went on, and got no further
            better = {}
        curves = {name: getattr(self, name) + getattr(outcome, name) for name in CURVES}
        clock, ended = self.clock + clock, now()
        spell = Spell(self.resumed_at or self.started_at, ended, better.get("value", self.value))
        return self.model_copy(
            update=better
            | curves
            | {
                "state": state,
                "epochs": self.epochs + outcome.epochs,
                "seconds": clock.total,
                "clock": clock,
                "error": outcome.error,
                "latency_ms": outcome.latency_ms,
                "varied": outcome.varied,
                "ended_at": ended,
                "spells": (*self.spells, spell),
            }
        )

    def goes_on(self) -> "Trial":
        """Return the record of a trial that goes on from the epoch that it had reached."""
        return self.model_copy(update={"state": "running", "resumed_at": now()})

    def lose_worker(self, reason: str) -> "Trial":
        """Return the record of a trial whose worker was lost, and which is to be run once more."""
        return self.model_copy(update={"lost": (*self.lost, reason), "worker": None})

    def lose(self, state: State, reason: str, *, just_now: bool = False) -> "Trial":
        """Return the record of a trial that ended without an outcome, just now or nobody knows when."""
        lost: dict[str, Any] = {"value": None} if state == "failed" else {}
        if just_now:
            lost["spells"] = (*self.spells, Spell(self.resumed_at or self.started_at, now(), lost.get("value")))
        return self.model_copy(update={"state": state, "error": reason, "ended_at": now()} | lost)


def now() -> str:
    """Return this moment, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Record:
    """All trials of a study, on disk and in memory."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._begin()

    def _begin(self) -> None:
        """Take over what stands on the disk."""
        self.trials: dict[int, Trial] = {}
        self._numbers: dict[State, set[int]] = {state: set() for state in STATES}
        # Complete trials and others that have a value, the best first: (-value, number).
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
        """Write a trial's new state to the disk; it is there for good when this returns."""
        self._drop_partial_line()
        line = json.dumps(trial.model_dump(mode="json"), separators=(",", ":")).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._take(trial)
        except KeyboardInterrupt:  # whatever was cut short, what stands on the disk counts
            self._begin()
            raise

    def _take(self, trial: Trial) -> None:
        """Keep a trial's new state in memory, in place of the one before."""
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
        """Return how many trials count against `--trials`: interrupted ones are run again."""
        return sum(len(self._numbers[state]) for state in FINISHED)

    def best(self, count: int = 1) -> list[Trial]:
        """Return the best trials, the best first: complete ones; those cut off early only where none is complete."""
        return [self.trials[number] for _, number in (self._complete or self._rest)[:count]]

    def best_here(self, count: int) -> list[Trial]:
        """Return the best of the trials that ran in this loop."""
        ranked = (self.trials[number] for _, number in self._complete or self._rest)
        return list(islice((trial for trial in ranked if trial.loop is None), count))
