"""From what an engine would like to what may become a trial: fitted, within the limits, and new.

Shared by all engines. An engine's wish is taken as often as `WISHES` times; then the last one is varied, little by
little, until it is allowed.
"""

import math
import random
from collections.abc import Callable, Iterable

from ...spaces.architecture import Candidate
from ...spaces.space import SearchSpace, Values

WISHES = 4  # how often an engine is asked before its last wish is varied
SMALL = 20_000  # candidates: a space of so many is walked through once wishes find nothing new


class Proposals:
    """Turns wishes into candidates that are allowed and were not tried; remembers what was."""

    def __init__(self, space: SearchSpace, seed: int, tried: Iterable[str] = (), exhaustive: bool = False) -> None:
        """Begin with the hashes of what was tried; `exhaustive` walks through a space of any size."""
        self.space = space
        self.tried = set(tried)
        self.affordable: Callable[[Candidate, int | None], bool] = lambda candidate, epochs: True
        self.epochs: int | None = None  # of what is proposed next; None is as many as a trial may take
        self.wished = True  # whether the last proposal was an engine's wish, not one that was enqueued
        self._seed = seed
        self._waiting: list[Values] = []
        # A small space is walked through at the end, so that nothing is missed and the search ends.
        size = math.inf if space.continuous else space.architectures * space.recipes
        self.enumerable = exhaustive or size <= SMALL
        self._rest = iter(()) if not self.enumerable else space.enumerate()
        self._head: Values | None = None

    def enqueue(self, values: Values) -> None:
        """Have these values proposed before all wishes."""
        self._waiting.append(values)

    def next(self, number: int, wish: Callable[[], Values]) -> tuple[Values, Candidate] | None:
        """Return fitted values and their candidate for trial `number`.

        None when nothing new was found, or nothing for which there is time.
        """
        self.wished = False
        while self._waiting:
            found = self._allowed(self.space.fit(self._waiting.pop(0)))
            if found and (taken := self._taken(found)):
                return taken
        self.wished = True
        fitted: Values = {}
        too_dear = False
        for _ in range(WISHES):
            fitted = self.space.fit(wish())
            if found := self._allowed(fitted):
                if taken := self._taken(found):
                    return taken
                too_dear = True
        if too_dear:  # what is left of the time is better spent than on whatever is quick
            return None
        random_source = random.Random(f"{self._seed}/{number}")
        for variation in self.space.variations(fitted, random_source):
            if found := self._allowed(variation):
                return self._taken(found)
        untried = self.first_untried() if self.enumerable else None
        found = self._allowed(untried) if untried else None
        return self._taken(found) if found else None

    def exhausted(self) -> bool:
        """Whether everything that the space holds within its limits was proposed; a large space never is."""
        return self.enumerable and not self._waiting and self.first_untried() is None

    def first_untried(self) -> Values | None:
        """Return the first candidate, in the space's own order, that was not proposed yet."""
        while self._head is None or self.space.candidate(self._head).hash in self.tried:
            self._head = next(self._rest, None)
            if self._head is None:
                return None
        return self._head

    def _allowed(self, fitted: Values) -> tuple[Values, Candidate] | None:
        candidate = self.space.candidate(fitted)
        if candidate.hash in self.tried or self.space.excess(candidate):
            return None
        return fitted, candidate

    def _taken(self, found: tuple[Values, Candidate]) -> tuple[Values, Candidate] | None:
        """Return what was found and count it as tried, if there is time for it."""
        if not self.affordable(found[1], self.epochs):
            return None
        self.tried.add(found[1].hash)
        return found
