#!/usr/bin/env python3
"""Name the class of images with the model beside this file: python predict.py IMAGE...

Needs Keras 3 with its backend, NumPy and Pillow; nothing of Convsearch.
"""

import errno
import json
import os
import stat
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

HERE = Path(__file__).resolve().parent
# No other format: for some, such as EPS, Pillow starts external programs. Before 11.2, Pillow did not have AVIF.
Image.init()
FORMATS = tuple(
    name
    for name in ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000")
    if name in Image.OPEN
)
MAX_PIXELS = 50_000_000
AT_ONCE = 8  # images in memory, and in the network: more make it no faster where they are large
DIM = 2**14  # a quarter of white in 16 bits; the brightest of the training images reached it, if they had 16
# Errors of reading that say something of the file; None has Pillow's own. All others are failures of the machine.
OF_THE_FILE = (
    None,
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
)


class BadFileError(Exception):
    """A file that cannot be used, and why."""


def read(
    path: str | Path,
    height: int,
    width: int,
    depth: int,
    fit: str = "stretch",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return an image file in the model's input format: (height, width, depth), whole numbers from 0 to 255.

    It is brought to `size` first, (height, width), as the images were before the network had a size of its own.
    """
    first = size or (height, width)
    with opened(path) as file:
        file.draft(None, (2 * max(first), 2 * max(first)))  # decode a large JPEG at reduced size
        image = ImageOps.exif_transpose(file)
        if image.mode == "F":
            raise BadFileError("floating-point pixels; save it with 8 or 16 bits a pixel")
        if holds_wide(image):
            values = np.asarray(image).astype(np.int32)
            low, high = int(values.min()), int(values.max())
            if low < 0 or high > 65535:
                raise BadFileError(f"32-bit pixels from {low} to {high}; save it with 8 or 16 bits a pixel")
            image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        if image.has_transparency_data:  # transparent pixels become white
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if depth == 1 else "RGB")
        image = brought_to(brought_to(image, *first, fit), height, width, fit)
        return np.array(image, dtype=np.uint8).reshape(height, width, depth)


def brought_to(image: Image.Image, height: int, width: int, fit: str) -> Image.Image:
    """Return an image at a size: stretched to it, its middle alone, or padded with grey."""
    size = (width, height)
    if image.size == size:
        return image
    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    if fit == "pad":
        return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=128 if image.mode == "L" else (128,) * 3)
    return image.resize(size, Image.Resampling.LANCZOS)


def holds_wide(image: Image.Image) -> bool:
    """Whether Pillow holds 16 bits a pixel, as it does where they are grey."""
    return image.mode == "I" or image.mode.startswith("I;16")


def is_dim(path: str | Path) -> bool:
    """Whether an image file has 16 bits, but no pixel of a quarter of white: they may be values of fewer bits."""
    with opened(path) as image:
        if holds_wide(image):
            return int(np.asarray(image).max()) < DIM
        # Of 16-bit colours Pillow keeps the upper eight bits.
        if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
            return int(np.asarray(image.convert("RGB")).max()) < DIM // 256
        return False


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image by its header; whatever is wrong with it, then or while it is decoded, becomes BadFileError.

    A failure of the machine is none of the image's, and stays the MemoryError or OSError that it is.
    """
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadFileError("not a file")
        if status.st_size == 0:
            raise BadFileError("empty file")
        # Not by its path: Pillow 13.0 would map an uncompressed TIFF into memory and apply its orientation twice.
        with Path(path).open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadFileError(f"{image.height}x{image.width} pixels; the limit is {MAX_PIXELS // 10**6} million")
            yield image
    except BadFileError as error:
        raise BadFileError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise BadFileError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise BadFileError(f"{path}: damaged, or not an image in a supported format") from None
    except Image.DecompressionBombError:
        raise BadFileError(f"{path}: far too many pixels; the limit is {MAX_PIXELS // 10**6} million") from None
    except MemoryError:
        raise
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        if isinstance(error, OSError) and error.errno not in OF_THE_FILE:
            raise
        raise BadFileError(f"{path}: damaged: {error or type(error).__name__}") from error


def predict(paths: list[str]) -> list[tuple[str, float]]:
    """Return the label of each image with the model's confidence, from 0 to 1.

    Raises BadFileError for a bad file, and ImportError where Keras or its backend is not installed.
    """
    dim = [path for path in paths if is_dim(path)]
    if dim:
        more = f" and {len(dim) - 1:,} more" if dim[1:] else ""
        note = (
            f"{dim[0]}{more}: 16 bits, but no pixel of a quarter of white (65,535). Unless it is that dark, save 8-bit "
            "values with 8 bits, and multiply those of 10 or 12 bits"
        )
        print(f"note: {one_line(note)}", file=sys.stderr)
    keras = imported_keras()  # takes seconds: not before all files are known to be images
    model = keras.saving.load_model(HERE / "model.keras", safe_mode=True)
    labels = (HERE / "labels.txt").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    if len(labels) != model.output_shape[-1]:
        raise BadFileError(f"labels.txt: {len(labels)} labels, but the model has {model.output_shape[-1]} outputs")
    how = preprocessing()
    found = []
    for first in range(0, len(paths), AT_ONCE):
        images = np.stack([read(path, *model.input_shape[1:], **how) for path in paths[first : first + AT_ONCE]])
        found += [(labels[row.argmax()], float(row.max())) for row in model.predict(images, verbose=0)]
    return found


def imported_keras() -> Any:
    """Import Keras, or raise an ImportError that says which of its backends are installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
    except (ImportError, ValueError) as error:  # the latter of a backend that Keras does not know
        named = os.environ.get("KERAS_BACKEND")
        chosen = f"KERAS_BACKEND={named}: " if named else ""
        there = [name for name in ("tensorflow", "jax", "torch") if find_spec(name) is not None]
        remedy = f"set KERAS_BACKEND={there[0]}" if there else "pip install keras tensorflow"
        installed = ", ".join(there) or "no backend"
        raise ImportError(f"{chosen}Keras cannot start: {error} (installed: {installed}); {remedy}") from error
    return keras


def preprocessing() -> dict[str, Any]:
    """Return what preprocessing.json says: how images were brought to the model's input."""
    try:
        found = json.loads((HERE / "preprocessing.json").read_bytes())
        return {"size": tuple(map(int, found["size"])), "fit": str(found["fit"])}
    except FileNotFoundError:
        raise BadFileError("preprocessing.json: no such file; it lies beside predict.py in the bundle") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadFileError(f"preprocessing.json: damaged: {error}") from None


def one_line(text: str) -> str:
    """Return text with what breaks or turns a line, or what this terminal cannot print, written as its escape.

    A line of labels.txt stays as it is; what stands there as an escape does so here, too.
    """
    shown = "".join(escaped(char) if is_unprintable(char) else char for char in text)
    return shown.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)


def is_unprintable(char: str) -> bool:
    """Whether a character is for control or format, or is none; joiners belong to scripts and emoji."""
    is_none = ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF
    return is_none or (unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\u200c\u200d")


def escaped(char: str) -> str:
    """Return the escape of a character; a byte that is not UTF-8 reached Python as one of U+DC80 to U+DCFF."""
    is_byte = 0xDC80 <= ord(char) <= 0xDCFF
    return f"\\x{ord(char) - 0xDC00:02x}" if is_byte else char.encode("unicode_escape", "surrogatepass").decode()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")  # of Pillow, about files that are read or refused below
    try:
        found = predict(sys.argv[1:])
    except (BadFileError, ImportError) as error:
        sys.exit(f"predict.py: {one_line(str(error))}")
    except OSError as error:
        sys.exit(f"predict.py: {one_line(f'{error.filename or HERE}: {error.strerror or error}')}")
    except MemoryError:
        sys.exit("predict.py: this machine has too little memory for these images and the model")
    for name, (label, confidence) in zip(sys.argv[1:], found, strict=True):
        print(f"{one_line(name)}\t{one_line(label)}\t{confidence:.1%}")
