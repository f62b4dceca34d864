"""Near copies: how many are found, how many images are joined that only look alike, and what 60,000 images take.

Copies are made of the photographs of `ants_bees/`; alike are those of `sign_digits/`, hands on plain grounds. Both are
in the folder of public data, SHARED_DATA in the environment.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from convsearch.search.data.groups import united
from convsearch.search.images.likeness import near_copies

from .datasets import SHARED

MANY = 60_000
SIDE = 64  # pixels to which images are decoded here; at 32 and at 128 the figures are nearly the same

Edit = Callable[[Image.Image], Image.Image]


def measure() -> list[tuple[str, str, str]]:
    """Return all figures."""
    found = []
    photographs = _opened(SHARED / "ants_bees")
    for name, edit in EDITS.items():
        images = _arrays([*photographs, *map(edit, photographs)])
        numbers = united(len(images), near_copies(images, np.arange(len(images))))
        share = (numbers[: len(photographs)] == numbers[len(photographs) :]).mean()
        found.append((f"of {len(photographs):,} photographs, {name}: found", f"{share:.1%}", ""))
    hands = _arrays(_opened(SHARED / "sign_digits"))
    numbers = united(len(hands), near_copies(hands, np.arange(len(hands))))
    joined = (np.bincount(numbers)[numbers] > 1).mean()
    found.append((f"of {len(hands):,} photographs of hands: joined with another", f"{joined:.2%}", "under 1 %"))
    many = np.random.default_rng(0).integers(0, 256, (MANY, 32, 32, 1), dtype=np.uint8)
    wall, processor = time.perf_counter(), time.process_time()
    near_copies(many, np.arange(MANY))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    found.append((f"{MANY:,} images compared", f"{wall:.0f} s, {processor:.0f} s of processor time", ""))
    return found


def _saved_anew(image: Image.Image) -> Image.Image:
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=50)
    return Image.open(packed)


def _without(left: float, right: float) -> Edit:
    """Return what cuts off so much of the width and of the height, at the one side and at the other."""

    def edit(image: Image.Image) -> Image.Image:
        width, height = image.size
        right_end, lower_end = round((1 - right) * width), round((1 - right) * height)
        return image.crop((round(left * width), round(left * height), right_end, lower_end))

    return edit


EDITS: dict[str, Edit] = {
    "saved anew as JPEG at quality 50": _saved_anew,
    "at half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "cropped by 2 %, 1 % at each side": _without(0.01, 0.01),
    "cropped by 2 % at one side": _without(0.0, 0.02),
    "brighter by 10 %": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker by 10 %": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
}


def _opened(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.[jJ][pP][gG]"))]


def _arrays(images: list[Image.Image]) -> NDArray[np.uint8]:
    size = (SIDE, SIDE)
    return np.stack([np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS)) for image in images])
