"""A fault: the common result of all parts of a diagnosis."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that is broken, and what to do about it."""

    what: str
    remedy: str
