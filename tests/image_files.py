"""Image files of every kind that people have: good ones, and ones that nobody should guess the content of."""

import os
import resource
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

Save = Callable[[Path], Path]
"""Writes the file into a folder, and returns its path."""


def noise(height: int, width: int, channels: int = 3, top: int = 256, dtype: str = "uint8") -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    # Large blocks, so that scaling has something to scale, and single pixels.
    random = np.random.default_rng([height, width, channels])
    blocks = random.integers(0, top, (height // 4 + 1, width // 4 + 1, *shape[2:]))
    large = blocks.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    return ((large + random.integers(0, top, shape)) // 2).astype(dtype)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def grey(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1)).save(path / "grey.png")
    return path / "grey.png"


def colour(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).save(path / "colour.png")
    return path / "colour.png"


def transparent(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 4)).save(path / "transparent.png")
    return path / "transparent.png"


def grey_and_transparent(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 2)).save(path / "la.png")
    return path / "la.png"


def palette(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).quantize(16).save(path / "palette.png")
    return path / "palette.png"


def palette_with_a_transparent_colour(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).quantize(16).save(path / "palette.gif", transparency=3)
    return path / "palette.gif"


def one_bit(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1)).convert("1").save(path / "bit.png")
    return path / "bit.png"


def sixteen_bits(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 65536, "uint16")).save(path / "16.png")
    return path / "16.png"


def sixteen_bits_in_a_tiff(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 65536, "uint16")).save(path / "16.tif")
    return path / "16.tif"


def cmyk(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).convert("CMYK").save(path / "cmyk.jpg", quality=95)
    return path / "cmyk.jpg"


def turned_jpeg(path: Path) -> Path:
    Image.fromarray(noise(20, 9)).save(path / "turned.jpg", exif=turned(6), quality=95)
    return path / "turned.jpg"


def turned_png(path: Path) -> Path:
    Image.fromarray(noise(20, 9)).save(path / "turned.png", exif=turned(3))
    return path / "turned.png"


def turned_tiff(path: Path) -> Path:
    Image.fromarray(noise(20, 9)).save(path / "turned.tif", exif=turned(8))
    return path / "turned.tif"


def turned_grey_tiff(path: Path) -> Path:
    Image.fromarray(noise(20, 9, 1)).save(path / "grey.tif", exif=turned(6))
    return path / "grey.tif"


def odd_sizes(path: Path) -> Path:
    Image.fromarray(noise(37, 5)).save(path / "odd.png")
    return path / "odd.png"


def a_single_pixel(path: Path) -> Path:
    Image.fromarray(noise(1, 1)).save(path / "pixel.png")
    return path / "pixel.png"


def a_large_photograph(path: Path) -> Path:
    Image.fromarray(noise(480, 640)).save(path / "photo.jpg", quality=90)
    return path / "photo.jpg"


def an_animation(path: Path) -> Path:
    frames = [Image.fromarray(noise(12 + i, 12)).resize((12, 12)) for i in range(3)]
    frames[0].save(path / "moving.gif", save_all=True, append_images=frames[1:])
    return path / "moving.gif"


def misnamed(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).save(path / "really a.png", format="JPEG", quality=95)
    return path / "really a.png"


def more_formats(ending: str) -> Save:
    def save(path: Path) -> Path:
        Image.fromarray(noise(12, 12)).save(path / f"usual.{ending}")
        return path / f"usual.{ending}"

    save.__name__ = f"a_{ending}"
    return save


def turned_to(orientation: int) -> Save:
    def save(path: Path) -> Path:
        Image.fromarray(noise(20, 9)).save(path / "exif.jpg", exif=turned(orientation), quality=95)
        return path / "exif.jpg"

    save.__name__ = f"orientation_{orientation}"
    return save


def one_bit_tiff(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1)).convert("1").save(path / "bit.tif")
    return path / "bit.tif"


def sixteen_bits_and_transparent(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 65536, "uint16")).save(path / "16.png", transparency=7)
    return path / "16.png"


def palette_with_partial_transparency(path: Path) -> Path:
    image = Image.fromarray(noise(12, 12)).quantize(16)
    image.save(path / "partial.png", transparency=bytes(range(0, 256, 16)))
    return path / "partial.png"


def cmyk_tiff(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).convert("CMYK").save(path / "cmyk.tif")
    return path / "cmyk.tif"


def thirty_two_bits_within_sixteen(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 65536, "int32")).save(path / "32.tif")
    return path / "32.tif"


def animation_with_transparency(path: Path) -> Path:
    frames = [Image.fromarray(noise(12, 12)).quantize(8) for _ in range(2)]
    frames[0].save(path / "moving.gif", save_all=True, append_images=frames[1:], transparency=2)
    return path / "moving.gif"


def too_large_for_sixteen_bits(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 65536, "int32") + 65536).save(path / "32.tif")
    return path / "32.tif"


def below_zero(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 256, "int32") - 300).save(path / "32.tif")
    return path / "32.tif"


def floating_point(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1).astype(np.float32)).save(path / "float.tif")
    return path / "float.tif"


def postscript(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).save(path / "drawing.eps")
    return path / "drawing.eps"


def postscript_called_png(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).save(path / "drawing.png", format="EPS")
    return path / "drawing.png"


def another_format(path: Path) -> Path:
    Image.fromarray(noise(12, 12)).save(path / "icon.tga")
    return path / "icon.tga"


def png_of(path: Path, height: int, width: int, bits: int, colours: int, rows: bytes, interlaced: int = 0) -> Path:
    """Write a PNG with such a header; `colours` is 0 for grey, 2 for colours, each row begins with a zero."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def png_that_says(path: Path, height: int, width: int) -> Path:
    """Write a PNG of a few bytes whose header says that it is so large."""
    return png_of(path, height, width, 8, 0, b"\0")


def png_of_wide_colours(path: Path, pixels: np.ndarray) -> Path:
    """Write 16-bit colours (height, width, 3) as a PNG, which Pillow only reads."""
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(">u2"))
    return png_of(path, pixels.shape[0], pixels.shape[1], 16, 2, rows)


def sixteen_bits_of_colour(path: Path) -> Path:
    return png_of_wide_colours(path / "48.png", noise(12, 12, 3, 65536, "uint16"))


def eight_bits_in_sixteen(path: Path) -> Path:
    Image.fromarray(noise(12, 12, 1, 256, "uint16")).save(path / "8 in 16.png")
    return path / "8 in 16.png"


def twelve_bits_in_sixteen_of_colour(path: Path) -> Path:
    return png_of_wide_colours(path / "12 in 48.png", noise(12, 12, 3, 4096, "uint16"))


def too_many_pixels(path: Path) -> Path:
    return png_that_says(path / "large.png", 8000, 8001)


def a_decompression_bomb(path: Path) -> Path:
    return png_that_says(path / "bomb.png", 100_000, 100_000)


def empty(path: Path) -> Path:
    (path / "empty.png").touch()
    return path / "empty.png"


def truncated(ending: str) -> Save:
    def save(path: Path) -> Path:
        file = path / f"half.{ending}"
        Image.fromarray(noise(64, 64)).save(file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return file

    save.__name__ = f"half_a_{ending}"
    return save


def cut(path: Path, share: float = 0.5) -> Path:
    """Leave the first half of a file, or another share."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def written(*files: Path) -> list[tuple[int, int]]:
    """Return what changes when files are written, or replaced by others; not when they were last read."""
    return [(file.stat().st_ino, file.stat().st_mtime_ns) for file in files]


def interlaced_png(path: Path, pixels: np.ndarray) -> Path:
    """Write a PNG of colours (height, width, 3) in seven passes, each finer than those before, which Pillow only reads.

    The first has each eighth pixel of each eighth row, the last all of each second row.
    """
    steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    passes = [pixels[y::down, x::across] for y, x, down, across in steps]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.shape[1] for row in part)
    return png_of(path, *pixels.shape[:2], 8, 2, rows, interlaced=1)


def without_its_end(ending: str, share: float = 0.96, mode: str = "RGB", **options: Any) -> Save:
    """Save a photograph's worth of noise, and leave so much of the file that viewers show nearly all of it."""

    def save(path: Path) -> Path:
        file = path / f"most.{ending}"
        Image.fromarray(noise(96, 80)).convert(mode).save(file, **options)
        return cut(file, share)

    save.__name__ = "_".join(["most_of_a", mode, ending, *options])
    return save


def most_of_an_interlaced_png(path: Path) -> Path:
    return cut(interlaced_png(path / "passes.png", noise(96, 80)), 0.96)


def most_of_a_turned_jpeg(path: Path) -> Path:
    Image.fromarray(noise(96, 80)).save(path / "turned.jpg", exif=turned(6))
    return cut(path / "turned.jpg", 0.96)


def most_of_a_wide_png(path: Path) -> Path:
    Image.fromarray(noise(96, 80, 1, 65536, "uint16")).save(path / "16.png")
    return cut(path / "16.png", 0.96)


def text(path: Path) -> Path:
    (path / "notes.txt").write_text("I am no image", encoding="utf-8")
    return path / "notes.txt"


def directory(path: Path) -> Path:
    (path / "folder.png").mkdir()
    return path / "folder.png"


def a_pipe(path: Path) -> Path:
    os.mkfifo(path / "pipe.png")
    return path / "pipe.png"


def missing(path: Path) -> Path:
    return path / "missing.png"


ENDINGS = ("png", "jpg", "bmp", "dib", "gif", "tif", "webp", "avif", "ppm", "jp2")
GOOD: list[Save] = [
    grey,
    colour,
    transparent,
    grey_and_transparent,
    palette,
    palette_with_a_transparent_colour,
    one_bit,
    sixteen_bits,
    sixteen_bits_in_a_tiff,
    sixteen_bits_of_colour,
    eight_bits_in_sixteen,
    twelve_bits_in_sixteen_of_colour,
    cmyk,
    turned_jpeg,
    turned_png,
    turned_tiff,
    turned_grey_tiff,
    odd_sizes,
    a_single_pixel,
    a_large_photograph,
    an_animation,
    misnamed,
    one_bit_tiff,
    sixteen_bits_and_transparent,
    palette_with_partial_transparency,
    cmyk_tiff,
    thirty_two_bits_within_sixteen,
    animation_with_transparency,
    *map(more_formats, ENDINGS),
    *map(turned_to, range(1, 9)),
    without_its_end("jpg"),
    without_its_end("jpg", progressive=True),
    without_its_end("jpg", restart_marker_blocks=3),
    without_its_end("jpg", mode="L"),
    without_its_end("jpg", mode="CMYK"),
    without_its_end("png"),
    without_its_end("png", mode="RGBA"),
    without_its_end("png", mode="P"),
    most_of_an_interlaced_png,
    most_of_a_turned_jpeg,
    most_of_a_wide_png,
]
"""Files that are read."""

BAD: list[Save] = [
    too_large_for_sixteen_bits,
    below_zero,
    floating_point,
    postscript,
    postscript_called_png,
    another_format,
    too_many_pixels,
    a_decompression_bomb,
    empty,
    *map(truncated, ("png", "jpg", "gif", "tif", "webp", "bmp")),
    text,
    directory,
    a_pipe,
    missing,
]
"""Files that are refused."""


@contextmanager
def too_many_open_files(left: int = 0) -> Iterator[None]:
    """Let this process open only so many files more at a time while the block runs."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1 + left)]  # always the lowest numbers that are free
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (opened[-1] + 1, limit[1]))
        while len(opened) > 1:
            os.close(opened.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        os.close(opened[0])


def large(path: Path) -> Path:
    return png_that_says(path / "large.png", 7000, 7000)
