"""A JPEG or PNG that lacks its end is read as viewers read it, if nine tenths of it are there."""

import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import (
    GOOD,
    Save,
    interlaced_png,
    most_of_a_wide_png,
    most_of_an_interlaced_png,
    noise,
    without_its_end,
)
from PIL import Image, ImageFile

from convsearch.search.images.decoding import BadImageError, brightest, decode, decode_file, read_header
from convsearch.search.images.truncated import completed

TRUNCATED = [save for save in GOOD if save.__name__.startswith("most_of_")]
SIZE = (96, 80)


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    packed = BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", **options)
    return packed.getvalue()


def pixels_of(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image)


def rows_like(one: np.ndarray, other: np.ndarray) -> int:
    """Return how many rows are the same from the first on."""
    unlike = (one != other).reshape(len(one), -1).any(axis=1)
    return int(unlike.argmax()) if unlike.any() else len(one)


@pytest.mark.parametrize("save", TRUNCATED, ids=lambda save: save.__name__)
def test_what_is_there_is_read_as_pillow_shows_it_where_it_is_told_to(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path)
    with pytest.raises(OSError, match="truncated"), Image.open(path) as image:
        image.load()
    found = decode_file(path, SIZE, 3)
    assert found.truncated
    assert "damaged: image file is truncated" in found.problem
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert np.array_equal(found.pixels, decode(path, SIZE, 3))


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("lacking", [1, 2, 3, 12, 20])
def test_a_file_that_lacks_its_last_bytes_is_read_and_known_to_lack_them(
    ending: str, lacking: int, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise(64, 64)).save(path)
    assert not decode_file(path, (64, 64), 3).truncated
    path.write_bytes(path.read_bytes()[:-lacking])
    assert decode_file(path, (64, 64), 3).truncated


def test_a_png_with_more_after_its_end_does_not_lack_it(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("ab") as stream:
        stream.write(b"more than there should be")
    assert not decode_file(tmp_path / "a.png", (8, 8), 3).truncated


@given(share=st.floats(0.05, 1), height=st.integers(9, 150), grey=st.booleans(), blocks=st.sampled_from([0, 1, 4]))
def test_a_jpeg_is_read_where_nine_tenths_of_its_rows_are_there(
    share: float, height: int, grey: bool, blocks: int
) -> None:
    whole = jpeg(noise(height, 40, 1 if grey else 3), restart_marker_blocks=blocks)
    content = whole[: int(len(whole) * share)]
    found = completed(content, "JPEG")
    block = 8 if grey else 16
    if found is None:
        try:
            there = rows_like(pixels_of(content + b"\xff\xd9"), pixels_of(whole))
        except (OSError, SyntaxError):  # not even its header is there
            return
        assert there < 0.9 * height
    else:
        assert rows_like(pixels_of(found), pixels_of(whole)) > 0.9 * height - block - 1, "of a row of blocks a part"


@given(rows=st.integers(0, 40))
def test_a_png_is_read_where_nine_tenths_of_its_rows_are_there(rows: int) -> None:
    packed = BytesIO()
    pixels = noise(40, 30)
    Image.fromarray(pixels).save(packed, "PNG", compress_level=0)
    content = packed.getvalue()
    at = content.index(b"IDAT") + 4 + 7 + rows * 91  # the header of zlib, and of its first block; each row has a filter
    found = completed(content[:at], "PNG")
    assert (found is not None) == (rows >= 36)
    if found is not None:
        assert np.array_equal(pixels_of(found)[:rows], pixels[:rows])
        assert not pixels_of(found)[rows:].any(), "black"


def test_missing_pixels_of_a_transparent_png_become_white(tmp_path: Path) -> None:
    assert (decode(without_its_end("png", mode="RGBA")(tmp_path), SIZE, 3)[-1] == 255).all()


def test_missing_rows_of_a_jpeg_become_grey(tmp_path: Path) -> None:
    assert (decode(without_its_end("jpg", share=0.93)(tmp_path), SIZE, 3)[-1, -8:] == 128).all()


@pytest.mark.parametrize("grey", [True, False])
def test_a_progressive_jpeg_is_read_where_nine_tenths_of_its_bytes_are_there_as_far_as_its_last_scan_tells(
    grey: bool,
) -> None:
    whole = jpeg(noise(256, 256, 1 if grey else 3), progressive=True)
    last = whole.rindex(b"\xff\xda")
    assert completed(whole[: int(0.94 * len(whole))], "JPEG") is not None
    assert completed(whole[: int(0.86 * len(whole))], "JPEG") is None
    assert completed(whole[: last + 1], "JPEG") is None, "the last scan has not begun"


def test_an_interlaced_png_is_read_where_nine_tenths_of_its_bytes_are_there(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.png", noise(96, 80)
    whole = interlaced_png(path, pixels).read_bytes()
    assert np.array_equal(decode(path, SIZE, 3), pixels)
    path.write_bytes(whole[: int(0.94 * len(whole))])
    found = decode(path, SIZE, 3)
    assert np.array_equal(found[::2], pixels[::2])
    assert np.array_equal(found[:70], pixels[:70])
    path.write_bytes(whole[: int(0.86 * len(whole))])
    with pytest.raises(BadImageError, match="damaged"):
        decode(path, SIZE, 3)


@pytest.mark.parametrize("ending", ["webp", "gif", "bmp", "tif", "avif", "ppm", "jp2"])
def test_other_formats_that_lack_their_last_bytes_are_bad(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BadImageError, match="damaged"):
        decode(path, (64, 64), 3)


@pytest.mark.parametrize("share", [1.0, 0.96])
def test_a_png_with_a_wrong_checksum_is_damaged_whether_it_has_its_end_or_not(share: float, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(256, 256)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadImageError, match="damaged"):
        decode(path, SIZE, 3)


def test_a_thumbnail_in_a_jpeg_does_not_count_as_the_image(tmp_path: Path) -> None:
    whole = jpeg(noise(128, 128), progressive=True)
    thumbnail = b"\xff\xe1\x40\x00" + jpeg(noise(64, 64))[:0x3FFE].ljust(0x3FFE, b"\0")
    assert thumbnail.count(b"\xff\xda") == 1
    second = [found.start() for found in re.finditer(rb"\xff\xda", whole)][1]
    for end, is_read in ((len(whole) - 20, True), (second, False)):
        content = whole[:2] + thumbnail + whole[2:end]
        (tmp_path / "a.jpg").write_bytes(content)
        assert read_header(tmp_path / "a.jpg")[:2] == (128, 128)
        assert (completed(content, "JPEG") is not None) == is_read


def test_of_several_pictures_in_a_file_the_first_is_read_whatever_the_others_lack(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(96 + i, 80)).resize((80, 96)) for i in range(2)]
    for name in ("a.mpo", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        whole = decode(tmp_path / name, SIZE, 3)
        content = (tmp_path / name).read_bytes()
        second = content.index(b"fdAT") if name == "a.png" else content.rindex(b"\xff\xd8\xff\xe0")
        for end in (len(content) - 99, second + 200):
            (tmp_path / name).write_bytes(content[:end])
            assert np.array_equal(decode(tmp_path / name, SIZE, 3), whole)
        (tmp_path / name).write_bytes(content[: second * 24 // 25])
        assert np.array_equal(decode(tmp_path / name, SIZE, 3)[:72], whole[:72])


def test_the_brightest_pixel_of_16_bits_is_found_in_what_is_there(tmp_path: Path) -> None:
    assert brightest(most_of_a_wide_png(tmp_path)) > 2**14


FUZZED = [without_its_end("jpg"), without_its_end("jpg", progressive=True), most_of_an_interlaced_png]


@given(data=st.data())
def test_whatever_is_done_to_a_file_it_is_read_or_bad(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = data.draw(st.sampled_from(FUZZED))(tmp_path_factory.mktemp("edited"))
    content = bytearray(path.read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with suppress(BadImageError):
        assert decode(path, (12, 12), 3).shape == (12, 12, 3)
