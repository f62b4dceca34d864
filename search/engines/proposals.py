"""From an engine's suggestion to a candidate that can become a trial: fitted, within the limits, and new.

Shared by all engines. An engine is asked for up to `ATTEMPTS` suggestions; then the last one is varied, little by
little, until it is allowed.
"""

import random
from collections.abc import Callable, Iterable

from ...spaces.architecture import Candidate
from ...spaces.space import SearchSpace, Values

ATTEMPTS = 4  # suggestions of an engine before the last one is varied
SMALL = 20_000  # candidates: a space of up to so many is enumerated once suggestions find nothing new


class Proposals:
    """Turns suggestions into candidates that are allowed and were not tried yet; remembers which were."""

    def __init__(self, space: SearchSpace, seed: int, tried: Iterable[str] = (), exhaustive: bool = False) -> None:
        """Begin with the hashes of the candidates tried; `exhaustive` enumerates a space of any size."""
        self.space = space
        self.tried = set(tried)
        self.affordable: Callable[[Candidate, int | None], bool] = lambda candidate, epochs: True
        self.fits: Callable[[Candidate], bool] = lambda candidate: True  # into the memory of the workers here
        self.over: Callable[[], bool] = lambda: False  # whether there is no time left to look for another
        self.epochs: int | None = None  # of the next proposal; None is as many as a trial may take
        self.suggested = True  # whether the last proposal was suggested by the engine, not enqueued
        self._seed = seed
        self._waiting: list[Values] = []
        # A small space is enumerated in the end, so that nothing is missed and the search terminates.
        self.enumerable = exhaustive or space.holds_at_most(SMALL)
        self._rest = iter(()) if not self.enumerable else space.enumerate_all()
        self._head: Values | None = None

    def enqueue(self, values: Values) -> None:
        """Have these values proposed before any suggestion of the engine."""
        self._waiting.append(values)

    def next(self, number: int, suggest: Callable[[], Values]) -> tuple[Values, Candidate] | None:
        """Return fitted values and their candidate for trial `number`.

        None if nothing new was found, or nothing that fits into the time left.
        """
        self.suggested = False
        while self._waiting:
            found = self._allowed(self.space.fit(self._waiting.pop(0)))
            if found and (taken := self._taken(found)):
                return taken
        self.suggested = True
        fitted: Values = {}
        too_expensive = False
        for _ in range(ATTEMPTS):
            fitted = self.space.fit(suggest())
            if found := self._allowed(fitted):
                if taken := self._taken(found):
                    return taken
                too_expensive = True
        if too_expensive:  # do not fill the time left with whatever happens to be quick
            return None
        random_source = random.Random(f"{self._seed}/{number}")
        for variation in self.space.variations(fitted, random_source):
            if found := self._allowed(variation):
                return self._taken(found)
        untried = self.first_untried() if self.enumerable else None
        found = self._allowed(untried) if untried else None
        return self._taken(found) if found else None

    def exhausted(self) -> bool:
        """Whether every candidate within the limits was proposed; a large space never counts as exhausted."""
        return self.enumerable and not self._waiting and self.first_untried() is None

    def first_untried(self) -> Values | None:
        """Return the first candidate, in the space's own order, that was not proposed yet; None if it is `over`."""
        if self._head is not None and self._is_new(self._head):
            return self._head
        for values in self._rest:  # goes on where it stopped
            if values is not None and self._is_new(values):
                self._head = values
                return values
            if self.over():  # where few candidates are within the limits, the next may be far
                return None
        return None

    def can_run(self, candidate: Candidate, epochs: int | None) -> bool:
        """Whether there is time for so many epochs of a candidate, None for a whole trial, and memory for it."""
        return self.fits(candidate) and self.affordable(candidate, epochs)

    def _is_new(self, values: Values) -> bool:
        return self.space.candidate(values).hash not in self.tried

    def _allowed(self, fitted: Values) -> tuple[Values, Candidate] | None:
        candidate = self.space.candidate(fitted)
        if candidate.hash in self.tried or self.space.excess(candidate) or not self.fits(candidate):
            return None
        return fitted, candidate

    def _taken(self, found: tuple[Values, Candidate]) -> tuple[Values, Candidate] | None:
        """Return what was found and mark it as tried, if there is time for it."""
        if not self.affordable(found[1], self.epochs):
            return None
        self.tried.add(found[1].hash)
        return found
