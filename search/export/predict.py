#!/usr/bin/env python3
"""Name the class of images with the model beside this file: python predict.py IMAGE...

Needs Keras 3 with its backend, NumPy and Pillow; nothing of Convsearch.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent


def read(path: str | Path, height: int, width: int, depth: int) -> np.ndarray:
    """Return an image file in the model's input format: (height, width, depth), whole numbers from 0 to 255."""
    # Not by its path: Pillow 13.0 would map an uncompressed TIFF into memory and apply its orientation twice.
    with Path(path).open("rb") as stream, Image.open(stream) as file:
        file.draft(None, (2 * max(height, width), 2 * max(height, width)))  # decode a large JPEG at reduced size
        image = ImageOps.exif_transpose(file)
        if image.mode == "I" or image.mode.startswith("I;16"):  # 16 bits per pixel
            values = np.asarray(image).astype(np.int64)
            image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        if image.has_transparency_data:  # transparent pixels become white
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if depth == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(image, dtype=np.uint8).reshape(height, width, depth)


def predict(paths: list[str]) -> list[tuple[str, float]]:
    """Return the label of each image with the model's confidence, from 0 to 1."""
    model = keras.saving.load_model(HERE / "model.keras", safe_mode=True)
    labels = (HERE / "labels.txt").read_text(encoding="utf-8").splitlines()
    images = np.stack([read(path, *model.input_shape[1:]) for path in paths])
    shares = model.predict(images, verbose=0)
    return [(labels[row.argmax()], float(row.max())) for row in shares]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for name, (label, confidence) in zip(sys.argv[1:], predict(sys.argv[1:]), strict=True):
        print(f"{name}\t{label}\t{confidence:.1%}")
