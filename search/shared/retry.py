"""Work on a database that may be unreachable for a while: retried at growing intervals, and given up in the end."""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ...spaces.errors import InputError, WorkError
from .database import UnreachableError

GRACE = "CONVSEARCH_GRACE"  # a variable: seconds without a heartbeat, after which a trial is lost


def usual_grace() -> float:
    """Return the seconds of CONVSEARCH_GRACE, 60 by default.

    Raises:
        InputError: it is no number of seconds.
    """
    text = os.environ.get(GRACE, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"{GRACE}={text}: a number of seconds above 0, as in {GRACE}=60")
    return seconds


@dataclass
class Pace:
    """Seconds between a loop's calls to the database, and how long it waits for it.

    After `poll`, an engine that had nothing to propose looks again. A database that is unreachable is tried again after
    `first_wait`, then after twice as long each time, `longest_wait` at most, for `patience` in all. A loop sends a
    heartbeat every `interval`, and its trials are lost `grace` after the last one.
    """

    poll: float = 1.0
    first_wait: float = 1.0
    longest_wait: float = 15.0
    patience: float = 300.0
    interval: float = field(default_factory=lambda: usual_grace() / 6)
    grace: float = field(default_factory=usual_grace)

    @property
    def alive(self) -> float:
        """The age of a heartbeat up to which the loop that sent it counts as alive."""
        return self.grace / 2


T = TypeVar("T")
log = logging.getLogger(__name__)


class Retry:
    """Runs work on the database of one study, and remembers since when that has been unreachable."""

    def __init__(self, resume: str, pace: Pace) -> None:
        """Begin with a database that is reachable; `resume` is the command that continues the study."""
        self._resume, self._pace = resume, pace
        self._down_since: float | None = None
        self._next_try, self._wait = 0.0, pace.first_wait
        self._grace_until = 0.0

    @property
    def down(self) -> bool:
        """Whether the database was unreachable the last time it was tried."""
        return self._down_since is not None

    @property
    def in_grace(self) -> bool:
        """Whether an outage has just ended: the other loops may have missed heartbeats because of it, too."""
        return time.monotonic() < self._grace_until

    def attempt(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns; None while the database is unreachable, of which the user is told once.

        Raises:
            WorkError: it has been unreachable for too long.
        """
        if time.monotonic() < self._next_try:
            return None
        try:
            found = work()
        except UnreachableError as error:
            self._postpone(error)
            return None
        if self._down_since is not None:
            log.warning("the database is back")
            self._down_since, self._wait = None, self._pace.first_wait
            self._grace_until = time.monotonic() + self._pace.grace
        return found

    def until_done(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, once the database is reachable; raises as `attempt` does."""
        while True:
            found = self.attempt(work)
            if found is not None:
                return found
            time.sleep(0.1)

    def _postpone(self, error: UnreachableError) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
            log.warning(f"{error}. Running trials continue; results are written when the database is back")
        elif now - self._down_since > self._pace.patience:
            raise WorkError(
                f"{error}, for {(now - self._down_since) / 60:.0f} minutes. Finished trials are kept: `{self._resume}` "
                "continues when it is back"
            ) from error
        self._next_try = now + self._wait
        self._wait = min(2 * self._wait, self._pace.longest_wait)
