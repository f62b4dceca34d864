"""Shows what other modules log during a search as lines on the user's terminal."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

ROOT = __name__.rpartition(".launch")[0]  # the parent of all loggers of the search


class ConsoleHandler(logging.Handler):
    """Prints log records: information as a plain line, warnings as a note."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        note = "  note: " if record.levelno >= logging.WARNING else ""
        self._console.print(f"{note}{record.getMessage()}", soft_wrap=True)


@contextmanager
def shown_on(console: Console) -> Iterator[None]:
    """Print the search's log records while the block runs."""
    logger, handler = logging.getLogger(ROOT), ConsoleHandler(console)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def status(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show a status line on a terminal; yield a function that changes its text."""
    with console.status(Text(f"{text} ...")) as shown:  # of a text that is no Text, rich would read markup
        yield lambda changed: shown.update(Text(changed))
