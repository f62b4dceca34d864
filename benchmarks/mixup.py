"""From how many epochs on a training gains by blended images, on five data sets.

A network of the portfolio is trained from the start for FEW and for MANY epochs, as the winner is: with the
augmentation that a long training adds where the labels are kept, plainly and with mixup. `search/winner/recipe.py`
blends from a number of epochs between the two. All accuracies are of validation images, after the last epoch; rows stay
in `results/mixup.jsonl`.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from convsearch.search.training.augmentation import SHIFT
from convsearch.search.winner.recipe import ALPHA
from convsearch.spaces.architecture import Augmentation

from .results import Results
from .timed import grounds

ENTRY = "paired_narrow"
EPOCHS = (50, 150)
SEEDS = tuple(map(int, os.environ.get("SEEDS", "0").split(",")))
KEPT = Augmentation(horizontal_flip=True, translation=SHIFT)
AUGMENTATIONS = {"digits": Augmentation()}  # a mirror or a shift costs their networks most of their accuracy


def measure() -> Iterator[tuple[str, str, str]]:
    """Measure what is missing; yield what was reached without and with mixup, and what was gained on average."""
    results = Results("mixup")
    gains: dict[int, list[float]] = {epochs: [] for epochs in EPOCHS}
    with tempfile.TemporaryDirectory() as name:
        for ground in grounds(Path(name)):
            candidate = ground.candidate(ENTRY, augmentation=AUGMENTATIONS.get(ground.name, KEPT))
            for epochs in EPOCHS:
                reached: dict[float, list[float]] = {0.0: [], ALPHA: []}
                for seed in SEEDS:
                    for alpha in reached:
                        key = {"data": ground.name, "epochs": epochs, "alpha": alpha, "seed": seed}
                        key |= {"candidate": candidate.hash}  # another recipe makes another row
                        if not results.has(key):
                            outcome = ground.train(candidate, seed, epochs=epochs, mixup=alpha)
                            found = {"accuracy": outcome.accuracy[-1], "val_accuracy": outcome.val_accuracy[-1]}
                            results.add(key | found)
                        row = next(row for row in results.rows if key.items() <= row.items())
                        reached[alpha].append(row["val_accuracy"])
                without, blended = (sum(values) / len(values) for values in reached.values())
                gains[epochs].append(blended - without)
                told = f"plainly {without:.1%}, blended {blended:.1%}: {100 * (blended - without):+.1f} points"
                yield f"{ground.name}, {epochs} epochs", told, ""
    for epochs, gained in gains.items():
        yield f"blending for {epochs} epochs, on average", f"{100 * sum(gained) / len(gained):+.1f} points", ""
