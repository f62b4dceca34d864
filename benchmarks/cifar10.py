"""A real search: ten minutes on 6,000 images of CIFAR-10 in `../shared/data/cifar10` (see docs/performance.md)."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(os.environ.get("CIFAR10", Path(__file__).parents[2] / "shared" / "data" / "cifar10"))
MINUTES = 10
SEEDS = tuple(map(int, os.environ.get("SEEDS", "0").split(",")))


def measure() -> list[tuple[str, str, str]]:
    """Return time, trials and test accuracy for each seed; CIFAR10 and SEEDS in the environment choose others."""
    command, rows = str(Path(sys.executable).with_name("convsearch")), []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as home:
            options = [
                "--data",
                str(DATA),
                "--minutes",
                str(MINUTES),
                "--seed",
                str(seed),
                "--study",
                "c",
                "--home",
                home,
            ]
            begin = time.perf_counter()
            subprocess.run([command, "run", *options], check=True, capture_output=True)
            seconds = time.perf_counter() - begin
            shown = subprocess.run([command, "show", "c", "--json", "--home", home], check=True, capture_output=True)
        study = json.loads(shown.stdout)
        test, counts = study["test"], study["counts"]
        low, high = test["interval_95"]
        told = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
        measured = f"{test['accuracy']:.1%} ({low:.1%} to {high:.1%}) in {seconds:.0f} s; {told}"
        rows.append((f"CIFAR-10 subset, {MINUTES} minutes, seed {seed}: test accuracy", measured, "above 60 %"))
    return rows
