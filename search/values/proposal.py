"""A proposal: a candidate with its trial number; and the states that a trial can be in."""

from dataclasses import dataclass
from typing import Literal

from ...spaces.architecture import Candidate
from ...spaces.space import Values

State = Literal["running", "complete", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Proposal:
    """A candidate to try next, with the trial number that the engine assigned.

    Training ends at `epochs`, a rung, or by default at the study's epochs. A trial that reached a rung may be proposed
    again under the same number: it then resumes from the epoch that it had reached.
    """

    number: int
    values: Values
    candidate: Candidate
    epochs: int | None = None
