"""How long one proposal takes when 1,000 trials are known, fitted, checked and stored in SQLite."""

import random
import statistics
import tempfile
import time
from pathlib import Path

from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

KNOWN, COUNTED = 1000, 15


def measure() -> list[tuple[str, str, str]]:
    """Return the median of some proposals by TPE, with a pruner that shows the sampler all trials."""
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    source = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        # The known trials are proposed at random, which is quick, and completed with a plausible value.
        filler = OptunaEngine(Path(folder), "random", "none", 12, 0, Proposals(space, 0))
        for _ in range(KNOWN):
            proposal = filler.ask()
            assert proposal is not None
            size = proposal.candidate.architecture.macs
            filler.tell(proposal.number, "complete", 0.5 + 0.02 * len(str(size)) + source.gauss(0, 0.05))
        filler.close()
        engine = OptunaEngine(Path(folder), "tpe", "none", 12, 0, Proposals(space, 0))
        times = []
        for _ in range(COUNTED):
            begin = time.perf_counter()
            proposal = engine.ask()
            times.append(time.perf_counter() - begin)
            assert proposal is not None
            engine.tell(proposal.number, "complete", 0.6)
        engine.close()
    return [(f"one TPE proposal, {KNOWN:,} trials known", f"{statistics.median(times):.2f} s", "0.3 s")]
