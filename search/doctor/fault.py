"""Something that is broken, and what to do about it: what all parts of a diagnosis end in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that is broken, and what to do about it."""

    what: str
    remedy: str
