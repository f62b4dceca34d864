"""The errors that a person can fix, and the suggestion for a misspelt name."""

from collections.abc import Iterable
from difflib import get_close_matches

from .printable import printable_lines


class InputError(ValueError):
    """The user's input is wrong. The message names the place, the value and what would be right; exit code 2.

    Each of its lines is printable, whatever names and values it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable_lines(message))


class WorkError(RuntimeError):
    """The input was right but the work could not be done (a full disk, a dead worker); exit code 1.

    Each line of its message is printable.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable_lines(message))


def nearest(name: object, known: Iterable[object]) -> str:
    """Return the hint for an unknown name: the closest known one, if any, and the full list.

    >>> nearest("relo", ["relu", "tanh"])
    "did you mean 'relu'? Known: relu, tanh"
    """
    names = [str(item) for item in known]
    close = get_close_matches(str(name).lower(), [n.lower() for n in names], n=1, cutoff=0.5)
    listed = "Known: " + ", ".join(names)
    if not close:
        return listed
    closest = next(n for n in names if n.lower() == close[0])
    return f"did you mean '{closest}'? {listed}"
