"""When a worker counts as hung: it has sent no heartbeat for too long.

A worker sends a heartbeat after a batch, once a second at most. How long it may be silent follows from its own longest
silence in the same job, so a network with slow batches gets more time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Patience:
    """Seconds of silence allowed: `first` until a job's first heartbeat, while it is traced and compiled.

    After that, `times` the longest silence so far, and at least `least`.
    """

    first: float = 600.0
    least: float = 60.0
    times: float = 20.0


@dataclass
class Silence:
    """Follows the heartbeats of one job; while the worker waits for an answer, it is not silent."""

    patience: Patience
    clock: Callable[[], float] = time.monotonic
    since: float = field(init=False)
    longest: float | None = None
    waits: bool = False  # for an answer from the loop

    def __post_init__(self) -> None:
        self.since = self.clock()

    def heard(self, waits: bool = False) -> None:
        """Note a heartbeat, or any other message; `waits` says that the worker now waits for an answer."""
        moment = self.clock()
        if not self.waits:
            self.longest = max(self.longest or 0.0, moment - self.since)
        self.since, self.waits = moment, waits

    def answered(self) -> None:
        """Note that the worker got its answer."""
        self.since, self.waits = self.clock(), False

    @property
    def allowed(self) -> float:
        """The seconds of silence that are allowed."""
        if self.longest is None:
            return self.patience.first
        return max(self.patience.least, self.patience.times * self.longest)

    @property
    def too_long(self) -> bool:
        """Whether the worker counts as hung."""
        return not self.waits and self.clock() - self.since > self.allowed
