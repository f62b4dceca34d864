"""Photographs as a telephone takes them: a first command without any option about them ends with a bundle."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from terminal import PATIENCE, typed

from convsearch.search.study.home import Home

TALL, WIDE = (3024, 4032), (4032, 3024)  # width and height as the files have them
MOST_BYTES = 100_000_000


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photographs of 12 megapixels, some of them turned by their EXIF orientation; two kinds of light."""
    root = tmp_path_factory.mktemp("photographs") / "set"
    random = np.random.default_rng(0)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for label, light in (("day", 128), ("night", 0)):
        (root / label).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(light, light + 128, (30, 40, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize(WIDE if number % 2 else TALL)
            exif = turned if number % 2 else Image.Exif()
            image.save(root / label / f"{number}.jpg", quality=80, exif=exif)
    return root


@pytest.fixture(scope="module")
def home(photographs: Path) -> Path:
    home = photographs.parent / "home"
    once = ("--trials", 1, "--epochs", 1, "--repeats", 0)
    done = typed("run", "--data", photographs, *once, "--memory", "1GB", "--study", "light", "--home", home)
    assert done.returncode == 0, done.stderr
    return home


def test_they_are_kept_small_at_sizes_that_suit_them(home: Path) -> None:
    study = Home(home).study("light").read()
    assert all(size.height > size.width for size in study.sizes)  # all are upright once they are turned
    assert max(study.sizes) < (1000, 1000)
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) < MOST_BYTES


def test_what_a_worker_may_hold_is_kept_and_bounds_every_trial(home: Path) -> None:
    folder = Home(home).study("light")
    memory = folder.read().memory
    assert memory is not None
    assert memory.limit == 10**9
    assert all(memory.holds(trial.candidate) for trial in folder.record().trials.values())


def test_the_bundle_takes_photographs_as_they_are(home: Path, photographs: Path) -> None:
    bundle = home / "light" / "bundle"
    files = sorted(photographs.rglob("[01].jpg"))
    done = subprocess.run(
        [sys.executable, bundle / "predict.py", *files], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    shipped = [line.split("\t") for line in done.stdout.splitlines()]
    assert [Path(name) for name, _, _ in shipped] == files
    ours = json.loads(typed("predict", bundle, *files, "--json").stdout)
    assert [row["label"] for row in ours] == [label for _, label, _ in shipped]
    assert [f"{row['confidence']:.1%}" for row in ours] == [share for _, _, share in shipped]
