"""Which value is white: what has no pixel near it may be meant for another one, and is never read in silence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import png_of_wide_colours
from PIL import Image
from refusals import refused

from convsearch.search.sources import open_data

Write = Callable[[Path, np.ndarray], object]


def png(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path.with_suffix(".png"))


def tif(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path.with_suffix(".tif"))


def tif_of_32_bits(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.int32)).save(path.with_suffix(".tif"))


def colour_png(path: Path, pixels: np.ndarray) -> None:
    png_of_wide_colours(path.with_suffix(".png"), np.stack([pixels // 2, pixels, pixels // 3], axis=-1))


WRITERS: list[Write] = [png, tif, tif_of_32_bits, colour_png]


def images(top: int) -> np.ndarray:
    """Six images of 16 bits, of which the last has the brightest pixel, `top`."""
    pixels = np.random.default_rng(top).integers(0, top, (6, 8, 8), dtype=np.uint16)
    pixels[5, 3, 4] = top
    return pixels


def folder_of(root: Path, pixels: np.ndarray, write: Write) -> Path:
    for i, image in enumerate(pixels):
        folder = root / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / str(i), image)
    return root


def npz_of(path: Path, pixels: np.ndarray) -> Path:
    np.savez(path, x=pixels, y=np.arange(len(pixels)) % 2)
    return path


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize(
    ("top", "mend"),
    [(1, "Save them with 8 bits"), (255, "Save them with 8 bits"), (1023, "10 bits by 64"), (2**14 - 1, "Multiply")],
)
def test_files_of_16_bits_that_hold_values_of_fewer_are_refused_with_what_is_right(
    tmp_path: Path, cache: Path, write: Write, top: int, mend: str
) -> None:
    message = refused(folder_of(tmp_path / "set", images(top), write), cache)
    shown = top // 256 * 256 + 255 if write is colour_png else top  # Pillow keeps the upper eight bits of colours
    assert f"set: no 16-bit pixel is brighter than {shown:,}, where white is 65,535" in message
    assert mend in message


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("top", [2**14, 65535])
def test_one_bright_pixel_is_enough_for_a_source_of_16_bits(
    tmp_path: Path, cache: Path, write: Write, top: int
) -> None:
    found = open_data(str(folder_of(tmp_path / "set", images(top), write)), cache)
    assert found.images().max() in (top // 257, top // 256)
    assert not any("dark" in note for note in found.notes)


def test_files_of_8_bits_do_not_speak_for_those_of_16(tmp_path: Path, cache: Path) -> None:
    folder_of(tmp_path / "set", images(255).astype(np.uint8), png)
    folder_of(tmp_path / "set", images(255), tif)
    assert "no 16-bit pixel is brighter than 255" in refused(tmp_path / "set", cache)


def test_bad_images_of_16_bits_are_reported_as_such(tmp_path: Path, cache: Path) -> None:
    root = folder_of(tmp_path / "set", images(255), png)
    folder_of(tmp_path / "set", images(255).astype(np.uint8), tif)
    for path in root.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    assert "6 of 12 images cannot be read" in refused(root, cache)


def test_a_16_bit_array_up_to_255_is_taken_as_it_is(tmp_path: Path, cache: Path) -> None:
    pixels = images(255)
    assert np.array_equal(open_data(str(npz_of(tmp_path / "set.npz", pixels)), cache).images()[..., 0], pixels)


@pytest.mark.parametrize("top", [256, 1023, 4095, 2**14 - 1])
def test_a_16_bit_array_of_fewer_bits_is_refused_like_files_of_them(tmp_path: Path, cache: Path, top: int) -> None:
    message = refused(npz_of(tmp_path / "set.npz", images(top)), cache)
    assert f"set.npz: x: no 16-bit pixel is brighter than {top:,}, where white is 65,535" in message


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64])
def test_whole_numbers_of_0_and_1_are_refused_with_what_is_right(tmp_path: Path, cache: Path, kind: type) -> None:
    pixels = (images(255) > 127).astype(kind)
    message = refused(npz_of(tmp_path / "set.npz", pixels), cache)
    assert "set.npz: all pixels are 0 or 1, where white is 255. Multiply them by 255" in message
    assert open_data(str(npz_of(tmp_path / "set.npz", pixels.astype(bool))), cache).images().max() == 255


def test_files_of_0_and_1_are_refused_like_arrays_of_them(tmp_path: Path, cache: Path) -> None:
    pixels = (images(255) > 127).astype(np.uint8)
    assert "all pixels are 0 or 1" in refused(folder_of(tmp_path / "set", pixels, png), cache)


@pytest.mark.parametrize("top", [16, 63, 64])
def test_a_source_without_a_pixel_of_a_quarter_of_white_is_noted(tmp_path: Path, cache: Path, top: int) -> None:
    pixels = images(top).astype(np.uint8)
    for place in (npz_of(tmp_path / "set.npz", pixels), folder_of(tmp_path / "set", pixels, png)):
        notes = open_data(str(place), cache).notes
        assert (f"dark: no pixel is brighter than {top}, where white is 255" in notes) == (top < 64)


# One part beside another


def parts_of(path: Path, train: np.ndarray, test: np.ndarray) -> Path:
    parts = {"x_train": train, "x_test": test}
    np.savez(path, **parts, **{f"y{name[1:]}": np.arange(len(pixels)) % 2 for name, pixels in parts.items()})
    return path


def either(one: np.ndarray, other: np.ndarray, swapped: bool) -> dict[str, np.ndarray]:
    return {"train": other, "test": one} if swapped else {"train": one, "test": other}


swapped = pytest.mark.parametrize("swapped", [False, True])


@swapped
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_up_to_1_beside_floats_up_to_255_are_refused_with_both(
    tmp_path: Path, cache: Path, kind: type, swapped: bool
) -> None:
    pixels = images(229)
    parts = either((pixels / pixels.max()).astype(kind), pixels.astype(kind), swapped)
    unit, full = ("x_test", "x_train") if swapped else ("x_train", "x_test")
    message = refused(parts_of(tmp_path / "set.npz", **parts), cache)
    assert f"set.npz: {unit} holds floats up to 1, {full} up to 229: they are on two scales." in message
    assert f"Multiply {unit} by 255, or divide {full} by 255." in message


@swapped
@pytest.mark.parametrize("top", [1, 100, 255])
def test_a_16_bit_array_of_8_bits_beside_one_that_uses_16_is_refused(
    tmp_path: Path, cache: Path, top: int, swapped: bool
) -> None:
    dim, bright = ("x_test", "x_train") if swapped else ("x_train", "x_test")
    message = refused(parts_of(tmp_path / "set.npz", **either(images(top), images(65000), swapped)), cache)
    assert f"set.npz: no 16-bit pixel of {dim} is brighter than {top}, those of {bright} reach 65,000," in message
    assert "Multiply the former by 257, or save them with 8 bits." in message


NAMES = ("the test images", "the training images")


@swapped
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("top", [1, 100, 255])
def test_files_of_16_bits_that_hold_8_beside_a_part_that_uses_16_are_refused(
    tmp_path: Path, cache: Path, write: Write, top: int, swapped: bool
) -> None:
    for part, pixels in either(images(top), images(65535), swapped).items():
        folder_of(tmp_path / "set" / part, pixels, write)
    dim, bright = NAMES if swapped else NAMES[::-1]
    shown = 255 if write is colour_png else top
    message = refused(tmp_path / "set", cache)
    assert f"set: no 16-bit pixel of {dim} is brighter than {shown}, those of {bright} reach " in message


@swapped
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint16])
def test_a_part_of_0_and_1_beside_one_that_is_not_is_refused_with_both(
    tmp_path: Path, cache: Path, kind: type, swapped: bool
) -> None:
    pixels = images(229).astype(np.uint8)
    parts = either((pixels > 127).astype(kind), pixels, swapped)
    dim, bright = NAMES if swapped else NAMES[::-1]
    sentence = f"all pixels of {dim} are 0 or 1, where white is 255; those of {bright} reach 229. Multiply the former"
    assert sentence in refused(parts_of(tmp_path / "set.npz", **parts), cache)
    for part, of_part in parts.items():
        folder_of(tmp_path / "set" / part, of_part.astype(np.uint8), png)
    assert sentence in refused(tmp_path / "set", cache)


@pytest.mark.parametrize("top", [0, 16, 63])
def test_a_dark_part_beside_one_that_is_not_is_noted_at_each_launch(tmp_path: Path, cache: Path, top: int) -> None:
    bright, dark = images(229).astype(np.uint8), np.minimum(images(255), top).astype(np.uint8)
    dark_floats = parts_of(tmp_path / "floats.npz", bright / 255, dark / 255)
    for part, pixels in (("train", bright), ("val", bright), ("test", dark)):
        folder_of(tmp_path / "set" / part, pixels, png)
    note = (
        f"dark: no pixel of the test images is brighter than {top}, where white is 255; those of the {{}} images reach"
    )
    for place in (dark_floats, parts_of(tmp_path / "set.npz", bright, dark), tmp_path / "set"):
        for _ in range(2):
            said = [line for line in open_data(str(place), cache).notes if line.startswith("dark")]
            beside = "validation" if place.is_dir() else "training"
            assert said == [f"{note.format(beside)} 229"]


def test_a_dark_part_of_16_bits_beside_one_that_is_not_is_noted(tmp_path: Path, cache: Path) -> None:
    for part, top in (("train", 4095), ("test", 65535)):
        folder_of(tmp_path / "set" / part, images(top), png)
    note = (
        "dark: no pixel of the training images is brighter than 16, where white is 255; those of the test images reach"
    )
    for place in (tmp_path / "set", parts_of(tmp_path / "set.npz", images(4095), images(65535))):
        assert f"{note} 255" in open_data(str(place), cache).notes
