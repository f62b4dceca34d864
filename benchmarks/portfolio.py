"""What a search should begin with: networks and recipes, each trained for the same seconds on several data sets.

The rows that are measured stay in `results/portfolio.jsonl`, and a second run adds what is missing. The portfolio is
chosen from them greedily: first the entry that comes nearest to the best of each data set on average, then whichever
adds most to those that are there (as Feurer et al., 2022, build theirs). The same rows say whether a default of the
recipe should be another one. All accuracies are of validation images.
"""

import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from convsearch.spaces.known.portfolio import COMMON, entries, fitted

from .results import Results
from .timed import grounds

SECONDS = {
    "digits": 6.0,
    "cifar10": 45.0,
    "bccd": 15.0,
    "bccd-few": 5.0,
    "camvid": 12.0,
}  # about a tenth of a ten-minute search
SEEDS = tuple(map(int, os.environ.get("SEEDS", "0").split(",")))
NETWORKS: dict[str, list[str | int]] = {
    "two": ["32 pool", "64 pool"],
    "narrow": ["16 pool", "32 pool", "64 pool"],
    "plain": ["32 pool", "64 pool", "128 pool"],
    "wide": ["48 pool", "96 pool", "128 pool"],
    "paired": ["32 pool", 64, "64 pool", 128, "128 pool"],
    "paired_medium": ["32 pool", 64, "64 pool", 96, "96 pool"],
    "paired_narrow": ["16 pool", 32, "32 pool", 64, "64 pool"],
    "all_paired": [16, "32 pool", 64, "64 pool", 128, "128 pool"],
    "late_pools": [32, "64 pool", "128 pool"],
}
VARIED = "paired"  # the network on which the recipe is varied, a value at a time
RECIPES: dict[str, dict[str, Any]] = {
    "learning_rate 0.0015": {"learning_rate": 0.0015},
    "learning_rate 0.006": {"learning_rate": 0.006},
    "weight_decay 0.001": {"weight_decay": 0.001},
    "batch_size 32": {"batch_size": 32},
    "no label_smoothing": {"label_smoothing": 0},
    "shifted": {"translation": 0.12},
    "mirrored": {"horizontal_flip": True},
    "dropout 0.1": {"dropout": 0.1},
    "head.dropout 0.2": {"head.dropout": 0.2},
    "gelu": {"activation": "gelu"},
    "no batch_norm": {"batch_norm": False},
    "5 x 5 first": {"layer1.kernel_size": 5},
    "average pooling": {"pooling": "average"},
}


def candidates() -> dict[str, dict[str, Any]]:
    """Return what is compared, as entries of a portfolio."""
    common = entries()[COMMON]
    found = {name: {**common, "layers": layers} for name, layers in NETWORKS.items()}
    return found | {f"{VARIED}, {name}": found[VARIED] | changes for name, changes in RECIPES.items()}


def measure() -> Iterator[tuple[str, str, str]]:
    """Measure what is missing; yield the accuracies by data set, the greedy order, and what a change of recipe does."""
    results, current = Results("portfolio"), []
    with tempfile.TemporaryDirectory() as name:
        for ground in grounds(Path(name)):
            for entry, wanted in candidates().items():
                values = fitted(ground.space, wanted, ground.images)
                assert values is not None, "the default space holds every candidate"
                candidate, seconds = ground.space.candidate(values), SECONDS[ground.name]
                for seed in SEEDS:
                    key = {"data": ground.name, "entry": entry, "seed": seed, "seconds": seconds}
                    key |= {"candidate": candidate.hash}  # another recipe makes another row
                    if not results.has(key):
                        outcome = ground.train(candidate, seed, seconds, {})
                        found = {"val_accuracy": outcome.val_accuracy[-1], "epochs": outcome.epochs}
                        results.add(key | found | {"network": str(candidate.architecture)})
                    current += [row for row in results.rows if key.items() <= row.items()]
    yield from report(current)


def report(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield the findings of measured rows."""
    table = accuracies(rows)
    names = list(next(iter(table.values())))
    for entry, by_data in table.items():
        told = ", ".join(f"{name} {value:.1%}" for name, value in by_data.items())
        yield f"`{entry}`", f"{told}; behind the best {_regret(table, [entry]):.2%} on average", ""
    order = greedy({entry: row for entry, row in table.items() if entry in NETWORKS})
    for count in range(1, len(order) + 1):
        behind = _regret({e: table[e] for e in NETWORKS if e in table}, order[:count])
        yield f"portfolio of {count}", f"{', '.join(order[:count])}: {behind:.2%} behind the best network", ""
    for change in RECIPES:
        if (row := table.get(f"{VARIED}, {change}")) is not None:
            gains = {name: row[name] - table[VARIED][name] for name in names}
            told = ", ".join(f"{name} {gain:+.1%}" for name, gain in gains.items())
            yield f"{change} instead", f"{statistics.fmean(gains.values()):+.2%} on average ({told})", ""


def accuracies(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the mean validation accuracy over seeds of each entry on each data set; entries that lack one are out."""
    data = list(dict.fromkeys(row["data"] for row in rows))
    found: dict[str, dict[str, float]] = {}
    for entry in dict.fromkeys(row["entry"] for row in rows):
        of = {name: [r["val_accuracy"] for r in rows if r["entry"] == entry and r["data"] == name] for name in data}
        if all(of.values()):
            found[entry] = {name: statistics.fmean(values) for name, values in of.items()}
    return found


def _regret(table: Mapping[str, Mapping[str, float]], chosen: Sequence[str]) -> float:
    """Return how far the best of those chosen stays behind the best of all, on average over the data sets."""
    names = list(next(iter(table.values())))
    behind = [max(row[n] for row in table.values()) - max(table[entry][n] for entry in chosen) for n in names]
    return statistics.fmean(behind)


def greedy(table: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the entries in the order in which each adds most to those before it, until nothing is added."""
    order: list[str] = []
    while len(order) < len(table):
        rest = [entry for entry in table if entry not in order]
        best = min(rest, key=lambda entry: (_regret(table, [*order, entry]), rest.index(entry)))
        if order and _regret(table, [*order, best]) >= _regret(table, order):
            break
        order.append(best)
    return order
