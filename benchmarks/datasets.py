"""The data sets that choices are made on: digits, CIFAR-10, blood cells cut out of smears, many and few, and patches of
street scenes.

All but the digits come from a folder of public data, SHARED_DATA in the environment (`cifar10/`, `bccd/`, `camvid/`).
Only their training images are used, so that whatever is chosen on them has never seen a test image.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convsearch.search.data import Dataset
from convsearch.search.sources import open_data

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIDE = 32  # pixels of a cell or a patch
CELLS = 700  # of a class at most: red cells are ten times as many as the others
FEW = 20  # cells of a class to train on, where there are to be few
PATCHES = 400  # of a class at most
PURE = 0.8  # of a patch's pixels have to be of one class
VOID = 11  # CamVid's pixels without a label
VALIDATION = 5  # every fifth smear or scene validates: all that is cut out of one is on one side

Labelled = tuple[NDArray[np.uint8], str, bool]
"""An image, its class, and whether it is for validation."""


def data_sets(folder: Path) -> dict[str, Dataset]:
    """Return all of them, decoded under `folder`, by name."""
    found = {"digits": open_data("digits", folder / "data")}
    if (SHARED / "cifar10").is_dir():
        found["cifar10"] = open_data(str(SHARED / "cifar10"), folder / "data")
    for name, read in READERS.items():
        source = SHARED / name.partition("-")[0]
        if source.is_dir():
            _save(read(source), folder / f"{name}.npz")
            found[name] = open_data(str(folder / f"{name}.npz"), folder / "data")
    return found


def _save(images: Iterator[Labelled], path: Path) -> None:
    parts: dict[str, list[NDArray[np.uint8]]] = {"train": [], "val": []}
    labels: dict[str, list[str]] = {"train": [], "val": []}
    for image, name, validates in images:
        parts["val" if validates else "train"].append(image)
        labels["val" if validates else "train"].append(name)
    names = sorted({*labels["train"], *labels["val"]})
    arrays: dict[str, Any] = {f"x_{part}": np.stack(found) for part, found in parts.items()}
    arrays |= {f"y_{part}": np.array([names.index(name) for name in found]) for part, found in labels.items()}
    np.savez(path, **arrays)


Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


def boxes(annotation: Path) -> Iterator[tuple[str, Box]]:
    """Yield the classes and boxes of an annotation in Pascal VOC's XML, without boxes that have no area."""
    for found in ElementTree.parse(annotation).iter("object"):
        sides = ("xmin", "ymin", "xmax", "ymax")
        left, top, right, bottom = (int(found.findtext(f"bndbox/{side}", "0")) for side in sides)
        if left < right and top < bottom:
            yield found.findtext("name", ""), (left, top, right, bottom)


def _cells(folder: Path) -> Iterator[Labelled]:
    """Yield the cells of the blood smears of BCCD's training split: red, white, platelets."""
    counts: dict[str, int] = {}
    stems = (folder / "splits" / "train.txt").read_text(encoding="utf-8").split()
    for number, stem in enumerate(stems):
        picture = Image.open(folder / "images" / f"{Path(stem).stem}.jpg").convert("RGB")
        for name, box in boxes(folder / "annotations" / f"{Path(stem).stem}.xml"):
            if counts.get(name, 0) >= CELLS:
                continue
            counts[name] = counts.get(name, 0) + 1
            cell = picture.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            yield np.asarray(cell), name, number % VALIDATION == 0


def _few_cells(folder: Path) -> Iterator[Labelled]:
    """Yield few of the cells to train on, and as many as there are to validate with."""
    counts: dict[str, int] = {}
    for image, name, validates in _cells(folder):
        counts[name] = counts.get(name, 0) + (not validates)
        if validates or counts[name] <= FEW:
            yield image, name, validates


def _patches(folder: Path) -> Iterator[Labelled]:
    """Yield patches of CamVid's training split that show one thing: sky, road, tree, ..."""
    counts: dict[int, int] = {}
    for number, path in enumerate(sorted((folder / "train" / "images").glob("*.jpg"))):
        picture = np.asarray(Image.open(path).convert("RGB"))
        mask = np.asarray(Image.open(folder / "train" / "masks" / f"{path.stem}.png"))
        for top in range(0, mask.shape[0] - SIDE + 1, SIDE // 2):
            for left in range(0, mask.shape[1] - SIDE + 1, SIDE // 2):
                window = slice(top, top + SIDE), slice(left, left + SIDE)
                shares = np.bincount(mask[window].ravel(), minlength=VOID + 1) / SIDE**2
                label = int(shares.argmax())
                if label == VOID or shares[label] < PURE or counts.get(label, 0) >= PATCHES:
                    continue
                counts[label] = counts.get(label, 0) + 1
                yield picture[window], f"{label:02d}", number % VALIDATION == 0


READERS: dict[str, Callable[[Path], Iterator[Labelled]]] = {
    "bccd": _cells,
    "bccd-few": _few_cells,
    "camvid": _patches,
}
