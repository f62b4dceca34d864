"""Draws the pictures of docs/data.md: `python -m docs.photographs` writes them, out of a real photograph.

The photograph is scikit-learn's `china.jpg`, by danielbuechele, under CC BY 2.0. What it becomes at a size and by a fit
is what a search would train on: `search/images/decoding.py` makes it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image

from convsearch.search.images.decoding import resized
from convsearch.spaces.sizes import FITS

IMAGES = Path(__file__).parent / "images"
HEIGHT, GAP, LINE = 192, 24, 28  # pixels of a picture, between two, and of the text above
INK, PAPER = (40, 40, 40), (255, 255, 255)
SIZES = [(24, 36), (48, 72), (96, 144)]
SQUARE = (96, 96)

Pixels = NDArray[np.uint8]


def sizes() -> Image.Image:
    """Return the photograph as it is and at SIZES, each pixel enlarged to a square."""
    photograph = load_sample_image("china.jpg")
    made = [(f"{height}x{width}", resized(photograph, (height, width))) for height, width in SIZES]
    return _row([("a photograph of 427x640", photograph), *made])


def fits() -> Image.Image:
    """Return the photograph as it is, and brought to a square by each of the fits."""
    photograph = load_sample_image("china.jpg")
    made = [(f"{fit}, to 96x96", resized(photograph, SQUARE, fit)) for fit in FITS]
    return _row([("a photograph of 427x640", photograph), *made])


def _row(pictures: Sequence[tuple[str, Pixels]]) -> Image.Image:
    """Return pictures side by side, at one height, each below its name."""
    shown = [_enlarged(pixels) for _, pixels in pictures]
    width = sum(picture.width for picture in shown) + GAP * (len(shown) - 1)
    page, left = Image.new("RGB", (width, LINE + HEIGHT), PAPER), 0
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    for (name, _), picture in zip(pictures, shown, strict=True):
        draw.text((left, 0), name, INK, font)
        page.paste(picture, (left, LINE))
        left += picture.width + GAP
    return page


def _enlarged(pixels: Pixels) -> Image.Image:
    picture = Image.fromarray(pixels)
    width = round(picture.width * HEIGHT / picture.height)
    kind = Image.Resampling.NEAREST if picture.height <= HEIGHT else Image.Resampling.LANCZOS
    return picture.resize((width, HEIGHT), kind)


if __name__ == "__main__":
    for drawn in (sizes, fits):
        drawn().save(IMAGES / f"{drawn.__name__}.png", optimize=True)
