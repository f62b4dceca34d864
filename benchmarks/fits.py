"""Which fit suits images of many shapes best: stretched to the one size, cropped to it, or padded.

Photographs of ants and bees as they are; raccoons in their boxes beside pieces of the same photographs without one; the
cells of blood smears in their boxes; and what is seen of street scenes, from poles to cars. Everything keeps its own
shape until the fit. One network of the portfolio is trained for as many steps with each fit, its sides limited, with
mirrored images, on the same images: by seed another fifth of the pictures validates, and all that is cut out of one is
on one side. All come from a folder of public data, SHARED_DATA in the environment, and only from what is there to be
trained on. Rows stay in `results/fits.jsonl`.
"""

import math
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from convsearch.search.data import split
from convsearch.search.sources import open_data
from convsearch.spaces.architecture import Augmentation
from convsearch.spaces.definition import load
from convsearch.spaces.sizes import FITS, Fit, Size
from convsearch.spaces.space import SearchSpace

from .datasets import SHARED, VOID, Box, boxes
from .results import Results
from .timed import Ground

SEEDS = tuple(map(int, os.environ.get("SEEDS", "0,1,2").split(",")))
FOLDS = 5  # one of them validates
ENTRY, STEPS, SIDE = "paired_narrow", 600, 48  # the shorter side at most
MOST = 150  # pieces of a class, where there are many
LEAST = 12  # pixels of a piece's shorter side
AREA = 150  # pixels of something in a street scene that is cut out

Piece = tuple[int, str, Image.Image]
"""The number of the picture that a piece is from, its class, and the piece."""


def measure() -> Iterator[tuple[str, str, str]]:
    """Train what is missing; yield the accuracies of each fit on each data set, and how far apart they are."""
    results = Results("fits")
    current = []
    with tempfile.TemporaryDirectory() as name:
        for data, read in READERS.items():
            pieces = list(read(SHARED))
            for seed in SEEDS:
                folder = Path(name) / data / str(seed)
                for fit in FITS:
                    key = {"data": data, "fit": fit, "seed": seed, "steps": STEPS, "side": SIDE}
                    if not results.has(key):
                        found = {"shapes": len({image.size for _, _, image in pieces})}
                        results.add(key | found | _trained(_laid_out(pieces, seed, folder), fit, seed))
                    current += [row for row in results.rows if key.items() <= row.items()]
    yield from report(current)


def _laid_out(pieces: Sequence[Piece], seed: int, folder: Path) -> Path:
    """Write pieces into class folders, a fifth of the pictures, another by seed, under val/."""
    for number, (picture, label, image) in enumerate(pieces):
        place = folder / "images" / ("val" if picture % FOLDS == seed % FOLDS else "train") / label
        place.mkdir(parents=True, exist_ok=True)
        if not (file := place / f"{number:05}.png").exists():
            image.save(file)
    return folder / "images"


def _trained(images: Path, fit: Fit, seed: int) -> dict[str, Any]:
    """Return the accuracies of a network that was trained on images brought to one size by a fit."""
    cache = images.parent / "data"
    own = Size(*open_data(str(images), cache).input[:2])
    size = own.with_shorter_side(min(*own, SIDE))
    dataset = open_data(str(images), cache, image_size=size, fit=fit)
    parts, file = split(dataset, seed), images.parent / f"{fit}.split.npz"
    parts.save(file)
    space = SearchSpace(load("classic"), dataset.input, len(dataset.classes))
    ground = Ground(images.parent.parent.name, dataset, file, space, len(parts.train))
    candidate = ground.candidate(ENTRY, augmentation=Augmentation(horizontal_flip=True))
    epochs = math.ceil(STEPS / math.ceil(ground.images / candidate.recipe.batch_size))
    outcome = ground.train(candidate, seed, epochs=epochs)
    return {
        "val_accuracy": outcome.val_accuracy[-1],
        "validated": len(parts.val),
        "images": ground.images,
        "size": str(size),
        "epochs": outcome.epochs,
    }


# ---------------------------------------------------------------------- the images


def _ants_bees(shared: Path) -> Iterator[Piece]:
    """Yield the photographs of train/; val/ tests, elsewhere."""
    for label in ("ants", "bees"):
        for number, path in enumerate(sorted((shared / "ants_bees" / "train" / label).glob("*.jpg"))):
            yield number, label, Image.open(path).convert("RGB")


def _raccoons(shared: Path) -> Iterator[Piece]:
    """Yield raccoons in their boxes, and of the same photographs pieces of the same shapes without any."""
    random = np.random.default_rng(0)
    for number, path in enumerate(sorted((shared / "raccoon" / "images").iterdir())):
        picture = Image.open(path).convert("RGB")
        found = [box for _, box in _large(shared / "raccoon" / "annotations" / f"{path.stem}.xml")]
        for box in found:
            yield number, "raccoon", picture.crop(box)
            if (other := _beside(found, box, picture.size, random)) is not None:
                yield number, "other", picture.crop(other)


def _beside(others: Sequence[Box], box: Box, size: tuple[int, int], random: np.random.Generator) -> Box | None:
    """Return a box of the shape of `box`, or smaller, that meets none of the others; None if none was found."""
    for attempt in range(400):
        scale = 1 - attempt / 500
        width, height = (max(LEAST, round(scale * (box[i + 2] - box[i]))) for i in (0, 1))
        if width > size[0] or height > size[1]:
            continue
        left, top = int(random.integers(size[0] - width + 1)), int(random.integers(size[1] - height + 1))
        found = left, top, left + width, top + height
        if all(found[2] <= b[0] or b[2] <= found[0] or found[3] <= b[1] or b[3] <= found[1] for b in others):
            return found
    return None


def _cells(shared: Path) -> Iterator[Piece]:
    """Yield the cells of the blood smears of BCCD's training split: red, white, platelets."""
    counts: dict[str, int] = {}
    stems = (shared / "bccd" / "splits" / "train.txt").read_text(encoding="utf-8").split()
    for number, stem in enumerate(Path(stem).stem for stem in stems):
        picture = Image.open(shared / "bccd" / "images" / f"{stem}.jpg").convert("RGB")
        for name, box in _large(shared / "bccd" / "annotations" / f"{stem}.xml"):
            if counts.get(name, 0) < MOST:
                counts[name] = counts.get(name, 0) + 1
                yield number, name, picture.crop(box)


def _large(annotation: Path) -> Iterator[tuple[str, Box]]:
    """Yield the classes and boxes of an annotation, without those in which little is to be seen."""
    return ((name, box) for name, box in boxes(annotation) if min(box[2] - box[0], box[3] - box[1]) >= LEAST)


def _streets(shared: Path) -> Iterator[Piece]:
    """Yield what is seen in CamVid's training scenes, piece by piece, from poles to cars."""
    counts: dict[int, int] = {}
    for number, path in enumerate(sorted((shared / "camvid" / "train" / "images").glob("*.jpg"))):
        picture = Image.open(path).convert("RGB")
        mask = np.asarray(Image.open(shared / "camvid" / "train" / "masks" / f"{path.stem}.png"))
        for label in np.unique(mask[mask != VOID]).tolist():
            regions, _ = ndimage.label(mask == label)
            for region, (rows, columns) in enumerate(ndimage.find_objects(regions), 1):
                height, width = rows.stop - rows.start, columns.stop - columns.start
                if min(height, width) < LEAST or (regions[rows, columns] == region).sum() < AREA:
                    continue
                if counts.get(label, 0) < MOST:
                    counts[label] = counts.get(label, 0) + 1
                    yield number, f"{label:02}", picture.crop((columns.start, rows.start, columns.stop, rows.stop))


READERS: dict[str, Callable[[Path], Iterator[Piece]]] = {
    "ants_bees": _ants_bees,
    "raccoon": _raccoons,
    "bccd": _cells,
    "camvid": _streets,
}


# ---------------------------------------------------------------------- results


def report(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield each data set's accuracies by fit, then each fit's mean, and its lead over stretching with its noise."""
    by = {(row["data"], row["seed"], row["fit"]): row for row in rows}
    for data in dict.fromkeys(row["data"] for row in rows):
        found = [row for row in rows if row["data"] == data]
        each = {fit: [row["val_accuracy"] for row in found if row["fit"] == fit] for fit in FITS}
        told = "; ".join(f"{fit} {statistics.fmean(values):.1%} ({_each(values)})" for fit, values in each.items())
        what = "{data}, {images} images of {shapes} sizes at {size}, {epochs} epochs".format_map(found[0])
        yield what, told, ""
    for fit in FITS[1:]:
        pairs = [(row, by[data, seed, FITS[0]]) for (data, seed, chosen), row in by.items() if chosen == fit]
        leads = [100 * (row["val_accuracy"] - stretched["val_accuracy"]) for row, stretched in pairs]
        noise = 2 * statistics.stdev(leads) / math.sqrt(len(leads)) if len(leads) > 1 else math.nan
        yield f"{fit} against {FITS[0]}, all data sets", f"{statistics.fmean(leads):+.2f} points, noise {noise:.2f}", ""


def _each(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1%}" for value in values)
