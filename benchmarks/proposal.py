"""How long one proposal takes when 1,000 trials are known, fitted and checked; for a few workers and for many."""

import random
import statistics
import time

from convsearch.search.engines.optuna import MANY, OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

KNOWN, COUNTED = 1000, 15


def measure() -> list[tuple[str, str, str]]:
    """Return the median of some proposals by TPE, with a pruner that shows the sampler all trials."""
    return [
        (f"one TPE proposal, {KNOWN:,} trials known", f"{_seconds(1):.2f} s", "0.3 s"),
        (f"the same, for more than {MANY} workers", f"{1000 * _seconds(MANY + 1):.0f} ms", ""),
    ]


def _seconds(workers: int) -> float:
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    engine = OptunaEngine("tpe", "none", 12, 0, Proposals(space, 0), workers=workers)
    source = random.Random(0)
    for number in range(KNOWN):
        values = space.draw(source)
        size = space.candidate(values).architecture.macs
        engine.learn(number, values, "complete", [0.5 + 0.02 * len(str(size)) + source.gauss(0, 0.05)])
    times = []
    for _ in range(COUNTED):
        begin = time.perf_counter()
        proposal = engine.ask()
        times.append(time.perf_counter() - begin)
        assert proposal is not None
        engine.tell(proposal.number, "complete", 0.6)
    return statistics.median(times)
