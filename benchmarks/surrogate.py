"""Engines and algorithms against each other without training: a forest stands for the trials, learnt from real ones.

The forest (Breiman, 2001; scikit-learn's extra trees) learns from `data/trials.jsonl` what accuracy each epoch of a
candidate reaches. It answers for every candidate of the space, so that engines run against it as they do against
workers, with their pruning, rungs and portfolio; what they are given credit for is the forest's own accuracy after all
epochs, reached or not, of the best trial so far. As with all surrogates (Eggensperger et al., 2015), orders count here,
not the accuracies themselves.
"""

import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from convsearch.search.engines.choice import choose, open_engine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.values.answers import answered
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.dimension import Choice, Dimension, Options
from convsearch.spaces.known.portfolio import guesses
from convsearch.spaces.space import SearchSpace, Values

from .logged import EPOCHS, FILE, SIZE, TRAIN

SEEDS = range(int(os.environ.get("SURROGATE_SEEDS", "10")))
BUDGET = 40 * EPOCHS  # epochs of a search: forty whole trials
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "surrogate.svg"


@dataclass(frozen=True)
class Searcher:
    """One line of the picture."""

    name: str
    engine: str
    algorithm: str
    pruner: str | None = None
    portfolio: bool = True


# A grid walks through values, in the order of the space: of the two ranges it is given these.
GRID = {"learning_rate": "[0.001, 0.003, 0.01]", "weight_decay": "[0.0001, 0.001, 0.01]"}
SEARCHERS = (
    Searcher("Optuna TPE with portfolio", "optuna", "tpe"),
    Searcher("Optuna TPE without", "optuna", "tpe", portfolio=False),
    Searcher("Optuna NSGA-II", "optuna", "nsga2"),
    Searcher("KerasTuner Hyperband", "keras-tuner", "hyperband"),
    Searcher("KerasTuner Bayesian", "keras-tuner", "bayesian"),
    Searcher("random, with portfolio", "optuna", "random"),
    Searcher("random", "optuna", "random", pruner="none", portfolio=False),
    Searcher("KerasTuner random", "keras-tuner", "random", portfolio=False),
    Searcher("Optuna TPE, median pruner", "optuna", "tpe", pruner="median"),
    Searcher("Optuna GP", "optuna", "gp"),
    Searcher("Optuna grid", "optuna", "grid", portfolio=False),
    Searcher("KerasTuner grid", "keras-tuner", "grid", portfolio=False),
)
OURS, RANDOMS = SEARCHERS[0], (SEARCHERS[5], SEARCHERS[6])


class Surrogate:
    """What a candidate would reach, epoch by epoch."""

    def __init__(self, space: SearchSpace) -> None:
        rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
        self.space = space
        inputs = np.array([self._row(row["values"]) for row in rows])
        # A trial that ended early is taken to stay where it was.
        curves = np.array([row["curve"] + [row["curve"][-1]] * (EPOCHS - len(row["curve"])) for row in rows])
        self._forest = ExtraTreesRegressor(400, min_samples_leaf=2, random_state=0, n_jobs=-1).fit(inputs, curves)
        guessed = cross_val_predict(ExtraTreesRegressor(200, min_samples_leaf=2, random_state=0), inputs, curves, cv=10)
        best, found = curves.max(axis=1), guessed.max(axis=1)
        self.count = len(rows)
        self.explained = 1 - float(((best - found) ** 2).sum() / ((best - best.mean()) ** 2).sum())
        self._forest.n_jobs = 1

    def _row(self, values: Values) -> list[float]:
        return [
            self._number(dimension, values[name]) if name in values else -1.0
            for name, dimension in self.space.dimensions.items()
        ]

    def _number(self, dimension: Dimension, value: Choice) -> float:
        if not isinstance(dimension, Options):
            return float(np.log(float(value)) if dimension.log else float(value))
        if all(isinstance(option, (int, float)) for option in dimension.values):
            return float(value)
        return float(dimension.values.index(value))

    def curve(self, values: Values) -> NDArray[np.float64]:
        """Return the validation accuracy after each epoch."""
        return np.asarray(self._forest.predict([self._row(values)])[0])


def search(searcher: Searcher, surrogate: Surrogate, seed: int, folder: Path) -> list[float]:
    """Return the accuracy of the best trial so far after each epoch of a search."""
    grid = searcher.algorithm == "grid"
    space = SearchSpace(answered(load("classic"), GRID), Volume(*SIZE, 3), 10) if grid else surrogate.space
    proposals = Proposals(space, seed, exhaustive=grid)
    if searcher.portfolio:
        for values in guesses(space, TRAIN):
            proposals.enqueue(values)
    engine_name, algorithm, pruner = choose(searcher.engine, searcher.algorithm, searcher.pruner)
    engine = open_engine(folder, engine_name, algorithm, pruner, EPOCHS, seed, proposals)
    course: list[float] = []
    begun: dict[int, int] = {}
    best = seen = 0.0
    while len(course) < BUDGET and (proposal := engine.ask()) is not None:
        curve = surrogate.curve(proposal.values)
        first, last = begun.get(proposal.number, 0), proposal.epochs or EPOCHS
        pruned = False
        for epoch in range(first, last):
            if curve[: epoch + 1].max() > seen:
                seen = float(curve[: epoch + 1].max())
                best = float(curve.max())  # what its candidate comes to when it is trained to the end
            course.append(best)
            if not engine.report(proposal.number, epoch + 1, float(curve[epoch])) and epoch + 1 < EPOCHS:
                pruned = True
                break
        begun[proposal.number] = last
        engine.tell(proposal.number, "pruned" if pruned or last < EPOCHS else "complete", float(curve[:last].max()))
    engine.close()
    return course[:BUDGET]


def measure() -> Iterator[tuple[str, str, str]]:
    """Run every searcher with every seed; yield the medians and the paired comparisons; draw the curves."""
    space = SearchSpace(load("classic"), Volume(*SIZE, 3), 10)
    surrogate = Surrogate(space)
    yield "surrogate", f"{surrogate.count} trials; {surrogate.explained:.0%} of the variance explained, held out", ""
    courses: dict[str, list[list[float]]] = {}
    for searcher in SEARCHERS:
        if searcher.algorithm == "gp" and find_spec("torch") is None:
            yield searcher.name, "left out: it needs PyTorch, pip install 'convsearch[gp]'", ""
            continue
        for seed in SEEDS[:1] if searcher.algorithm == "grid" else SEEDS:  # which has no seed
            with tempfile.TemporaryDirectory() as name:
                courses.setdefault(searcher.name, []).append(search(searcher, surrogate, seed, Path(name)))
        ends = [course[-1] for course in courses[searcher.name]]
        half = [course[BUDGET // 4] for course in courses[searcher.name]]
        told = f"{statistics.median(half):.2%} after {BUDGET // 4} epochs, {statistics.median(ends):.2%} after {BUDGET}"
        yield searcher.name, told, ""
    for random in RANDOMS:
        for moment in (BUDGET // 4, BUDGET // 2, BUDGET):
            pairs = zip(courses[OURS.name], courses[random.name], strict=True)
            ahead = sum(ours[moment - 1] > other[moment - 1] for ours, other in pairs)
            what = f"{OURS.name} ahead of {random.name}, after {moment} epochs"
            yield what, f"{ahead} of {len(SEEDS)} seeds", "8 of 10" if moment == BUDGET else ""
    draw(courses)


def draw(courses: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Draw the median curve of each searcher, with its end in the legend, and the quartiles of the first."""
    plt.rcParams["svg.hashsalt"] = "surrogate"  # the same picture every time
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    styles = itertools.cycle(["-", "--", ":", "-."])  # curves that coincide are seen through each other's gaps
    colors = plt.get_cmap("tab20", 20)(range(20))
    for number, (name, found) in enumerate(courses.items()):
        middle, width = np.median(found, axis=0), 2.5 if name == OURS.name else 1.3
        label, color = f"{name}: {middle[-1]:.1%}", colors[2 * number % 20 + number // 10]
        axes.plot(range(1, BUDGET + 1), middle, label=label, color=color, linestyle=next(styles), linewidth=width)
    low, high = np.quantile(courses[OURS.name], [0.25, 0.75], axis=0)
    axes.fill_between(range(1, BUDGET + 1), low, high, color=colors[0], alpha=0.15)
    axes.set(xlabel="epochs trained", ylabel="validation accuracy of the best so far", xlim=(0, BUDGET))
    axes.set_ylim(bottom=float(np.quantile([course[EPOCHS] for found in courses.values() for course in found], 0.05)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(fontsize=7, loc="lower right", ncols=2)
    axes.grid(alpha=0.3)
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)
