"""The bundle's own program reads an image to the very pixels that the search was trained on."""

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import convsearch.search.export
from convsearch.search.sources.images import decode
from convsearch.search.system.backend import import_keras

Save = Callable[[Path], Path]
PROGRAM = Path(convsearch.search.export.__file__).with_name("predict.py")


@pytest.fixture(scope="module")
def read() -> Callable[..., np.ndarray]:
    import_keras()
    found: Callable[..., np.ndarray] = runpy.run_path(str(PROGRAM))["read"]
    return found


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


KINDS: list[Save] = [
    grey,
    colour,
    transparent,
    grey_and_transparent,
    palette,
    palette_with_a_transparent_colour,
    one_bit,
    sixteen_bits,
    sixteen_bits_in_a_tiff,
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
]


@pytest.mark.parametrize("save", KINDS, ids=lambda save: save.__name__)
@pytest.mark.parametrize("depth", [1, 3])
def test_an_image_is_read_as_the_search_read_it(
    read: Callable[..., np.ndarray], save: Save, depth: int, tmp_path: Path
) -> None:
    path = save(tmp_path)
    for height, width in ((12, 12), (8, 20), (32, 32)):
        found = read(path, height, width, depth)
        assert found.shape == (height, width, depth)
        assert found.dtype == np.uint8
        assert np.array_equal(found, decode(path, (height, width), depth))
