"""A trial as the record has it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ...spaces.architecture import Candidate
from ...spaces.printable import printable
from ...spaces.space import Values
from ..values.bounds import Count, Finite, Moment, Share
from ..values.job import Outcome, Seconds
from ..values.printable import Printable
from ..values.proposal import Proposal, State
from .runs import RUN_ID

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
FINISHED: tuple[State, ...] = ("complete", "pruned", "failed")
STATES: tuple[State, ...] = (*FINISHED, "interrupted", "running")
# Of a trial that failed: what it reached before cannot be trusted.
UNMEASURED: dict[str, Any] = {"value": None, "best_epoch": None, "gap": None, "latency_ms": None, "varied": {}}


class Spell(NamedTuple):
    """A period in which a trial ran without a break: start and end, ISO 8601, and the value reached by then."""

    began: Moment
    ended: Moment
    value: Share | None


class Trial(BaseModel):
    """One trial as the record has it. Curves are by epoch; `seconds` is the sum of `clock`.

    A trial that was resumed, after it had waited at a rung or was interrupted, has several `spells`. `lost` has the
    reasons for which its worker was lost; each time, the progress of that spell was lost, too. `loop` names the loop
    that ran it, if several share the study; None is the loop whose record this is.
    """

    model_config = ConfigDict(frozen=True)

    number: Count
    state: State
    value: Share | None = None
    epochs: Count = 0
    seconds: Finite = 0.0
    started_at: Moment
    resumed_at: Moment | None = None
    ended_at: Moment | None = None
    spells: tuple[Spell, ...] = ()
    candidate: Candidate
    values: Values
    hash: str
    parameters: Count
    macs: Count
    latency_ms: Finite | None = None
    varied: dict[str, Finite] = {}
    worker: str | None = None
    error: Printable | None = None
    lost: tuple[Printable, ...] = ()
    mlflow_run_id: Annotated[str, Field(pattern=f"^{RUN_ID}$")] | None = None
    loop: str | None = None
    best_epoch: Count | None = None
    gap: Finite | None = None
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
        """Return the record of the trial after its end; `waited` is the seconds until a worker started it."""
        clock = outcome.seconds.model_copy(update={"waiting": outcome.seconds.waiting + waited})
        reached: dict[str, Any] = {"value": outcome.value, "best_epoch": outcome.best_epoch, "gap": outcome.gap}
        if self.epochs and outcome.value is None:  # it was resumed, and did not improve
            reached = {}
        reached |= {"latency_ms": outcome.latency_ms, "varied": outcome.varied}
        if state == "failed":
            reached = UNMEASURED
        curves = {name: getattr(self, name) + getattr(outcome, name) for name in CURVES}
        clock, ended = self.clock + clock, now()
        spell = Spell(self.resumed_at or self.started_at, ended, reached.get("value", self.value))
        return self.model_copy(
            update=reached
            | curves
            | {
                "state": state,
                "epochs": self.epochs + outcome.epochs,
                "seconds": clock.total,
                "clock": clock,
                "error": outcome.error,
                "ended_at": ended,
                "spells": (*self.spells, spell),
            }
        )

    def resume(self) -> "Trial":
        """Return the record of a trial that resumes from the epoch that it had reached."""
        return self.model_copy(update={"state": "running", "resumed_at": now()})

    def lose_worker(self, reason: str) -> "Trial":
        """Return the record of a trial whose worker was lost, and which will run again."""
        return self.model_copy(update={"lost": (*self.lost, printable(reason)), "worker": None})

    def lose(self, state: State, reason: str, *, just_now: bool = False) -> "Trial":
        """Return the record of a trial that ended without an outcome, `just_now` or at an unknown time."""
        lost = dict(UNMEASURED) if state == "failed" else {}
        if just_now:
            lost["spells"] = (*self.spells, Spell(self.resumed_at or self.started_at, now(), lost.get("value")))
        return self.model_copy(update={"state": state, "error": printable(reason), "ended_at": now()} | lost)


def searched(spells: Sequence[tuple[float, float]]) -> list[float]:
    """Return the seconds of search by the end of each spell of a trial, in the order of the spells.

    Args:
        spells: begin and end of each, in seconds since any moment. Time in which none of them ran does not count, and
            time in which several did counts once.
    """
    found, total, until = [0.0] * len(spells), 0.0, float("-inf")
    for place in sorted(range(len(spells)), key=spells.__getitem__):
        begin, end = spells[place][0], max(spells[place])
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
        found[place] = total - (until - end)
    return found


def now() -> str:
    """Return the current time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
