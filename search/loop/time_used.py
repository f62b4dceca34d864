"""The seconds that a study has taken, kept on disk while it goes on: a kill costs no more than the last few of them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from ...spaces.errors import InputError
from ..system.files import write_text
from .budget import Budget

FILE = "spent.txt"
EVERY = 3.0  # seconds from one note to the next


def time_used(folder: Path) -> float:
    """Return the seconds that all launches of the study in a folder have taken so far.

    Raises:
        InputError: what the file says is no number.
    """
    file = folder / FILE
    if not file.exists():
        return 0.0
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        return float(text)
    except ValueError as error:
        raise InputError(
            f"{file}: '{text.strip()[:40]}' is no number of seconds; remove the file, and the study has all its "
            "minutes again"
        ) from error


@contextmanager
def noting_time_used(folder: Path, budget: Budget) -> Iterator[None]:
    """Add the seconds of this launch to those of the earlier ones, every few seconds until it ends."""
    before, over = time_used(folder), Event()

    def note() -> None:
        with suppress(OSError):  # whoever writes something that matters says what is wrong
            write_text(folder / FILE, f"{before + budget.elapsed:.1f}\n")

    def go_on_noting() -> None:
        note()
        while not over.wait(EVERY):
            note()

    thread = Thread(target=go_on_noting, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        note()
