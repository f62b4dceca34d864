"""The limits of a launch."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Limits:
    """When a launch ends its search: at this total number of trials of the study, or at this time."""

    trials: int | None = None
    until: datetime | None = None
