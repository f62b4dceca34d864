"""How long a search may go on: so many trials, so many minutes, or until somebody presses Ctrl-C."""

import signal
import time
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

SEARCH_SHARE = 0.4  # of the minutes; most go to the winner, for which long training pays
EXPORT_SECONDS = 40.0  # for the test, the bundle and its check, and the model in MLflow


@dataclass
class Budget:
    """`trials` counts all finished ones of the study; `seconds` those since the command began."""

    trials: int | None
    seconds: float | None
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False

    def allows(self, begun: int) -> bool:
        """Whether another trial may begin, when `begun` were finished or run now."""
        return not self.over and (self.trials is None or begun < self.trials)

    @property
    def over(self) -> bool:
        """Whether running trials are to end now."""
        return self.stopped or (self.search_seconds is not None and self.elapsed >= self.search_seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self.began

    @property
    def search_seconds(self) -> float | None:
        """The part of the time that belongs to the search."""
        return None if self.seconds is None else self.seconds * SEARCH_SHARE

    @property
    def final_seconds(self) -> float | None:
        """The seconds left to train the winner, with the export still to come; None without a limit."""
        return None if self.seconds is None else self.seconds - EXPORT_SECONDS - self.elapsed


class Interruption:
    """Ctrl-C (or SIGTERM) once ends the search tidily; a second time it stops everything at once."""

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
