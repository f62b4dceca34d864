"""How many random candidates are drawn, fitted and checked in a second, for every preset at 32x32x3."""

import random
import time

from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.space import SearchSpace

COUNT = 3000


def measure() -> list[tuple[str, str, str]]:
    """Return one row for each preset; the space is fresh, so that its caches begin empty."""
    rows = []
    for preset in presets():
        space = SearchSpace(load(preset), Volume(32, 32, 3), 10)
        source = random.Random(0)
        begin = time.perf_counter()
        for _ in range(COUNT):
            space.excess(space.candidate(space.draw(source)))
        rate = COUNT / (time.perf_counter() - begin)
        rows.append((f"random candidates fitted and checked, `{preset}`", f"{rate:,.0f} a second", "2,000 a second"))
    return rows
