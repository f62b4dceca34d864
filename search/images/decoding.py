"""Decodes an image file into an array, in the same way for import and for prediction.

Whatever the file holds becomes whole numbers from 0 to 255 at the requested size and depth:

- turned upright as its EXIF orientation says; of several frames or pages, the first;
- 16 bits are scaled to 8 by 65535 / 255 = 257, one bit becomes 0 and 255, palettes and CMYK become RGB. Whether the
  16 bits of a file are used cannot be told from one image: a dark one looks the same. So all images of a source,
  and those of each of its parts, are judged together;
- transparent pixels are composited on white;
- of a JPEG or PNG that lacks its end, what is there (truncated.py);
- it is resized with an antialiasing filter (Lanczos), and brought to the shape that is asked for: `stretch` resizes
  each side by itself, so that the aspect ratio may change; `crop` keeps the largest part of that shape in the middle;
  `pad` keeps the whole image, with grey on two of its sides.
"""

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ...spaces.errors import InputError
from ...spaces.sizes import Fit
from .reading import is_of_the_machine
from .threads import Memory
from .truncated import completed, has_end

_ENDINGS = ".png .jpg .jpeg .jpe .jfif .bmp .dib .gif .tif .tiff .webp .avif .ppm .pgm .pbm .pnm .jp2 .j2k"
SUFFIXES = frozenset(_ENDINGS.split())
"""The extensions, in lower case, of the files that count as images."""

# Only these decoders may read a user's files: some of Pillow's others run external programs, such as Ghostscript
# for EPS. The content decides, not the name: a JPEG called .png is read. Before 11.2, Pillow did not have AVIF.
Image.init()  # loads them all: here, and not while many threads read, or when no file can be opened any more
_FORMATS = tuple(
    name
    for name in ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000")
    if name in Image.OPEN
)

MAX_PIXELS = 50_000_000
"""A larger image is treated as a decompression bomb or a mistake, and not decoded."""

_MEMORY = Memory(2**30)  # of this process, for the images that its threads decode, before they are resized

PADDING = 128
"""The grey beside an image that is padded."""

DIM = 2**14
"""Where no 16-bit pixel of a source reaches this, a quarter of white, they are values of fewer bits."""

_GREY_MODES = ("1", "L", "LA", "La", "I", "F")
_QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class BadImageError(InputError):
    """An image that cannot be used; `reason` says why, without the file's name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


class Header(NamedTuple):
    """What an image's header tells before it is decoded: its upright size in pixels, and whether it is grey.

    `wide` is whether a pixel, or each of its colours, has 16 bits.
    """

    height: int
    width: int
    grey: bool
    wide: bool


class Decoded(NamedTuple):
    """An image as an array (height, width, depth), 0 to 255, and whether its file lacks its end.

    `problem` is why Pillow alone does not read it; empty where it does, as it does a PNG that lacks no pixel.
    """

    pixels: NDArray[np.uint8]
    truncated: bool
    problem: str


def read_header(path: Path) -> Header:
    """Return the header of an image file without decoding it, or raise BadImageError."""
    with _problems_of(str(path)), _open(path) as image:
        width, height = image.size
        # Pillow gives the size of a TIFF upright already, and would decode a PNG to look for EXIF at its end.
        may_have_exif = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        if may_have_exif and image.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS:
            width, height = height, width
        return Header(height, width, _is_grey(image), _is_wide(image))


def brightest(path: Path) -> int:
    """Return the brightest value in an image file of 16 bits, of which white is 65535; or raise BadImageError.

    Of colours Pillow keeps the upper eight bits: then it is the most that the value can be.
    """
    with (
        _problems_of(str(path)),
        _open(path) as opened,
        _MEMORY.taken(16 * opened.width * opened.height),
    ):
        image, _ = _loaded(opened, path)
        if _holds_wide(image):
            return int(np.asarray(image).max())
        return int(np.asarray(image.convert("RGB")).max()) * 256 + 255


def unlike_16_bits(top: int) -> str:
    """Return what is wrong where the brightest 16-bit pixel, `top`, is below DIM, and what would be right."""
    mend = "Save them with 8 bits" if top <= 255 else "Multiply them, values of 10 bits by 64, of 12 bits by 16"
    return (
        f"no 16-bit pixel is brighter than {top:,}, where white is 65,535. {mend}; and the images to be predicted "
        "likewise."
    )


def unlike_other_16_bits(dim: str, top: int, bright: str, most: int) -> str:
    """Return what is wrong where the 16-bit pixels of `dim` end at `top`, at most 255, and those of `bright` do not.

    `most` is a value that those of `bright` reach.
    """
    return (
        f"no 16-bit pixel of {dim} is brighter than {top:,}, those of {bright} reach {most:,}, where white is 65,535. "
        "Multiply the former by 257, or save them with 8 bits."
    )


def decode(source: Path | Image.Image, size: tuple[int, int], depth: int, fit: Fit = "stretch") -> NDArray[np.uint8]:
    """Return an image as an array (height, width, depth), 0 to 255; see the top of this file.

    `size` is (height, width) in pixels; `depth` is 1 for grey, 3 for colour. Raises BadImageError,
    an InputError, where the file is missing, damaged, not an image or too large.
    """
    if isinstance(source, Image.Image):
        with _problems_of("the image"):
            return _to_array(source, *size, depth, fit)
    return decode_file(source, size, depth, fit).pixels


def decode_file(path: Path, size: tuple[int, int], depth: int, fit: Fit = "stretch") -> Decoded:
    """Return an image file as `decode` does, and whether it lacks its end."""
    with _problems_of(str(path)), _open(path) as opened:
        # A JPEG can be decoded at a half, quarter or eighth of its size in a fraction of the time. Twice the
        # target size leaves the filter below all that it needs; the larger side serves for both, because the
        # image may still be rotated.
        draft, whole = 2 * max(size), opened.width * opened.height
        opened.draft(None, (draft, draft))
        with _MEMORY.taken(bytes_to_decode(opened, whole)):
            image, problem = _loaded(opened, path, draft)
            pixels = _to_array(image, *size, depth, fit)
        return Decoded(pixels, bool(problem) or (image.format == "PNG" and not has_end(path)), problem)


def _loaded(image: Image.Image, path: Path, draft: int = 0) -> tuple[Image.Image, str]:
    """Return an image that is open with its pixels, and why Pillow alone does not read it; empty where it does.

    `draft` is the side for which a JPEG was asked for a draft, if it was.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise
        content = completed(path.read_bytes(), image.format)
        if content is None:
            raise
        whole = Image.open(BytesIO(content), formats=_FORMATS)
        if draft:
            whole.draft(None, (draft, draft))
        whole.load()
        return whole, f"damaged: {error or type(error).__name__}"
    return image, ""


def resized(image: NDArray[np.uint8], size: tuple[int, int], fit: Fit = "stretch") -> NDArray[np.uint8]:
    """Return a decoded image (height, width, 1 or 3) at another size, as `decode` brings a file to it."""
    height, width = size
    plain = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.array(_brought_to(plain, height, width, fit), dtype=np.uint8).reshape(height, width, image.shape[2])


def bytes_to_decode(image: Image.Image, whole: int) -> int:
    """Return the bytes of memory that an image takes at most, from when it is opened until it is resized.

    Args:
        image: opened, but not decoded yet; perhaps a draft of the image in the file.
        whole: the pixels of the image in the file.
    """
    # Pillow holds an opaque image twice while it is turned or converted, with four bytes a pixel. A transparent one
    # comes with its white and with what both make, and one of 16 bits is for a moment numbers of 32.
    opaque = image.mode in ("1", "L", "RGB", "CMYK") and "transparency" not in image.info
    held = 8 if opaque and not _is_wide(image) else 16
    # A progressive JPEG is kept whole until its last scan is read: two bytes for each value.
    unread = 6 * whole if "progressive" in image.info else 0
    return image.width * image.height * held + unread


def _to_array(image: Image.Image, height: int, width: int, depth: int, fit: Fit) -> NDArray[np.uint8]:
    mode = "L" if depth == 1 else "RGB"
    plain = _on_white(_eight_bits(_upright(image)))
    if plain.mode != mode:  # an image that is as it should be is never copied: a photograph has many megabytes
        plain = plain.convert(mode)
    return np.array(_brought_to(plain, height, width, fit), dtype=np.uint8).reshape(height, width, depth)


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # the EXIF of a PNG may be behind its pixels
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    return ImageOps.exif_transpose(image) if turned else image


def _brought_to(image: Image.Image, height: int, width: int, fit: Fit) -> Image.Image:
    """Return an image of eight bits, grey or RGB, at a size."""
    size, filter = (width, height), Image.Resampling.LANCZOS
    if image.size == size:
        return image
    if fit == "crop":
        return ImageOps.fit(image, size, filter)
    if fit == "pad":
        return ImageOps.pad(image, size, filter, color=PADDING if image.mode == "L" else (PADDING,) * 3)
    return image.resize(size, filter)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise BadImageError("", "floating-point pixels; save it with 8 or 16 bits a pixel")
    if not _holds_wide(image):
        return image
    values = np.asarray(image).astype(np.int32)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise BadImageError("", f"32-bit pixels from {low} to {high}; save it with 8 or 16 bits a pixel")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _holds_wide(image: Image.Image) -> bool:
    """Whether Pillow holds pixels of more than eight bits, as it does where they are grey."""
    return image.mode == "I" or image.mode.startswith("I;16")


def _is_wide(image: Image.Image) -> bool:
    """Whether the file of an image that is not decoded yet has 16 bits a pixel, or a colour."""
    return _holds_wide(image) or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise BadImageError("", "not a file")
    if status.st_size == 0:
        raise BadImageError("", "empty file")
    # Not by its name: Pillow 13.0 would map an uncompressed TIFF into memory and rotate it twice.
    with path.open("rb") as stream, Image.open(stream, formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BadImageError("", f"{image.height}x{image.width} pixels; the limit is {MAX_PIXELS // 10**6} million")
        yield image


@contextmanager
def _problems_of(name: str) -> Iterator[None]:
    """Convert every error of decoding an image into a BadImageError of that name."""
    try:
        yield
    except BadImageError as error:
        raise BadImageError(name, error.reason) from None
    except FileNotFoundError as error:
        raise BadImageError(name, "no such file") from error
    except UnidentifiedImageError as error:
        raise BadImageError(name, "damaged, or not an image in a supported format") from error
    except Image.DecompressionBombError as error:
        raise BadImageError(name, f"far too many pixels; the limit is {MAX_PIXELS // 10**6} million") from error
    except MemoryError:  # the machine's failure, not the image's: the same image would be left out of one launch only
        raise
    except OSError as error:
        if is_of_the_machine(error):
            raise
        raise BadImageError(name, f"damaged: {error}") from error
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        raise BadImageError(name, f"damaged: {error or type(error).__name__}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Pillow's warnings while many files are read; what matters is reported as a bad image.

    Do not use inside threads: Python's warning filters are global.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
