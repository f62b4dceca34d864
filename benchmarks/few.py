"""What a network gains from other recipes and sizes where there are few photographs: those of ants and bees.

`ants_bees/train` of a folder of public data, SHARED_DATA in the environment: 244 photographs, of which each fifth
validates once. One network of the portfolio is trained for as many epochs each way. Nothing is chosen by what comes of
it, so the accuracy after the last epoch, over all folds, is what new photographs would show. Two ways are compared on
the same photographs: the noise is two standard errors of the difference. Rows stay in `results/few.jsonl`; SEEDS in the
environment, parted by commas, are those of the trainings.
"""

import math
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convsearch.search.data import Dataset, Split
from convsearch.search.sources import open_data
from convsearch.search.training.augmentation import SHIFT
from convsearch.spaces.architecture import Augmentation
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

from .datasets import SHARED
from .results import Results
from .timed import Ground

SEEDS = tuple(map(int, os.environ.get("SEEDS", "0").split(",")))
FOLDS = 5
USUAL = {"horizontal_flip": True, "translation": SHIFT}  # what the winner's long training adds


@dataclass(frozen=True)
class Way:
    """A way to train: the network, the size, and what differs from the recipe that the winner's training has."""

    entry: str = "paired_narrow"
    size: tuple[int, int] = (48, 72)
    epochs: int = 100
    changed: Mapping[str, Any] = field(default_factory=dict)  # values of the portfolio's entry
    recipe: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, Any] = field(default_factory=lambda: USUAL)
    mixup: float = 0.0


REFERENCE = "mirrored, shifted"
WAYS = {
    REFERENCE: Way(),
    "plain": Way(augmentation={}),
    "mirrored": Way(augmentation={"horizontal_flip": True}),
    "and blended": Way(mixup=1.0),
    "and turned by up to 15 degrees": Way(augmentation=USUAL | {"rotation": 15.0}),
    "and with jittered colours": Way(augmentation=USUAL | {"colour_jitter": 0.2}),
    "mirrored, and cut to 70 % of the sides": Way(augmentation={"horizontal_flip": True, "crop": 0.3}),
    "in batches of 16": Way(recipe={"batch_size": 16}),
    "in batches of 64": Way(recipe={"batch_size": 64}),
    "with a dropout of 20 %": Way(changed={"dropout": 0.2}),
    "three layers": Way(entry="plain"),
    "twice the filters": Way(entry="paired"),
    "at 64x96": Way(size=(64, 96)),
    "at 96x144": Way(size=(96, 144)),
}


def measure() -> Iterator[tuple[str, str, str]]:
    """Train what is missing; yield the accuracy of each way, and its lead over the usual one."""
    results, current = Results("few"), []
    with tempfile.TemporaryDirectory() as name:
        for seed in SEEDS:
            for what, way in WAYS.items():
                key = {"way": what, "seed": seed}
                if not results.has(key):
                    results.add(key | _all_folds(way, seed, Path(name)))
                current += [row for row in results.rows if key.items() <= row.items()]
    yield from report(current)


def _all_folds(way: Way, seed: int, folder: Path) -> dict[str, Any]:
    images = SHARED / "ants_bees" / "train"
    dataset = open_data(str(images), folder / "data", image_size=way.size, skip_bad=True)
    found, space = [], SearchSpace(load("classic"), dataset.input, len(dataset.classes))
    for fold, parts in enumerate(_folds(dataset)):
        file = folder / f"{fold}.split.npz"
        if not file.exists():
            parts.save(file)
        ground = Ground("ants_bees", dataset, file, space, len(parts.train))
        augmentation = Augmentation(**way.augmentation)
        candidate = ground.candidate(way.entry, way.changed, augmentation=augmentation, **way.recipe)
        outcome = ground.train(candidate, seed, epochs=way.epochs, mixup=way.mixup)
        found.append((outcome.val_accuracy[-1], len(parts.val)))
    return {
        "right": [round(share * count) for share, count in found],
        "count": [count for _, count in found],
        "size": "x".join(map(str, way.size)),
        "epochs": way.epochs,
    }


def _folds(dataset: Dataset) -> Iterator[Split]:
    """Yield a split for each fifth of the images, stratified by class; one image stands for a test that is not made."""
    labels, random = dataset.labels(), np.random.default_rng(0)
    fold_of = np.empty(len(labels), dtype=np.int64)
    for label in range(len(dataset.classes)):
        rows = random.permutation(np.flatnonzero(labels == label))
        fold_of[rows] = np.arange(len(rows)) % FOLDS
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_of == fold)
        yield Split(np.flatnonzero(fold_of != fold), held[1:], held[:1])


def report(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield the accuracy of each way over all folds and seeds, and its lead over the usual way with the noise."""
    by: dict[str, list[list[float]]] = {what: [] for what in WAYS}
    for row in rows:
        by[row["way"]].append([right / count for right, count in zip(row["right"], row["count"], strict=True)])
    usual = [share for folds in by[REFERENCE] for share in folds]
    for what, found in by.items():
        shares = [share for folds in found for share in folds]
        if len(shares) != len(usual):
            continue
        leads = [100 * (share - other) for share, other in zip(shares, usual, strict=True)]
        noise = 2 * statistics.stdev(leads) / math.sqrt(len(leads)) if what != REFERENCE else 0.0
        lead = f"; {statistics.fmean(leads):+.1f} points, noise {noise:.1f}" if what != REFERENCE else ""
        yield f"ants_bees, {WAYS[what].epochs} epochs: {what}", f"{statistics.fmean(shares):.1%}{lead}", ""
