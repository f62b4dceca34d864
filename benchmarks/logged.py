"""Trains the trials that the surrogate benchmark rests on, and writes them to `data/trials.jsonl`.

A tenth of CIFAR-10's pixels and images, so that some hundred trials are done in half an hour: 16 x 16 x 3, 2,000 for
training and 1,000 for validation, in the default space, eight epochs each and none cut off. Half of the trials are
random, so that the whole space is known; half are proposed by TPE, so that its best corner is known well.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from convsearch.search.sources import open_data
from convsearch.search.study.home import Home

from .datasets import SHARED

FILE = Path(__file__).parent / "data" / "trials.jsonl"
SIZE, TRAIN, VALIDATION = (16, 16), 2000, 1000
EPOCHS, TRIALS = 8, {"random": 170, "tpe": 130}


def measure() -> Iterator[tuple[str, str, str]]:
    """Train all trials, two at a time, and write what came of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _images(folder)
        with ThreadPoolExecutor(2) as two:
            for algorithm, done in zip(TRIALS, two.map(lambda a: _search(a, images, folder), TRIALS), strict=True):
                done.check_returncode()
                yield f"trials by {algorithm}", f"{TRIALS[algorithm]}", ""
        rows = [row for algorithm in TRIALS for row in _rows(folder / algorithm, algorithm)]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")
    yield "logged trials", f"{len(rows)}, validation accuracy up to {max(max(r['curve']) for r in rows):.1%}", ""


def _images(folder: Path) -> Path:
    """Write a part of CIFAR-10's training images, smaller, as arrays."""
    dataset = open_data(str(SHARED / "cifar10"), folder / "whole", image_size=SIZE)
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(dataset.given <= 1))[: TRAIN + VALIDATION]
    parts = {"train": chosen[:TRAIN], "val": chosen[TRAIN:]}
    arrays = {f"x_{part}": dataset.images()[np.sort(rows)] for part, rows in parts.items()}
    arrays |= {f"y_{part}": dataset.labels()[np.sort(rows)] for part, rows in parts.items()}
    rest = np.setdiff1d(np.flatnonzero(dataset.given <= 1), chosen)[:100]  # for a test that nobody looks at
    arrays |= {"x_test": dataset.images()[rest], "y_test": dataset.labels()[rest]}
    np.savez(folder / "images.npz", **arrays)
    return folder / "images.npz"


def _search(algorithm: str, images: Path, folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = str(Path(sys.executable).with_name("convsearch"))
    options = ["--data", images, "--algorithm", algorithm, "--pruner", "none", "--epochs", EPOCHS, "--repeats", 0]
    options += ["--trials", TRIALS[algorithm], "--seed", list(TRIALS).index(algorithm)]
    place = ["--study", algorithm, "--home", folder / algorithm]
    return subprocess.run([command, "run", *map(str, [*options, *place])], capture_output=True, check=False)


def _rows(home: Path, algorithm: str) -> Iterator[dict[str, Any]]:
    for trial in Home(home).study(algorithm).record().trials.values():
        if trial.state == "complete":
            curve = [round(value, 4) for value in trial.val_accuracy]
            values = {k: round(v, 6) if isinstance(v, float) else v for k, v in trial.values.items()}
            yield {"by": algorithm, "values": values, "curve": curve, "seconds": round(trial.seconds, 2)}
