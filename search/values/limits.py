"""What a launch goes on for."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Limits:
    """What a launch goes on for, as others may read it: so many trials of the study in all, and a moment."""

    trials: int | None = None
    until: datetime | None = None
