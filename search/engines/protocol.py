"""What an engine is: it proposes candidates and learns from what came of them. It never trains."""

from dataclasses import dataclass
from typing import Literal, Protocol

from ...spaces.architecture import Candidate
from ...spaces.space import Values

State = Literal["running", "complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Proposal:
    """A candidate to be tried next, under the trial number that the engine has given it."""

    number: int
    values: Values
    candidate: Candidate


class Engine(Protocol):
    """Ask for a proposal, report its epochs, tell how it ended.

    Every proposal is fitted to the space, keeps its limits and has not been proposed before; only such values are ever
    stored.
    """

    name: str
    algorithm: str

    def ask(self) -> Proposal | None:
        """Return the next proposal, or None when there is nothing left to propose."""

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial is worth going on."""

    def tell(self, number: int, state: State, value: float | None) -> None:
        """Take the end of a trial; `value` is None where there is none."""

    def open_trials(self) -> list[int]:
        """Return the trials that were proposed and of which no end was told."""

    def close(self) -> None:
        """Let go of the storage."""
