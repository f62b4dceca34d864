"""Real files to read: images of random pixels, folders of them, and a cache to decode into."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]


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
