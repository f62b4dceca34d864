"""A proposal: a candidate with the number that its trial will have; and the states that a trial can be in."""

from dataclasses import dataclass
from typing import Literal

from ...spaces.architecture import Candidate
from ...spaces.space import Values

State = Literal["running", "complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Proposal:
    """A candidate to be tried next, under the trial number that the engine has given it.

    Training ends at `epochs`, a rung, or where the study's trials end. A trial that reached a rung may be proposed
    again under its own number: it then goes on from the epoch that it had reached.
    """

    number: int
    values: Values
    candidate: Candidate
    epochs: int | None = None
