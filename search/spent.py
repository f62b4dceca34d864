"""The seconds that a study has taken, kept on disk while it goes on: a kill costs no more than the last few of them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from .budget import Budget
from .files import write_text

FILE = "spent.txt"
EVERY = 3.0  # seconds from one note to the next


def spent(folder: Path) -> float:
    """Return the seconds that all launches of the study in a folder have taken so far."""
    file = folder / FILE
    return float(file.read_text(encoding="utf-8")) if file.exists() else 0.0


@contextmanager
def noting_what_is_spent(folder: Path, budget: Budget) -> Iterator[None]:
    """Add the seconds of this launch to those of the earlier ones, every few seconds until it ends."""
    before, over = spent(folder), Event()

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
