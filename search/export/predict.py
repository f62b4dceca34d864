#!/usr/bin/env python3
"""Name the class of images with the model beside this file: python predict.py IMAGE...

Needs Keras 3 with its backend, NumPy and Pillow; nothing of Convsearch.
"""

import errno
import hashlib
import json
import os
import re
import stat
import struct
import sys
import unicodedata
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
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

# How much must be there of an image whose file lacks its end, and what shows how much that is.
ENOUGH = 0.9
JPEG_END = b"\xff\xd9"
NOISE = hashlib.shake_256(b"noise").digest(4096).replace(b"\xff", b"\0")  # without the byte that markers begin with
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel's, by the colour type of a PNG


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
        image = ImageOps.exif_transpose(loaded(file, path, 2 * max(first)))
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
    with opened(path) as file:
        # Of 16-bit colours Pillow keeps the upper eight bits.
        colours = any(";16" in str(tile[3]) for tile in getattr(file, "tile", ()))
        if not colours and not holds_wide(file):
            return False
        image = loaded(file, path)
        if holds_wide(image):
            return int(np.asarray(image).max()) < DIM
        return int(np.asarray(image.convert("RGB")).max()) < DIM // 256


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


def loaded(image: Image.Image, path: str | Path, draft: int = 0) -> Image.Image:
    """Return an open image with its pixels: of a JPEG or PNG that lacks its end, what is there, as viewers show it.

    With `draft`, a large JPEG is decoded at reduced size, of which no side is shorter than that.
    """
    if draft:
        image.draft(None, (draft, draft))
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in OF_THE_FILE:
            raise
        content = completed(Path(path).read_bytes(), image.format)
        if content is None:
            raise
        image = Image.open(BytesIO(content), formats=FORMATS)
        if draft:
            image.draft(None, (draft, draft))
        image.load()
    return image


def completed(content: bytes, kind: str | None) -> bytes | None:
    """Return a JPEG or PNG that lacks its end as a whole one, or None if less than nine tenths of it are there.

    They are counted in rows; in the bytes of a progressive JPEG or an interlaced PNG. A file that is damaged otherwise
    is none that lacks its end.
    """
    try:
        if kind in ("JPEG", "MPO"):
            content = content.rstrip(b"\xff")  # the first half of a marker
            return content + JPEG_END if share_of_jpeg(content) >= ENOUGH else None
        return completed_png(content) if kind == "PNG" else None
    except MemoryError:
        raise
    except Exception:  # where the content is not as it should be, almost anything is raised
        return None


def share_of_jpeg(content: bytes) -> float:
    """Return how much of a JPEG is there: of its rows, or, where it has several scans, of its bytes.

    The last scan must have begun, and is taken to go on as densely as it has begun.
    """
    start = 2
    while content[start + 1 : start + 2] != b"\xda":  # over the segments, which may hold a thumbnail
        if content[start : start + 1] != b"\xff":
            return 0.0
        start += 1 if content[start + 1] == 0xFF else 2 + int.from_bytes(content[start + 2 : start + 4])
    scans = [start + found.start() for found in re.finditer(rb"\xff\xda", content[start:])]
    exact = set()  # the coefficients of each component that have all their bits
    for scan in scans:
        count = content[scan + 4]
        components = content[scan + 5 : scan + 5 + 2 * count : 2]
        first, last, bits = content[scan + 5 + 2 * count : scan + 8 + 2 * count]
        if bits & 15 == 0:
            exact |= {(component, number) for component in components for number in range(first, last + 1)}
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        if len(exact) < 64 * len(image.getbands()):
            return 0.0
    rows = rows_of_jpeg(content, scans)
    if len(scans) == 1 or not rows:
        return rows
    return len(content) / (scans[-1] + (len(content) - scans[-1]) / rows)


def rows_of_jpeg(content: bytes, scans: list[int]) -> float:
    """Return the share of the rows that are there in the last scan: they do not depend on what comes after it."""
    restarts = len(re.findall(rb"\xff[\xd0-\xd7]", content[scans[-1] :]))
    noise = NOISE + b"".join(bytes([0xFF, 0xD0 + (restarts + i) % 8]) + NOISE for i in range(8))
    decoded = []
    for end in (JPEG_END, noise + JPEG_END):
        with Image.open(BytesIO(content + end), formats=["JPEG"]) as image:
            block = 8 * max(layer[2] for layer in image.layer)  # type: ignore[attr-defined]
            if len(scans) == 1:  # colours may have fewer rows, between which libjpeg interpolates
                image.draft("L", None)
            decoded.append(np.atleast_3d(np.asarray(image)))
    changed = (decoded[0] != decoded[1]).any(axis=2)
    if not changed.any():
        return 1.0
    height, width = changed.shape
    first = int(changed.any(axis=1).argmax())
    block = min(block, height - first)
    left = int(changed[first : first + block].any(axis=0).argmax())
    return float((first + block * left / width) / height)


def completed_png(content: bytes) -> bytes | None:
    """Return a PNG that lacks its end with zeros for what is missing, or None."""
    header, packed, at = content[:8], b"", 8
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        body, end = content[at + 8 : at + 8 + length], at + 12 + length
        if end <= len(content) and content[end - 4 : end] != struct.pack(">I", zlib.crc32(kind + body)):
            return None
        if kind == b"IDAT":
            packed += body
        elif not packed:
            header += content[at:end]
        at = end
    width, height, bits, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", header, 16)
    lines: list[int] = []  # the bytes of each line of pixels, with the one for its filter
    for x, y, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((x - width) // across), -((y - height) // down)
        if columns > 0:
            lines += [1 + (columns * SAMPLES[colours] * bits + 7) // 8] * rows
    total = sum(lines)
    pixels = zlib.decompressobj().decompress(packed, total)
    ends = np.cumsum(lines)
    whole = int(np.searchsorted(ends, len(pixels), side="right"))
    if (len(pixels) / total if interlaced else whole / len(lines)) < ENOUGH:
        return None
    there = int(ends[whole - 1])
    return header + chunk(b"IDAT", zlib.compress(pixels[:there] + bytes(total - there), 1)) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


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
