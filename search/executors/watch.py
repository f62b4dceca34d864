"""When a worker is given up: it has not been heard of for too long, or holds more memory than it may.

A worker gives a sign of life after a batch, once a second at most. How long it may be silent follows from its own
earlier silences with the job: a network with slow batches is waited for longer.
"""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Patience:
    """Seconds: `first` until the first sign of life of a job, in which it is traced and compiled; `least` after it.

    After the first sign `times` as long as the longest silence so far is waited, if that is more.
    """

    first: float = 600.0
    least: float = 60.0
    times: float = 20.0


@dataclass
class Silence:
    """Follows one job's signs of life; time in which the worker waits for an answer is no silence."""

    patience: Patience
    since: float = field(default_factory=time.monotonic)
    longest: float | None = None
    waits: bool = False  # for an answer of the loop

    def heard(self, waits: bool = False) -> None:
        """Note a sign of life; `waits` says that the next one follows an answer."""
        moment = time.monotonic()
        if not self.waits:
            self.longest = max(self.longest or 0.0, moment - self.since)
        self.since, self.waits = moment, waits

    def answered(self) -> None:
        """Note that the worker has what it waited for."""
        self.since, self.waits = time.monotonic(), False

    @property
    def allowed(self) -> float:
        """The seconds of silence that are waited for."""
        if self.longest is None:
            return self.patience.first
        return max(self.patience.least, self.patience.times * self.longest)

    @property
    def too_long(self) -> bool:
        """Whether the worker is to be given up."""
        return not self.waits and time.monotonic() - self.since > self.allowed
