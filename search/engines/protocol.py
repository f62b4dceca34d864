"""What an engine is: it proposes candidates and learns from what came of them. It never trains."""

from collections.abc import Sequence
from typing import Protocol

from ...spaces.space import Values
from ..values.proposal import Proposal, State


class Engine(Protocol):
    """Ask for a proposal, report its epochs, tell how it ended.

    Every proposal is fitted to the space, keeps its limits and is either new or a trial that goes on; only such values
    are ever stored.
    """

    name: str
    algorithm: str

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None when there is none before another trial ends.

        With `new` False only a trial that goes on is proposed.
        """

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial is worth going on."""

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial: its accuracy, None where there is none, and the costs that are objectives too."""

    def open_trials(self) -> dict[int, int]:
        """Return the trials that were proposed and of which no end was told, and from which epoch they go on."""

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Take over a trial that the storage does not have, as after it was lost; numbers come in their order.

        `curve` is its validation accuracy by epoch, `costs` are as in `tell`.
        """

    def knows(self, number: int) -> bool:
        """Whether the storage has a trial of this number."""

    def again(self, number: int, values: Values) -> None:
        """Propose once more what a trial was interrupted in; `values` are empty where it never came to be one."""

    def may_go_on(self) -> set[int]:
        """Return the trials that ended at a rung and may be proposed again: their states are to be kept."""

    def close(self) -> None:
        """Let go of the storage."""
