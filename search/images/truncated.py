"""JPEG and PNG files that lack their end, made whole with what viewers show there, if enough of the image is there.

Enough is nine tenths:

- of the rows, where the file holds them one after the other. In a JPEG they come in blocks of 8 or 16, and a row of
  blocks that is there in part counts in part;
- of the bytes, where it holds the whole image several times, finer each time: a progressive JPEG, an interlaced PNG.
  A PNG says how many bytes its pixels have. A JPEG does not: its last scan must have begun, and is taken to go on as
  densely as it has begun.

What is missing is grey in a JPEG (in a progressive one coarser), black or transparent in a PNG. A file that is damaged
otherwise, such as one with a wrong checksum, does not lack its end. Pillow's own switch for such files is one for the
whole process, and reads whatever is there, however little. The bundle's predict.py does the same.
"""

import hashlib
import re
import struct
import zlib
from io import SEEK_END, BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

ENOUGH = 0.9
"""The share of an image that must be there."""

_END = b"\xff\xd9"  # what a JPEG ends with; libjpeg then takes all that is missing for grey
_NOISE = hashlib.shake_256(b"noise").digest(4096).replace(b"\xff", b"\0")  # without the byte that markers begin with
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel's, by the colour type of a PNG


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_LAST_CHUNK = _chunk(b"IEND", b"")


def completed(content: bytes, format: str | None) -> bytes | None:
    """Return a file of one of Pillow's formats that lacks its end as a whole one.

    None where less than nine tenths of the image are there, or it is another format, or damaged in another way. What
    is returned may still be damaged: Pillow decides.
    """
    try:
        if format in ("JPEG", "MPO"):
            content = content.rstrip(b"\xff")  # the first half of a marker
            return content + _END if _share_of_jpeg(content) >= ENOUGH else None
        return _completed_png(content) if format == "PNG" else None
    except MemoryError:
        raise
    except Exception:  # where the content is not as it should be, almost anything is raised
        return None


def has_end(path: Path) -> bool:
    """Whether a PNG file has the chunk that ends it."""
    with path.open("rb") as stream:
        stream.seek(-len(_LAST_CHUNK), SEEK_END)
        return stream.read() == _LAST_CHUNK or _LAST_CHUNK in path.read_bytes()


def _share_of_jpeg(content: bytes) -> float:
    """Return how much of a JPEG is there, from 0 to 1."""
    scans = _scans(content)
    if not scans:
        return 0.0
    rows = _rows_there(content, scans)
    if len(scans) == 1 or not rows:
        return rows
    return len(content) / (scans[-1] + (len(content) - scans[-1]) / rows)


def _scans(content: bytes) -> list[int]:
    """Return where each scan begins; nothing where the last one of those that the image needs has not begun."""
    start = 2
    while content[start + 1 : start + 2] != b"\xda":  # over the segments, which may hold a thumbnail
        if content[start : start + 1] != b"\xff":
            return []
        filled = content[start + 1] == 0xFF
        start += 1 if filled else 2 + int.from_bytes(content[start + 2 : start + 4])
    scans = [start + found.start() for found in re.finditer(rb"\xff\xda", content[start:])]
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        needed = 64 * len(image.getbands())
    exact = set()  # the coefficients of each component that have all their bits
    for scan in scans:
        count = content[scan + 4]
        components = content[scan + 5 : scan + 5 + 2 * count : 2]
        first, last, bits = content[scan + 5 + 2 * count : scan + 8 + 2 * count]
        if bits & 15 == 0:
            exact |= {(component, number) for component in components for number in range(first, last + 1)}
    return scans if len(exact) == needed else []


def _rows_there(content: bytes, scans: list[int]) -> float:
    """Return the share of the rows that are there in the last scan: they do not depend on what comes after it."""
    restarts = len(re.findall(rb"\xff[\xd0-\xd7]", content[scans[-1] :]))
    noise = _NOISE + b"".join(bytes([0xFF, 0xD0 + (restarts + i) % 8]) + _NOISE for i in range(8))
    grey = len(scans) == 1  # colours may have fewer rows, between which libjpeg interpolates
    one, other = (_decoded(content + end, grey) for end in (_END, noise + _END))
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        assert isinstance(image, JpegImageFile)
        block = 8 * max(layer[2] for layer in image.layer)
    changed = (one != other).any(axis=2)
    height, width = changed.shape
    if not changed.any():
        return 1.0
    first = int(changed.any(axis=1).argmax())
    block = min(block, height - first)
    left = int(changed[first : first + block].any(axis=0).argmax())
    return float((first + block * left / width) / height)


def _decoded(content: bytes, grey: bool) -> NDArray[np.uint8]:
    """Return the pixels (height, width, colours) of a JPEG."""
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        if grey:
            image.draft("L", None)
        return np.atleast_3d(np.asarray(image))


def _completed_png(content: bytes) -> bytes | None:
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
    lines = _lines_of_png(header)
    total, ends = sum(lines), np.cumsum(lines)
    pixels = zlib.decompressobj().decompress(packed, total)
    whole = int(np.searchsorted(ends, len(pixels), side="right"))
    is_interlaced = header[28] != 0
    if (len(pixels) / total if is_interlaced else whole / len(lines)) < ENOUGH:
        return None
    there = int(ends[whole - 1])  # zeros: no filter, and black or transparent
    return header + _chunk(b"IDAT", zlib.compress(pixels[:there] + bytes(total - there), 1)) + _LAST_CHUNK


def _lines_of_png(header: bytes) -> list[int]:
    """Return how many bytes each line of pixels has, with the one for its filter, in the order of the file."""
    width, height, bits, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", header, 16)
    lines: list[int] = []
    for x, y, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((x - width) // across), -((y - height) // down)
        if columns > 0:
            lines += [1 + (columns * _SAMPLES[colours] * bits + 7) // 8] * rows
    return lines
