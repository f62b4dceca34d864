import hashlib
import math
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import too_many_open_files

from convsearch.search.data import Dataset
from convsearch.search.sources import open_data
from convsearch.spaces.errors import InputError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (12, 6, 5), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(12) % 2


def opened(folder: Path, *, compressed: bool = False, size: tuple[int, int] | None = None, **arrays: Any) -> Dataset:
    """Save the arrays as `folder/set.npz` and open it."""
    path = folder / "set.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return open_data(str(path), folder / "cache", image_size=size)


def refused(folder: Path, **arrays: Any) -> str:
    """Return the message that the arrays are refused with, having seen that nothing is left in the cache."""
    with pytest.raises(InputError) as error:
        opened(folder, **arrays)
    cache = folder / "cache"
    assert not cache.exists() or not list(cache.iterdir())
    return str(error.value)


# Layouts


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
@pytest.mark.parametrize("compressed", [False, True])
def test_images_and_labels_are_read(tmp_path: Path, names: tuple[str, str], compressed: bool) -> None:
    arrays: dict[str, Any] = {names[0]: COLOUR, names[1]: LABELS}
    dataset = opened(tmp_path, compressed=compressed, **arrays)
    assert dataset.name == "set"
    assert dataset.input == (6, 5, 3)
    assert dataset.classes == ("0", "1")
    assert np.array_equal(dataset.images(), COLOUR)
    assert np.array_equal(dataset.labels(), LABELS)
    assert not dataset.given.any()


@pytest.mark.parametrize("style", ["x_{0} y_{0}", "{0}_images {0}_labels"])
@pytest.mark.parametrize(
    ("parts", "given"),
    [
        (["train"], [12]),
        (["train", "test"], [12, 0, 0, 12]),
        (["train", "val"], [12, 0, 12]),
        (["train", "val", "test"], [0, 12, 12, 12]),
    ],
)
def test_parts_fix_the_roles_in_both_styles(tmp_path: Path, style: str, parts: list[str], given: list[int]) -> None:
    arrays: dict[str, Any] = {}
    for part in parts:
        images, labels = style.format(part).split()
        arrays |= {images: GREY, labels: LABELS[:, np.newaxis]}  # MedMNIST has labels of (n, 1)
    dataset = opened(tmp_path, **arrays)
    assert len(dataset) == 12 * len(parts)
    assert np.bincount(dataset.given).tolist() == given


@pytest.mark.parametrize("channels", [None, 1])
def test_grey_images_have_depth_one_with_or_without_a_last_axis(tmp_path: Path, channels: int | None) -> None:
    dataset = opened(tmp_path, x=GREY if channels is None else GREY[..., np.newaxis], y=LABELS)
    assert dataset.input == (6, 5, 1)
    assert np.array_equal(dataset.images()[..., 0], GREY)


def test_a_fourth_channel_is_transparency_and_composited_on_white(tmp_path: Path) -> None:
    alpha = np.full((12, 6, 5, 1), 255, dtype=np.uint8)
    alpha[3] = 0
    images = opened(tmp_path, x=np.concatenate([COLOUR, alpha], axis=-1), y=LABELS).images()
    assert np.array_equal(images[2], COLOUR[2])
    assert (images[3] == 255).all()


def test_arrays_can_be_brought_to_another_size(tmp_path: Path) -> None:
    dataset = opened(tmp_path, size=(3, 4), x=np.full((12, 6, 5), 77, dtype=np.uint8), y=LABELS)
    assert dataset.images().shape == (12, 3, 4, 1)
    assert (dataset.images() == 77).all()


def test_label_values_need_not_follow_each_other(tmp_path: Path) -> None:
    dataset = opened(tmp_path, x=GREY, y=np.array([7, 30, 2] * 4))
    assert dataset.classes == ("2", "7", "30")
    assert dataset.labels()[:3].tolist() == [1, 2, 0]


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_whole_labels_of_any_type_are_taken(tmp_path: Path, kind: type) -> None:
    assert np.array_equal(opened(tmp_path, x=GREY, y=LABELS.astype(kind)).labels(), LABELS)


def test_an_array_in_fortrans_order_is_read_alike(tmp_path: Path) -> None:
    dataset = opened(tmp_path, x=np.asfortranarray(COLOUR), y=LABELS)
    assert np.array_equal(dataset.images(), COLOUR)


def test_arrays_of_another_byte_order_are_read_alike(tmp_path: Path) -> None:
    for kind in ("u2", "i2", "u4", "f4"):
        values = GREY.astype(np.uint16) * 257 if kind == "u2" else GREY
        big, little = (opened(tmp_path, x=values.astype(f"{order}{kind}"), y=LABELS.astype(">i4")) for order in "><")
        assert big.fingerprint != little.fingerprint
        assert np.array_equal(big.images()[..., 0], GREY)
        assert np.array_equal(big.images(), little.images())
        assert np.array_equal(big.labels(), LABELS)


def test_16_bits_of_another_byte_order_that_stay_below_256_are_taken_as_they_are(tmp_path: Path) -> None:
    assert np.array_equal(opened(tmp_path, x=GREY.astype(">u2"), y=LABELS).images()[..., 0], GREY)


def test_a_moved_copy_has_the_same_fingerprint_and_arrays(tmp_path: Path) -> None:
    first = opened(tmp_path, x=GREY, y=LABELS)
    moved = (tmp_path / "set.npz").rename(tmp_path / "other.npz")
    second = open_data(str(moved), tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    assert second.folder == first.folder
    assert second.name == "other"


# Pixels


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_are_brought_to_255(tmp_path: Path, kind: type) -> None:
    pixels: Any = (GREY / 255).astype(kind)
    pixels.flat[0] = 1
    images = opened(tmp_path, x=pixels, y=LABELS).images()[..., 0]
    assert np.abs(images.astype(int) - np.rint(pixels.astype(float) * 255)).max() <= 1
    assert images.flat[0] == 255


def test_floats_from_0_to_255_are_rounded(tmp_path: Path) -> None:
    images = opened(tmp_path, x=GREY + np.float32(0.25) * (GREY < 255), y=LABELS).images()[..., 0]
    assert np.array_equal(images, GREY)


def test_a_dark_test_array_is_scaled_like_the_training_array(tmp_path: Path) -> None:
    bright, dark = GREY.astype(np.float32), np.full((12, 6, 5), 3, dtype=np.float32)
    dataset = opened(tmp_path, x_train=bright, y_train=LABELS, x_test=dark, y_test=LABELS)
    assert (dataset.images()[dataset.given == 3] == 3).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_exact_copies_among_arrays_are_noted_at_each_launch(tmp_path: Path, kind: type) -> None:
    pixels = RANDOM.integers(0, 256, (12, 6, 5), dtype=np.uint8)
    pixels[11] = pixels[0]
    tests = pixels[:4].astype(kind)[..., np.newaxis]
    arrays = {"x_train": pixels, "y_train": LABELS, "x_test": tests, "y_test": LABELS[:4]}
    kept = "5 of 16 images are exact copies of others; each lot is kept on one side of the split"
    across = "in several parts of the data: 4 lots of copies, such as image 0 and image 12; this inflates the scores"
    for size in (None, None, (1, 1)):  # in one pixel many are alike that are no copies
        found = opened(tmp_path, size=size, **arrays)
        assert [note for note in found.notes if "cop" in note and "labels" not in note] == [kept, across]
        assert len(np.unique(found.groups())) == 11


def test_16_bits_are_divided_by_257(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 65536, (12, 6, 5), dtype=np.uint16)
    pixels.flat[:3] = 0, 257, 65535
    images = opened(tmp_path, x=pixels, y=LABELS).images()[..., 0]
    assert images.ravel()[:3].tolist() == [0, 1, 255]
    assert np.array_equal(images, np.rint(pixels / 257))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.int64])
def test_wider_whole_numbers_that_stay_below_256_are_taken_as_they_are(tmp_path: Path, kind: type) -> None:
    assert np.array_equal(opened(tmp_path, x=GREY.astype(kind), y=LABELS).images()[..., 0], GREY)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (GREY / 127.5 - 1, "float64 pixels from -1 to 1"),
        (GREY.astype(np.float32) * 4, "float32 pixels from 0 to 1020"),
        (GREY / 255 * 1.5, "float64 pixels from 0 to 1.5"),
        (GREY.astype(np.int16) - 100, "int16 pixels from -100 to 155"),
        (GREY.astype(np.int32) * 257, "int32 pixels from 0 to 65535"),
    ],
)
def test_other_ranges_are_refused_with_what_was_found(tmp_path: Path, pixels: Any, found: str) -> None:
    pixels = pixels.copy()
    pixels.flat[:2] = pixels.min(), pixels.max()
    message = refused(tmp_path, x=np.concatenate([pixels]), y=LABELS)
    assert f"set.npz: x holds {found}" in message
    assert "floats from 0 to 1" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused_with_their_number_and_the_first(tmp_path: Path, value: float) -> None:
    pixels = COLOUR / 255
    pixels[7, 3, 4, 0] = pixels[9, 0, 0, 0] = pixels[9, 0, 0, 1] = value
    message = refused(tmp_path, x=pixels, y=LABELS)
    assert "x holds 3 pixels that are not a number or infinite, the first at x[7, 3, 4, 0]" in message


def test_the_place_of_a_missing_number_counts_from_the_start_of_a_long_array(tmp_path: Path) -> None:
    pixels = np.zeros((9, 1024, 1024), dtype=np.float32)
    pixels[8, 1, 2] = np.nan
    assert "the first at x[8, 1, 2]" in refused(tmp_path, compressed=True, x=pixels, y=np.arange(9) % 2)


@pytest.mark.parametrize("pixels", [GREY * 1j, GREY.astype("datetime64[s]"), GREY.astype("U3")])
def test_what_is_no_pixel_at_all_is_refused(tmp_path: Path, pixels: Any) -> None:
    assert f"x holds {pixels.dtype}; pixels must be whole numbers or floats" in refused(tmp_path, x=pixels, y=LABELS)


# Shapes and names


def test_a_file_without_known_names_is_refused_with_those_found_and_those_accepted(tmp_path: Path) -> None:
    message = refused(tmp_path, data=GREY, target=LABELS)
    assert "set.npz holds data, target; expected the names x and y, " in message
    assert "x_train and y_train" in message
    assert "train_images and train_labels" in message


def test_names_that_break_lines_are_shown_on_one(tmp_path: Path) -> None:
    names: dict[str, Any] = {"a\nb": GREY, "\x1b[2J": GREY}
    assert r"set.npz holds a\nb, \x1b[2J; expected" in refused(tmp_path, **names)
    assert r"It holds: x, a\nb, \x1b[2J." in refused(tmp_path, x=GREY, **names)


def test_a_missing_partner_is_named(tmp_path: Path) -> None:
    assert "has x_train but no y_train. It holds: x_train, x_test" in refused(tmp_path, x_train=GREY, x_test=GREY)
    message = refused(tmp_path, x_train=GREY, y_train=LABELS, x_test=GREY)
    assert "has x_test but no y_test" in message
    message = refused(tmp_path, x_test=GREY, y_test=LABELS)
    assert "holds x_test, y_test; expected the names" in message


@pytest.mark.parametrize("train", ["x_train y_train", "train_images train_labels"])
def test_validation_images_may_be_called_valid(tmp_path: Path, train: str) -> None:
    images, labels = train.split()
    held = [(images.replace("train", part), labels.replace("train", part)) for part in ("valid", "test")]
    arrays: dict[str, Any] = {images: GREY, labels: LABELS}
    for part, count in zip(held, (4, 6), strict=True):
        arrays |= {part[0]: GREY[:count], part[1]: LABELS[:count]}
    dataset = opened(tmp_path, **arrays)
    assert np.bincount(dataset.given).tolist() == [0, 12, 4, 6]
    assert not any("ignored" in note for note in dataset.notes)


@pytest.mark.parametrize("style", ["x_{0} y_{0}", "{0}_images {0}_labels"])
@pytest.mark.parametrize(("part", "role"), [("val", 2), ("test", 3)])
def test_images_without_a_part_beside_those_of_a_part_are_for_training(
    tmp_path: Path, style: str, part: str, role: int
) -> None:
    images, labels = style.format(part).split()
    arrays: dict[str, Any] = {images.replace(part, "").strip("_"): GREY, labels.replace(part, "").strip("_"): LABELS}
    dataset = opened(tmp_path, **arrays, **{images: GREY[:6], labels: LABELS[:6]})
    assert dataset.given.tolist() == [0] * 12 + [role] * 6
    assert np.array_equal(dataset.images()[..., 0], np.concatenate([GREY, GREY[:6]]))


@pytest.mark.parametrize(
    ("pairs", "alike"),
    [
        (["x y"], True),
        (["x_train y_train", "x_val y_val", "x_test y_test"], True),
        (["train_images train_labels", "test_images test_labels"], True),
        (["x_train y_train", "x_valid y_valid", "x_test y_test"], False),
        (["x y", "x_test y_test"], False),
        (["images labels", "val_images val_labels"], False),
    ],
)
def test_the_fingerprint_is_another_one_where_earlier_versions_passed_arrays_over(
    tmp_path: Path, pairs: list[str], alike: bool
) -> None:
    arrays: dict[str, Any] = {}
    for pair in pairs:
        arrays |= dict(zip(pair.split(), (GREY, LABELS), strict=True))
    found = opened(tmp_path, **arrays).fingerprint
    assert (found == hashlib.sha256((tmp_path / "set.npz").read_bytes()).hexdigest()) == alike


def test_two_validation_arrays_are_refused(tmp_path: Path) -> None:
    both: dict[str, Any] = {"x_val": GREY, "y_val": LABELS, "x_valid": GREY, "y_valid": LABELS}
    message = refused(tmp_path, x_train=GREY, y_train=LABELS, **both)
    assert "has x_val and x_valid, which are the same part of the data; keep one" in message


@pytest.mark.parametrize(
    ("name", "array"),
    [("x_holdout", GREY), ("masks", COLOUR), ("x_train", GREY), ("y_holdout", LABELS), ("Labels2", LABELS[:, None])],
)
def test_arrays_of_no_known_name_that_may_be_images_or_labels_are_refused(
    tmp_path: Path, name: str, array: Any
) -> None:
    known: dict[str, Any] = {"images": GREY, "labels": LABELS}
    message = refused(tmp_path, **known, **({name: array} if name != "x_train" else {name: array, "y_train": LABELS}))
    if name == "x_train":  # the file is then one of the other kind
        assert "images, labels may be images or labels" in message
    else:
        assert f"set.npz: {name} may be images or labels, but have no known names, which are x and y," in message


def test_other_arrays_are_passed_over_and_noted(tmp_path: Path) -> None:
    other: dict[str, Any] = {"label_names": np.array(["a", "b"]), "mean": np.float32(3), "ids": np.arange(12)}
    dataset = opened(tmp_path, x=GREY, y=LABELS, **other, objects=np.array([{}], dtype=object))
    assert len(dataset) == 12
    assert "ignored: label_names, mean, ids, objects" in dataset.notes


def test_images_and_labels_of_different_length_are_refused(tmp_path: Path) -> None:
    assert "x has 12 images but y 11 labels" in refused(tmp_path, x=GREY, y=LABELS[1:])


@pytest.mark.parametrize("shape", [(12,), (12, 30), (12, 6, 5, 2), (12, 6, 5, 3, 1)])
def test_arrays_that_are_no_images_are_refused_with_their_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    message = refused(tmp_path, x=np.zeros(shape, dtype=np.uint8), y=LABELS)
    assert f"x has shape {shape}; expected (images, height, width)" in message


def test_a_single_number_is_refused(tmp_path: Path) -> None:
    assert "x has shape ()" in refused(tmp_path, x=np.uint8(3), y=LABELS)


def test_channels_that_come_first_are_refused_with_what_mends_it(tmp_path: Path) -> None:
    message = refused(tmp_path, x=COLOUR.transpose(0, 3, 1, 2), y=LABELS)
    assert "save x.transpose(0, 2, 3, 1)" in message


def test_an_array_without_an_image_is_refused(tmp_path: Path) -> None:
    assert "it contains no images" in refused(tmp_path, x=GREY[:0], y=LABELS[:0])


def test_parts_of_different_size_or_depth_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, x_train=COLOUR, y_train=LABELS, x_test=COLOUR[:, :4], y_test=LABELS)
    assert "x_test has images of 4x5x3, x_train of 6x5x3" in message
    message = refused(tmp_path, x_train=COLOUR, y_train=LABELS, x_test=GREY, y_test=LABELS)
    assert "x_test has images of 6x5x1, x_train of 6x5x3" in message


# Labels


def test_labels_may_be_any_whole_numbers(tmp_path: Path) -> None:
    dataset = opened(tmp_path, x=GREY, y=np.where(LABELS, 1, -1))
    assert dataset.classes == ("-1", "1")
    assert np.array_equal(dataset.labels(), LABELS)
    largest = np.iinfo(np.int64).max
    assert opened(tmp_path, x=GREY, y=np.where(LABELS, largest, -largest)).classes == (str(-largest), str(largest))
    beyond = np.where(LABELS, 2**64 - 1, 3).astype(np.uint64)
    assert opened(tmp_path, x=GREY, y=beyond).classes == ("3", str(2**64 - 1))
    dataset = opened(tmp_path, x_train=GREY, y_train=beyond, x_test=GREY[:2], y_test=np.array([3, 3], np.int8))
    assert dataset.labels().tolist() == [*LABELS, 0, 0]


@pytest.mark.parametrize("kind", ["U", ">U9", "S", "S9"])
def test_labels_may_be_text_in_any_form_that_needs_no_pickle(tmp_path: Path, kind: str) -> None:
    names = np.array(["dog", " cat "])[LABELS].astype(kind)
    for labels in (names, names[:, np.newaxis]):
        dataset = opened(tmp_path, x=GREY, y=labels)
        assert dataset.classes == ("cat", "dog")
        assert np.array_equal(dataset.labels(), 1 - LABELS)


def test_text_of_numbers_has_classes_in_the_order_of_their_values(tmp_path: Path) -> None:
    assert opened(tmp_path, x=GREY, y=np.array(["10", "9"])[LABELS]).classes == ("9", "10")
    assert opened(tmp_path, x=GREY, y=np.array(["10", "9", "none"] * 4)).classes == ("10", "9", "none")


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_one_hot_rows_say_the_number_of_their_column(tmp_path: Path, kind: type) -> None:
    labels = np.array([4, 0, 2] * 4)
    dataset = opened(tmp_path, x=GREY, y=np.eye(6)[labels].astype(kind))
    assert dataset.classes == ("0", "2", "4")
    assert np.array_equal(dataset.labels(), labels // 2)


ROW_OF_SEVERAL = np.eye(2)[LABELS]
ROW_OF_SEVERAL[3] = 1
ROW_OF_NONE = np.eye(2)[LABELS]
ROW_OF_NONE[5] = 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 0.5, "y[0] is 0.5; labels must be whole numbers"),
        (np.where(np.arange(12) == 4, np.nan, LABELS), "y[4] is nan; labels must be whole numbers"),
        (np.where(LABELS, np.inf, 0).astype(np.float16), "y[1] is inf; labels must be whole numbers"),
        (LABELS * 1e30, "y[1] is 1e+30; labels must be whole numbers, as floats up to 2**53"),
        (LABELS.astype("datetime64[s]"), "y holds datetime64[s] labels; expected whole numbers, text or one-hot rows"),
        (np.zeros((12, 6, 5), dtype=int), "y has shape (12, 6, 5); expected one label per image, (12,)"),
        (np.zeros((12, 0)), "y has shape (12, 0); expected one label per image, (12,)"),
        (ROW_OF_SEVERAL, "y[3] has 2 ones, in the columns 0, 1: several labels for one image"),
        (ROW_OF_NONE, "y[5] is all 0: an image without a class"),
        (np.eye(2)[LABELS] * 0.9 + 0.05, "y[0] holds 0.95; a row of labels must be one-hot"),
        (np.eye(2)[LABELS] * 2, "y[0] holds 2; a row of labels must be one-hot: a single 1, and 0 everywhere else"),
        (np.where(np.eye(2)[LABELS] > 0, np.nan, 0), "y[0] holds nan; a row of labels must be one-hot"),
        (np.array([["a", "b"]] * 12), "y has shape (12, 2): text in several columns"),
        (np.where(LABELS, "cat", " "), "y[0] is empty; every image needs a label"),
        (np.where(LABELS, b"cat", b"b\xe4r"), "y holds bytes that are not UTF-8"),
        (np.where(LABELS, "a\nb", "a\\nb"), "two labels are shown by one name, 'a\\nb'"),
        (np.array(["cat", {}] * 6, dtype=object), "y is an array of Python objects, which could run code when read"),
    ],
)
def test_what_is_not_one_label_for_each_image_is_refused_with_its_place(
    tmp_path: Path, labels: Any, message: str
) -> None:
    assert message in refused(tmp_path, x=GREY, y=labels)


def test_objects_are_refused_with_how_to_save_them(tmp_path: Path) -> None:
    message = refused(tmp_path, x=GREY, y=np.array(["cat", "dog"], dtype=object)[LABELS])
    assert "y.astype(str) one of text" in message


def test_text_of_letters_that_do_not_exist_is_damaged(tmp_path: Path) -> None:
    codes = np.where(LABELS, 0x110000, 65).astype("<u4")
    assert "y is damaged: it holds text with characters that do not exist" in refused(
        tmp_path, x=GREY, y=codes.view("<U1")
    )


@pytest.mark.parametrize("test", [np.array(["0", "1"] * 6), np.eye(2)[LABELS]], ids=["text", "one-hot"])
def test_labels_of_different_kinds_in_two_parts_are_refused(tmp_path: Path, test: Any) -> None:
    message = refused(tmp_path, x_train=GREY, y_train=LABELS, x_test=GREY, y_test=test)
    assert "y_train holds whole numbers and y_test " in message
    assert "Save the labels of all parts alike" in message


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    assert "only one class, '0'" in refused(tmp_path, x=GREY, y=LABELS * 0)


def test_a_class_with_one_image_is_refused(tmp_path: Path) -> None:
    assert "'9' has 1. Every class needs at least 3" in refused(tmp_path, x=GREY, y=np.append(LABELS[:-1], 9))


def test_a_test_label_that_was_never_trained_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, x_train=GREY, y_train=LABELS, x_test=GREY, y_test=LABELS * 2)
    assert "y_test has classes that y_train lacks: '2'" in message


# Damage and malice


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"set\.npz cannot be read: .*It must be a complete \.npz file"):
        open_data(str(tmp_path / "set.npz"), tmp_path / "cache")


@pytest.mark.parametrize("left", [0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, left: float) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, x=GREY, y=LABELS)
    os.truncate(path, int(path.stat().st_size * left))
    with pytest.raises(InputError, match=r"set\.npz cannot be read"):
        open_data(str(path), tmp_path / "cache")


@pytest.mark.parametrize("compressed", [False, True])
def test_some_bytes_changed_among_the_pixels_are_found_and_leave_nothing(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "set.npz"
    images = RANDOM.integers(0, 256, (12, 256, 256, 3), dtype=np.uint8)
    (np.savez_compressed if compressed else np.savez)(path, x=images, y=LABELS)
    data = bytearray(path.read_bytes())
    for i in range(len(data) // 2, len(data) // 2 + 10):
        data[i] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"set\.npz: x cannot be read"):
        open_data(str(path), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("x.npy", "w") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 4000, 4000)}
            np.lib.format.write_array_header_1_0(stream, header)
            stream.write(b"\0" * 100)
        with archive.open("y.npy", "w") as stream:
            np.lib.format.write_array(stream, LABELS)
    with pytest.raises(InputError, match="x is damaged: its data is not as long as its header says"):
        open_data(str(path), tmp_path / "cache")


def packed(path: Path, method: int, **arrays: tuple[str, tuple[int, ...]]) -> Path:
    """Save arrays of zeros, given by type and shape, without having them in memory."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, (kind, shape) in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                header = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                left = math.prod(shape) * np.dtype(kind).itemsize
                while left:
                    left -= stream.write(bytes(min(left, 2**20)))
    return path


@contextmanager
def little_memory() -> Iterator[None]:
    """Check that the block allocates no more than some megabytes at a time."""
    tracemalloc.start()
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16e6


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("|u1", (10**8,), "x has 12 images but y 100,000,000 labels"),
        (
            "|u1",
            (12, 10**7),
            "y has shape (12, 10000000): one-hot rows of more classes than images; expected one label",
        ),
        ("<U2500000", (12,), "y holds text of up to 2,500,000 letters; the name of a class has at most 1,000"),
    ],
)
def test_labels_far_larger_than_the_memory_are_refused_by_their_header(
    tmp_path: Path, kind: str, shape: tuple[int, ...], message: str
) -> None:
    path = packed(tmp_path / "set.npz", zipfile.ZIP_DEFLATED, x=("|u1", (12, 4, 4)), y=(kind, shape))
    assert path.stat().st_size < 300_000
    with little_memory(), pytest.raises(InputError) as error:
        open_data(str(path), tmp_path / "cache")
    assert message in str(error.value)


def test_a_header_far_larger_than_the_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x02\x00" + (10**8).to_bytes(4, "little") + b" " * 10**8)
        archive.writestr("y.npy", b"")
    with little_memory(), pytest.raises(InputError, match=r"set\.npz: x cannot be read"):
        open_data(str(path), tmp_path / "cache")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_array_packed_so_that_it_would_be_unpacked_in_one_piece_is_refused(tmp_path: Path, method: int) -> None:
    path = packed(tmp_path / "set.npz", method, x=("|u1", (12, 4, 4)), y=("|u1", (12,)))
    with pytest.raises(InputError, match=r"x is compressed by another method than numpy\.savez_compressed uses"):
        open_data(str(path), tmp_path / "cache")


def test_an_image_of_absurd_size_is_refused_by_its_header_even_where_it_would_be_resized(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.npz", zipfile.ZIP_DEFLATED, x=("|u1", (1, 8000, 8001)), y=("|u1", (1,)))
    with little_memory(), pytest.raises(InputError, match=r"x has images of 8000x8001 pixels; the limit is 50 m"):
        open_data(str(path), tmp_path / "cache", image_size=(4, 4))


def test_a_failure_of_the_machine_is_no_damaged_file(tmp_path: Path) -> None:
    opened(tmp_path, x=GREY, y=LABELS)
    with too_many_open_files(), pytest.raises(OSError, match=r"Too many open files: .*set\.npz"):
        open_data(str(tmp_path / "set.npz"), tmp_path / "cache")


def test_a_file_that_changes_between_its_hash_and_its_decoding_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "set.npz", tmp_path / "other.npz"
    for place, value in ((path, 1), (other, 2)):
        np.savez(place, x=np.full((100, 4, 4), value, np.uint8), y=np.arange(100) % 2)
    os.utime(other, (0, 0))
    with pytest.raises(InputError, match=r"^.*set\.npz changed while it was read\. Try again"):
        open_data(str(path), tmp_path / "cache", step=lambda what: lambda *_: other.replace(path))
    assert not list((tmp_path / "cache").iterdir())


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["CONVSEARCH_ATTACK"],)


@pytest.mark.parametrize("key", ["x", "y"])
def test_arrays_of_objects_are_refused_and_never_unpickled(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "attacked"
    monkeypatch.setenv("CONVSEARCH_ATTACK", str(target))
    arrays = {"x": GREY, "y": LABELS} | {key: np.array([Attack()] * 12, dtype=object)}
    assert f"{key} is an array of Python objects" in refused(tmp_path, **arrays)
    assert not target.exists()


def test_a_pickle_in_place_of_an_array_is_refused_and_never_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "attacked"
    monkeypatch.setenv("CONVSEARCH_ATTACK", str(target))
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Attack()))
        archive.writestr("y.npy", pickle.dumps(Attack()))
    with pytest.raises(InputError, match="x cannot be read"):
        open_data(str(path), tmp_path / "cache")
    assert not target.exists()


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(InputError, match=r"set\.npz holds no arrays"):
        open_data(str(path), tmp_path / "cache")
