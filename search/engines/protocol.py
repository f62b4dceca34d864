"""What an engine is: it proposes candidates and learns from their results. It never trains."""

from collections.abc import Sequence
from typing import Protocol

from ...spaces.space import Values
from ..values.proposal import Proposal, State


class Engine(Protocol):
    """Ask for a proposal, report its epochs, tell how it ended.

    Every proposal is fitted to the space, is within its limits, and is either new or resumes a trial; no other values
    are ever stored.
    """

    name: str
    algorithm: str

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None if there is none until another trial ends.

        With `new` False, only trials that resume are proposed.
        """

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial should continue."""

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial: its accuracy, None where there is none, and the costs that are objectives too."""

    def open_trials(self) -> dict[int, int]:
        """Return the trials that were proposed and have not ended, each with the epoch from which it continues."""

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Add a trial that the storage does not have, for example because it was lost. Called in order of numbers.

        `curve` is its validation accuracy by epoch, `costs` are as in `tell`.
        """

    def knows(self, number: int) -> bool:
        """Whether the storage has a trial of this number."""

    def requeue(self, number: int, values: Values) -> None:
        """Propose an interrupted trial's candidate again; `values` are empty if the trial never began."""

    def resumable(self) -> set[int]:
        """Return the trials that ended at a rung and may be promoted to the next one: their checkpoints are kept."""

    def waiting(self) -> bool:
        """Whether a proposal may still come although no trial runs here: only where other loops search as well."""

    def tick(self) -> None:
        """Do periodic work; called a few times a second."""

    def close(self) -> None:
        """Close the storage."""
