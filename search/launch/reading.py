"""The progress of reading images, on standard error: a bar on a terminal, elsewhere a plain line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from ..data.source import Progress, Step
from ..values.words import duration
from .progress import BAR

EVERY = 10.0
"""Seconds between two plain lines; what takes less has none."""


@contextmanager
def reading(console: Console, source: str, now: Callable[[], float] = time.monotonic) -> Iterator[Step]:
    """Show the progress of reading a source of images while the block runs.

    Args:
        console: where.
        source: as the user has named it.
        now: the time in seconds.

    Yields:
        what begins one step of it: called with what is counted, such as `images decoded`, it returns the function to
        call with how many are done, and how many there are.
    """
    live = None
    if console.is_terminal:
        begun = Group(Text(f"reading {source} ..."), ProgressBar(None, width=BAR, pulse=True))
        live = Live(begun, console=console, refresh_per_second=4, transient=True)

    def step(what: str) -> Progress:
        began = said = now()

        def show(done: int, total: int) -> None:
            nonlocal said
            left = (now() - began) / done * (total - done)
            line = Text(f"reading {source}: {done:,} of {total:,} {what} ({done / total:.0%}), {duration(left)} left")
            if live is not None:
                live.update(Group(line, ProgressBar(total, done, BAR)))
            elif now() - said >= EVERY:
                said = now()
                console.print(line, soft_wrap=True)

        return show

    if live is None:
        yield step
    else:
        with live:
            yield step
