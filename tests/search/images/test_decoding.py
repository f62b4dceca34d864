import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import grey, too_many_open_files
from PIL import Image

from convsearch.search.images.decoding import MAX_PIXELS, BadImageError, bytes_to_decode, decode, read_header
from convsearch.spaces.errors import InputError


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_a_grey_image_at_its_own_size_comes_out_as_it_is(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10) * 4
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    assert read_header(path) == (6, 10, True, False)
    assert np.array_equal(decode(path, (6, 10), 1)[..., 0], pixels)
    assert np.array_equal(decode(path, (6, 10), 3), np.stack([pixels] * 3, axis=-1))


def test_a_colour_image_becomes_grey_where_the_depth_is_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (4, 4), (0, 255, 0)))
    assert not read_header(path).grey
    assert np.unique(decode(path, (4, 4), 1)).tolist() == [150]


def test_an_open_image_is_decoded_like_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.radial_gradient("L"))
    assert np.array_equal(decode(Image.open(path), (32, 32), 3), decode(path, (32, 32), 3))


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    pixels = decode(saved(tmp_path / "a.png", image), (1, 2), 3)
    assert pixels.tolist() == [[[200, 0, 0], [255, 255, 255]]]


def test_a_grey_image_with_transparency_stays_grey(tmp_path: Path) -> None:
    image = Image.new("LA", (2, 1), (100, 255))
    image.putpixel((1, 0), (100, 0))
    path = saved(tmp_path / "a.png", image)
    assert read_header(path).grey
    assert decode(path, (1, 2), 1).tolist() == [[[100], [255]]]


@pytest.mark.parametrize("transparent", [False, True])
def test_a_palette_image_has_its_colours_and_its_holes(tmp_path: Path, transparent: bool) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    options = {"transparency": 1} if transparent else {}
    path = saved(tmp_path / "a.png", image, **options)
    assert not read_header(path).grey
    second = [255, 255, 255] if transparent else [40, 50, 60]
    assert decode(path, (1, 2), 3).tolist() == [[[10, 20, 30], second]]


def test_a_palette_with_partial_transparency_is_composited(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 40, 50, 60])
    image.putpixel((1, 0), 1)
    path = saved(tmp_path / "a.png", image, transparency=bytes([0, 255]))
    assert decode(path, (1, 2), 3).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_a_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100)
    red, green, blue = decode(path, (8, 8), 3)[4, 4]
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, ending: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(values))
    assert read_header(path) == (1, 4, True, True)
    assert decode(path, (1, 4), 1).ravel().tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "pbm"])
def test_one_bit_becomes_black_and_white(tmp_path: Path, ending: str) -> None:
    image = Image.new("1", (2, 1), 0)
    image.putpixel((1, 0), 1)
    assert decode(saved(tmp_path / f"a.{ending}", image), (1, 2), 1).ravel().tolist() == [0, 255]


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "gif", "tif", "webp", "avif", "ppm", "jp2"])
def test_the_usual_formats_are_read(tmp_path: Path, ending: str) -> None:
    path = saved(tmp_path / f"a.{ending}", Image.new("RGB", (16, 16), (250, 0, 250)))
    pixels = decode(path, (16, 16), 3)
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - (250, 0, 250)).max() < 20


WITHOUT_AVIF = """
    import sys
    from pathlib import Path
    from PIL import Image

    Image.init()
    del Image.OPEN["AVIF"]  # as in Pillow 11.0 and 11.1
    Image.ID.remove("AVIF")
    from convsearch.search.images.decoding import decode

    for path in sys.argv[1:]:
        print(decode(Path(path), (16, 16), 1).max())
"""


def test_a_pillow_without_avif_reads_all_other_formats(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"a.{kind}", Image.new("L", (16, 16), 7)) for kind in ("png", "webp", "ppm", "jp2")]
    command = [sys.executable, "-c", textwrap.dedent(WITHOUT_AVIF), *map(str, paths)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["7"] * 4


def test_a_photograph_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("L", (4, 2), 0)
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    for path in (saved(tmp_path / "a.png", image, exif=exif), saved(tmp_path / "a.tif", image, exif=exif)):
        assert read_header(path)[:2] == (4, 2)
        upright = decode(path, (4, 2), 1)[..., 0]
        assert np.argwhere(upright == 255).tolist() == [[0, 1]]


def test_shrinking_averages_instead_of_picking_pixels(tmp_path: Path) -> None:
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(checks))
    inner = decode(path, (8, 8), 1)[1:-1, 1:-1]
    assert np.abs(inner.astype(int) - 128).max() <= 3


def test_a_large_jpeg_shrinks_to_nearly_the_same_as_a_lossless_copy(tmp_path: Path) -> None:
    image = Image.radial_gradient("L").resize((1600, 1200)).convert("RGB")
    lossy = decode(saved(tmp_path / "a.jpg", image, quality=95), (32, 48), 3)
    exact = decode(saved(tmp_path / "a.png", image), (32, 48), 3)
    assert np.abs(lossy.astype(int) - exact).max() <= 4


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("black", "white")]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert decode(path, (4, 4), 3).max() == 0


def test_what_counts_is_the_content_not_the_ending(tmp_path: Path) -> None:
    path = saved(tmp_path / "really_a_jpeg.png", Image.new("L", (4, 4), 7), format="JPEG")
    assert decode(path, (4, 4), 1)[0, 0, 0] == 7


def test_postscript_is_never_handed_to_its_interpreter(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (4, 4)), format="EPS")
    with pytest.raises(BadImageError, match="not an image in a supported format"):
        decode(path, (4, 4), 3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: no such file"):
        decode(tmp_path / "none.png", (4, 4), 3)


def test_a_file_without_a_byte_is_bad(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(BadImageError, match=r"a\.png: empty file"):
        read_header(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tif", "webp", "bmp"])
def test_half_a_file_is_bad(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{ending}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadImageError, match=rf"a\.{ending}: "):
        decode(path, (64, 64), 3)


def test_floating_point_pixels_are_bad(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.ones((2, 2), dtype=np.float32)))
    with pytest.raises(BadImageError, match="floating-point pixels; save it with 8 or 16 bits"):
        decode(path, (2, 2), 1)


def bomb(path: Path, width: int, height: int) -> Path:
    """Write a PNG of a few bytes that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    return path


def test_an_image_of_absurd_size_is_bad_by_its_header_alone(tmp_path: Path) -> None:
    path = bomb(tmp_path / "a.png", 8001, 8000)
    assert MAX_PIXELS == 50_000_000
    with pytest.raises(BadImageError, match=r"8000x8001 pixels; the limit is 50 million"):
        read_header(path)


@pytest.mark.parametrize(
    ("mode", "options", "bytes_a_pixel"),
    [("RGB", {}, 8), ("L", {}, 8), ("RGBA", {}, 16), ("P", {}, 16), ("I;16", {}, 16), ("L", {"transparency": 0}, 16)],
)
def test_the_memory_for_an_image_counts_the_copies_that_its_conversion_makes(
    tmp_path: Path, mode: str, options: dict[str, int], bytes_a_pixel: int
) -> None:
    Image.new(mode, (30, 20)).save(tmp_path / "a.png", **options)
    with Image.open(tmp_path / "a.png") as image:
        assert bytes_to_decode(image, 600) == 600 * bytes_a_pixel


def test_the_memory_for_a_draft_is_less_unless_the_file_is_progressive(tmp_path: Path) -> None:
    found = []
    for progressive in (False, True):
        Image.new("RGB", (800, 400)).save(tmp_path / "a.jpg", progressive=progressive)
        with Image.open(tmp_path / "a.jpg") as image:
            image.draft(None, (100, 100))
            assert image.size == (200, 100)
            found.append(bytes_to_decode(image, 800 * 400))
    assert found == [200 * 100 * 8, 200 * 100 * 8 + 800 * 400 * 6]


def test_a_decompression_bomb_is_bad(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match="far too many pixels; the limit is 50 million"):
        decode(bomb(tmp_path / "a.png", 100_000, 100_000), (8, 8), 1)


def test_a_failure_of_the_machine_is_no_damaged_image(tmp_path: Path) -> None:
    path = grey(tmp_path)
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        decode(path, (8, 8), 1)
