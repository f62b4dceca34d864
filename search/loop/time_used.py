"""The seconds that a study has used, saved while it runs: a kill costs no more than the last few of them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from ...spaces.errors import InputError
from ..system.files import write_text
from .budget import Budget

FILE = "spent.txt"
INTERVAL = 3.0  # seconds between two writes


def time_used(folder: Path) -> float:
    """Return the seconds that all launches of the study in a folder have used so far.

    Raises:
        InputError: the file does not hold a number.
    """
    file = folder / FILE
    if not file.exists():
        return 0.0
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(
            f"{file}: '{text.strip()[:40]}' is not a number of seconds; remove the file to give the study all "
            "its minutes again"
        )
    return seconds


@contextmanager
def noting_time_used(folder: Path, budget: Budget) -> Iterator[None]:
    """Add the seconds of this launch to those of earlier launches, every few seconds until the block ends."""
    before, over = time_used(folder), Event()

    def note() -> None:
        with suppress(OSError):  # the next write that matters will report the problem
            write_text(folder / FILE, f"{before + budget.elapsed:.1f}\n")

    def note_regularly() -> None:
        note()
        while not over.wait(INTERVAL):
            note()

    thread = Thread(target=note_regularly, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        note()
