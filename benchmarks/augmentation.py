"""What a long training gains by mirrored and by shifted images, and what a network's answers foretell of it.

A network of the portfolio is first trained as in a trial, and asked how much of its accuracy is left on validation
images so varied. Then it is trained from the start for LONGER times the seconds, plainly, with each augmentation, with
both, and with both on four fifths of the images. `search/winner/recipe.py` adds an augmentation where enough of the
accuracy is left, and shifts only to what is not nearly always right: here stands, for every data set, what was left and
what was gained, from which share to which the gains would have been kept and the losses avoided, and what the rule in
force gains on average. The last training tells what a quarter more images are worth, which the winner gets by learning
from the validation images too (`search/winner/long_training.py`). All accuracies are of validation images; rows stay in
`results/augmentation.jsonl`.
"""

import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convsearch.search.data import Split
from convsearch.search.training.augmentation import SHIFT
from convsearch.search.winner.recipe import KEPT_SHARES, is_worth_adding
from convsearch.spaces.architecture import Augmentation, Candidate

from .results import Results
from .timed import Ground, grounds

ENTRY = "paired"
SECONDS = {"digits": 5.0, "cifar10": 30.0, "bccd": 8.0, "bccd-few": 4.0, "camvid": 10.0}  # of a trial
LONGER = 5
SEEDS = tuple(map(int, os.environ.get("SEEDS", "0").split(",")))
MANNERS = {
    "plain": Augmentation(),
    "horizontal_flip": Augmentation(horizontal_flip=True),
    "translation": Augmentation(translation=SHIFT),
    "both": Augmentation(horizontal_flip=True, translation=SHIFT),
}
TRIAL, FEWER = "as in a trial", "both, four fifths of the images"
TRAININGS = (TRIAL, *MANNERS, FEWER)
FIFTH = 5  # every so many-th image of each class is left out
ASKED = {"horizontal_flip": 1.0, "translation": SHIFT}


def measure() -> Iterator[tuple[str, str, str]]:
    """Measure what is missing; yield what was left and gained, and the shares that follow."""
    results, current = Results("augmentation"), []
    with tempfile.TemporaryDirectory() as name:
        for ground in grounds(Path(name)):
            candidate = ground.candidate(ENTRY)
            for seed in SEEDS:
                for manner in TRAININGS:
                    seconds = SECONDS[ground.name] * (1 if manner == TRIAL else LONGER)
                    key = {"data": ground.name, "manner": manner, "seed": seed, "seconds": seconds}
                    key |= {"candidate": candidate.hash}  # another recipe makes another row
                    if not results.has(key):
                        varied = _with(candidate, MANNERS.get("both" if manner == FEWER else manner, Augmentation()))
                        trained = _fewer(ground) if manner == FEWER else ground
                        outcome = trained.train(varied, seed, seconds, ASKED if manner == TRIAL else {})
                        found = {"val_accuracy": outcome.val_accuracy[-1], "varied": outcome.varied}
                        results.add(key | found | {"epochs": outcome.epochs})
                    current += [row for row in results.rows if key.items() <= row.items()]
    yield from report(current)


def _fewer(ground: Ground) -> Ground:
    """Return a data set with four fifths of its images for training, of each class alike; validation is the same."""
    parts, labels = Split.load(ground.split), ground.dataset.labels()
    by_class = [parts.train[labels[parts.train] == label] for label in range(len(ground.dataset.classes))]
    kept = np.sort(np.concatenate([rows[np.arange(len(rows)) % FIFTH != FIFTH - 1] for rows in by_class]))
    file = ground.split.with_name(f"{ground.name}.fewer.split.npz")
    Split(kept, parts.val, parts.test).save(file)
    return replace(ground, split=file, images=len(kept))


def _with(candidate: Candidate, augmentation: Augmentation) -> Candidate:
    recipe = candidate.recipe.model_copy(update={"augmentation": augmentation})
    return candidate.model_copy(update={"recipe": recipe})


def report(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield the findings of measured rows."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in ASKED}
    in_force: dict[str, list[float]] = {name: [] for name in ASKED}
    for data in names:
        of = {manner: [r for r in rows if (r["data"], r["manner"]) == (data, manner)] for manner in TRAININGS}
        ends = {manner: statistics.fmean(row["val_accuracy"] for row in of[manner]) for manner in (*MANNERS, FEWER)}
        told = ", ".join(f"{manner} {value:.1%}" for manner, value in ends.items())
        epochs = of["plain"][0]["epochs"]
        yield f"{data}, {SECONDS[data] * LONGER:.0f} s, {epochs} epochs", told, ""
        yield f"{data}: a quarter more images", f"gained {ends['both'] - ends[FEWER]:+.1%}", ""
        for name in ASKED:
            plain = statistics.fmean(row["val_accuracy"] for row in of[TRIAL])
            left = statistics.fmean(row["varied"][name] / row["val_accuracy"] for row in of[TRIAL])
            # With and without the other one, both count the same.
            other = next(manner for manner in ASKED if manner != name)
            gain = statistics.fmean((ends[name] - ends["plain"], ends["both"] - ends[other]))
            if is_worth_adding(name, plain, varied=plain):  # else the rule does not look at the share
                points[name].append((left, gain))
            in_force[name].append(gain if is_worth_adding(name, plain, left * plain) else 0.0)
            yield f"{data}: {name}", f"a trial's network keeps {left:.0%} of {plain:.1%}; gained {gain:+.1%}", ""
    for name, found in points.items():
        low, high = kept_between(found)
        yield f"{name}: best share to ask for", f"from {low:.0%} to {high:.0%}; in force {KEPT_SHARES[name]:.0%}", ""
        yield f"{name}: gained by what is in force, mean", f"{statistics.fmean(in_force[name]):+.2%}", ""


def kept_between(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the range of the share to ask for with which most would have been gained.

    A data set whose network keeps at least that share gains what it gained, the others nothing.

    Args:
        points: the share that was kept, and the gain, of each data set.
    """
    shares = sorted({0.0, *(share for share, _ in points)})
    totals = [sum(gain for share, gain in points if share > above) for above in shares]
    best = max(range(len(shares)), key=lambda i: totals[i])
    return shares[best], shares[best + 1] if best + 1 < len(shares) else 1.0
