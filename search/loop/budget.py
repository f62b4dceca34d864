"""How long a search may run: a number of trials, a number of minutes, or until Ctrl-C."""

import math
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import FrameType, TracebackType
from typing import Any

from ..values.limits import Limits

SEARCH_SHARE = 0.4  # of the minutes, including the repeats; most go to the winner, where training pays off
REPEATS_SHARE = 0.15  # of the minutes, out of the search's share, that may be reserved for the repeats
STARTING_SECONDS = 10.0  # until the first trial begins
EXPORT_SECONDS = 12.0  # for the bundle, its check, and the model in MLflow; about twice what they take
GRACE, GRACE_SHARE = 5.0, 0.03  # seconds, or the share of all minutes, that a training may overrun


@dataclass
class Budget:
    """`trials` limits the finished trials of the study, `seconds` the time since the command began."""

    trials: int | None
    seconds: float | None
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False
    has_result: bool = False  # until a trial has succeeded, the search may use all the time
    repeat_seconds: float = 0.0  # seconds that the repeats are predicted to take
    laps: dict[str, float] = field(default_factory=dict)  # seconds by phase

    def allows(self, begun: int) -> bool:
        """Whether another trial may begin, if `begun` have finished or are running."""
        return not self.over and (self.trials is None or begun < self.trials)

    @property
    def over(self) -> bool:
        """Whether running trials have to stop now."""
        return self.stopped or self.search_left <= 0

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.began

    @property
    def limits(self) -> Limits:
        """The limits as MLflow and the dashboard get them."""
        left = None if self.seconds is None else timedelta(seconds=self.seconds - self.elapsed)
        return Limits(self.trials, None if left is None else datetime.now(UTC) + left)

    def lap(self, name: str) -> None:
        """Record the seconds since the last lap, or since the command began, under `name`."""
        self.laps[name] = self.elapsed - sum(self.laps.values())

    @property
    def search_left(self) -> float:
        """The seconds left for the search, with the repeats still to come; infinite without a limit."""
        if self.seconds is None:
            return math.inf
        return self.repeats_left - min(self.repeat_seconds, REPEATS_SHARE * self._usable(self.seconds))

    @property
    def repeats_left(self) -> float:
        """The seconds left until the repeats must have ended; infinite without a limit."""
        if self.seconds is None:
            return math.inf
        share = SEARCH_SHARE if self.has_result else 1.0
        until = STARTING_SECONDS + self._usable(self.seconds) * share
        return min(until, self.seconds - EXPORT_SECONDS) - self.elapsed

    @staticmethod
    def _usable(seconds: float) -> float:
        return max(0.0, seconds - STARTING_SECONDS - EXPORT_SECONDS)

    @property
    def winner_seconds(self) -> float | None:
        """The seconds left to train the winner, with the export still to come; None without a limit."""
        return None if self.seconds is None else self.seconds - EXPORT_SECONDS - self.elapsed

    def late(self, left: float | None) -> bool:
        """Whether the time left of a phase, then negative, exceeds the grace."""
        if self.seconds is None or left is None:
            return False
        return left <= -max(GRACE, GRACE_SHARE * self.seconds)


class Interruption:
    """The first Ctrl-C (or SIGTERM) ends the search in an orderly way, the second one stops everything at once."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._old: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._budget.stopped:
            raise KeyboardInterrupt
        self._budget.stopped = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)
