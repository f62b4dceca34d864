"""What tests of one training share, and real files to read: images of random pixels, and folders of them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jobs
import numpy as np
import pytest
from jobs import FAST, SMALL, MakeJob
from PIL import Image

from convsearch.search.data import Dataset, Split
from convsearch.search.values.job import Job
from convsearch.spaces.architecture import Layer, Recipe

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]


@pytest.fixture
def job(digits: Dataset, parts: Split, tmp_path: Path) -> MakeJob:
    """Makes a job for the digits, of a small network and two epochs where nothing else is said."""

    def make(recipe: Recipe = FAST, layers: tuple[Layer, ...] = SMALL, **more: Any) -> Job:
        settings = {"weights": tmp_path / "7.weights.h5", "epochs": 2} | more
        return jobs.job(digits, number=7, layers=layers, recipe=recipe, **settings)

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def save_image() -> SaveImage:
    """Saves one image of random pixels; never the same twice."""
    random = np.random.default_rng(0)

    def save(path: Path, *, height: int = 8, width: int = 8, mode: str = "RGB", **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (height, width) if mode == "L" else (height, width, len(mode))
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8), mode).save(path, **options)
        return path

    return save


@pytest.fixture
def make_classes(save_image: SaveImage) -> MakeClasses:
    """Makes class folders with so many PNG images each: `make_classes(root, {"cat": 5, "dog": 5})`."""

    def make(root: Path, counts: Mapping[str, int], **options: Any) -> Path:
        for name, count in counts.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                save_image(root / name / f"{i}.png", **options)
        return root

    return make


@pytest.fixture
def blank_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep multiprocessing from running this process's main program again in a new one.

    It is the test runner's, or whatever a test of Streamlit has put in its place.
    """
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
