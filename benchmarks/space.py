"""Whether the default space is the right one: what the best of 170 random trials have of each of its dimensions.

Reads `data/trials.jsonl`, which `python -m benchmarks logged` writes; nothing is trained. An option that is commoner
among the best tenth than among all belongs into the space; one that the best never have only costs time, on these data.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.dimension import Options
from convsearch.spaces.space import SearchSpace

from .logged import FILE, SIZE

BEST = 0.1  # of the trials


def measure() -> Iterator[tuple[str, str, str]]:
    """Yield a line for each key of the space: how common each option is among the best, and among random trials."""
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    random = [row for row in rows if row["by"] == "random"]  # those of TPE are where TPE looked
    best = sorted(random, key=lambda row: -max(row["curve"]))[: round(BEST * len(random))]
    space = SearchSpace(load("classic"), Volume(*SIZE, 3), 10)
    yield "the best", f"{len(best)} of {len(random)} trials, from {max(best[-1]['curve']):.1%} on", ""
    for key in dict.fromkeys(name.rpartition(".")[2] if _of_layer(name) else name for name in space.dimensions):
        names = [n for n in space.dimensions if n == key or (_of_layer(n) and n.rpartition(".")[2] == key)]
        if not isinstance(dimension := space.dimensions[names[0]], Options):
            low, high = (min(row["values"][key] for row in best), max(row["values"][key] for row in best))
            yield f"`{key}`", f"the best have {low:.2g} to {high:.2g}, of {dimension.low:g} to {dimension.high:g}", ""
            continue
        options = sorted({o for n in names for o in _values(space, n)}, key=lambda o: (str(type(o)), o))
        among, usual = _shares(best, names), _shares(random, names)
        told = ", ".join(f"{option} {among[option]:.0%} ({usual[option]:.0%})" for option in options)
        yield f"`{key}`", told, ""


def _of_layer(name: str) -> bool:
    return name.startswith("layer") and "." in name


def _values(space: SearchSpace, name: str) -> Sequence[Any]:
    return space.dimensions[name].values or ()


def _shares(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Counter[Any]:
    """Return how common each option is: its share of all choices of any of these dimensions."""
    found = Counter(row["values"][name] for row in rows for name in names if name in row["values"])
    total = found.total()
    return Counter({option: count / total for option, count in found.items()})
