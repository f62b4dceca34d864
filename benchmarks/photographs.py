"""Photographs, by a new user's first command: what comes of it, and whether it chose the right sizes.

- Two dozen photographs of 12 megapixels, as a telephone takes them, some of them turned: the command has to end with a
  bundle, and its home to stay small.
- `ants_bees`: photographs of many sizes, as they are, and with one size given to all; `sign_digits`: squares of 100
  pixels. Both are folders of public data, SHARED_DATA in the environment.

The test images of `ants_bees` are its val/, those of `sign_digits` the last fifth of each class by name. Rows stay in
`results/photographs.jsonl`, with the machine, so that the whole may take several sittings; SEEDS and CASES in the
environment choose a part, parted by commas. Two runs of a seed on a machine are compared on the same test images: the
noise is two standard errors of the difference, over all seeds.
"""

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from sklearn.datasets import load_sample_images

from convsearch.search.study.home import Home
from convsearch.search.training.evaluation import MOST_MISTAKES

from .datasets import SHARED
from .machine import machine
from .results import Results

SEEDS = tuple(map(int, os.environ.get("SEEDS", "1,2,3").split(",")))
AUTO = "auto"
TELEPHONE, COUNT = (4032, 3024), 24
Row = Mapping[str, Any]  # one run, as `results/photographs.jsonl` has it


@dataclass(frozen=True)
class Case:
    """Images, the minutes that a run has, the sizes that are tried, and the test accuracy that is required."""

    data: str
    minutes: float
    sizes: tuple[str, ...] = (AUTO,)
    required: float | None = None


CASES = (
    Case("telephone", 2),
    Case("sign_digits", 2, required=0.99),
    Case("ants_bees", 5, (AUTO, "32x32", "64x64", "128x128", "224x224"), required=0.78),
)


def measure() -> Iterator[tuple[str, str, str]]:
    """Run what is missing, seed by seed; yield what each machine has reached."""
    results = Results("photographs")
    chosen = os.environ.get("CASES", ",".join(case.data for case in CASES)).split(",")
    cases = [case for case in CASES if case.data in chosen]
    with tempfile.TemporaryDirectory() as name:
        folders = {case.data: LAID_OUT[case.data](Path(name) / case.data) for case in cases}
        for seed in SEEDS:
            for case in cases:
                for size in case.sizes:
                    key = {"data": case.data, "minutes": case.minutes, "size": size, "seed": seed}
                    if not results.has(key | {"machine": machine()}):
                        results.add(key | _run(folders[case.data], case.minutes, size, seed))
    for case in cases:
        rows = [row for row in results.rows if (row["data"], row["minutes"]) == (case.data, case.minutes)]
        for where in dict.fromkeys(row["machine"] for row in rows):
            yield from report(case, where, [row for row in rows if row["machine"] == where])


def _run(data: Path, minutes: float, size: str, seed: int) -> dict[str, Any]:
    command = str(Path(sys.executable).with_name("convsearch"))
    with tempfile.TemporaryDirectory() as home:
        options = ["--data", data, "--minutes", minutes, "--seed", seed, "--study", "p", "--home", home]
        options += [] if size == AUTO else ["--image-size", size]
        began = time.monotonic()
        done = subprocess.run([command, "run", *map(str, options)], capture_output=True, text=True)
        wall = time.monotonic() - began
        kept = sum(path.stat().st_size for path in Path(home).rglob("*") if path.is_file())
        found = {"exit": done.returncode, "wall": round(wall, 1), "mb": round(kept / 1e6, 1)}
        if done.returncode:
            return found | {"error": done.stderr.strip()[-500:]}
        folder = Home(Path(home)).study("p")
        study, record, result = folder.read(), folder.record(), folder.result()
        assert result is not None, "a study that ended well has a result"
        return found | {
            "bundle": folder.bundle.is_dir(),
            "input_sizes": list(study.input_sizes),
            "winner": str(record.trials[result.best].candidate.architecture),
            "winner_input": str(record.trials[result.best].candidate.architecture.input),
            "trials": {state: count for state, count in record.counts().items() if count},
            "validation": result.val_accuracy,
            "test": result.test.accuracy,
            "count": result.test.count,
            "wrong": sorted(mistake.image for mistake in result.test.mistakes),
        }


# ---------------------------------------------------------------------- the images


def telephone(folder: Path) -> Path:
    """Write photographs of 12 megapixels of two scenes, every other one upright by its EXIF orientation alone."""
    random = np.random.default_rng(0)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for scene, pixels in zip(("palace", "flower"), load_sample_images().images, strict=True):
        (folder / scene).mkdir(parents=True)
        whole = Image.fromarray(pixels)
        for number in range(COUNT // 2):
            most = min(whole.width, whole.height * 4 // 3)
            width = int(random.integers(most // 2, most))
            height = width * 3 // 4
            left, top = (int(random.integers(0, rest + 1)) for rest in (whole.width - width, whole.height - height))
            photograph = whole.crop((left, top, left + width, top + height)).resize(TELEPHONE)
            exif = turned if number % 2 else Image.Exif()
            photograph.save(folder / scene / f"{number:02}.jpg", quality=90, exif=exif)
    return folder


def ants_bees(folder: Path) -> Path:
    """Lay the photographs out with val/ as the test."""
    shutil.copytree(SHARED / "ants_bees" / "train", folder / "train")
    shutil.copytree(SHARED / "ants_bees" / "val", folder / "test")
    return folder


def sign_digits(folder: Path) -> Path:
    """Lay the photographs out with the last fifth of each class by name as the test."""
    for label in sorted(path for path in (SHARED / "sign_digits").iterdir() if path.is_dir()):
        files = sorted(label.iterdir())
        first = len(files) - len(files) // 5
        for part, chosen in (("train", files[:first]), ("test", files[first:])):
            place = folder / part / label.name
            place.mkdir(parents=True)
            for file in chosen:
                shutil.copy(file, place)
    return folder


LAID_OUT = {"telephone": telephone, "ants_bees": ants_bees, "sign_digits": sign_digits}


# ---------------------------------------------------------------------- results


def report(case: Case, where: str, rows: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield what the runs of a case on a machine have reached, and how the size left to us did beside the others."""
    what = f"{case.data}, {case.minutes:g} min, {where.partition(',')[0]}"
    by = {size: [row for row in rows if row["size"] == size] for size in case.sizes}
    ours = by[AUTO]
    if not ours:
        return
    ended = sum(row["exit"] == 0 and row.get("bundle", False) for row in ours)
    kept = max(row["mb"] for row in ours)
    yield f"{what}: ended with a bundle; MB on the disk", f"{ended} of {len(ours)}; {kept:g}", "all; 100"
    for size, found in by.items():
        if found := [row for row in found if row["exit"] == 0]:
            told = f"{statistics.median(row['test'] for row in found):.1%} ({_each(found)}) of {found[0]['count']}"
            told += f"; {statistics.median(sum(row['trials'].values()) for row in found):g} trials"
            required = f"{case.required:.0%}" if size == AUTO and case.required is not None else ""
            yield f"{what}: test, size {size}", told, required
    others = {size: compared(ours, found) for size, found in by.items() if size != AUTO}
    known = {size: found for size, found in others.items() if found is not None}
    if known:
        best, (points, noise) = min(known.items(), key=lambda item: item[1][0])
        yield f"{what}: test, sizes left to us against {best}", f"{points:+.1f} points, noise {noise:.1f}", "level"


def compared(ours: Sequence[Row], others: Sequence[Row]) -> tuple[float, float] | None:
    """Return by how many points ours are ahead in the median of the seeds, and the noise; None without a pair.

    The noise is two standard errors of the mean difference on the same test images (McNemar, 1947), over all seeds.
    """
    pairs = [
        (row, other)
        for row in ours
        for other in others
        if row["seed"] == other["seed"] and row["exit"] == other["exit"] == 0
    ]
    if not pairs:
        return None
    points, variance = [], 0.0
    for row, other in pairs:
        assert max(len(row["wrong"]), len(other["wrong"])) < MOST_MISTAKES, "all mistakes are listed"
        count, differ = row["count"], len(set(row["wrong"]) ^ set(other["wrong"]))
        difference = row["test"] - other["test"]
        points.append(100 * difference)
        variance += differ / count**2 - difference**2 / count
    return statistics.median(points), 2 * 100 * math.sqrt(variance) / len(pairs)


def _each(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row['test']:.1%}" for row in rows)
