import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from convsearch.search.data import split
from convsearch.search.sources import open_data
from convsearch.search.values.columns import Columns
from convsearch.spaces.errors import InputError


def test_the_embedded_digits_are_1797_grey_images_of_ten_classes_from_0_to_255(cache: Path) -> None:
    digits = open_data("digits", cache)
    images = digits.images()
    assert images.shape == (1797, 8, 8, 1)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert digits.input == (8, 8, 1)
    assert digits.classes == tuple("0123456789")
    assert digits.class_counts()["0"] == 178
    assert digits.labels().dtype == np.int32
    assert digits.name == digits.source == "digits"
    assert not digits.given.any()
    assert not digits.bad


def test_the_embedded_digits_are_those_of_scikit_learn(cache: Path) -> None:
    digits, theirs = open_data("digits", cache), load_digits()
    assert np.array_equal(digits.images()[..., 0], np.rint(theirs.images * (255 / 16)))
    assert np.array_equal(digits.labels(), theirs.target)


def test_the_images_are_mapped_into_memory_and_cannot_be_changed(cache: Path) -> None:
    images = open_data("digits", cache).images()
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_the_digits_can_be_enlarged_and_both_sizes_are_kept_side_by_side(cache: Path) -> None:
    small = open_data("digits", cache)
    large = open_data("digits", cache, image_size=(16, 12))
    assert large.input == (16, 12, 1)
    assert large.fingerprint == small.fingerprint
    assert large.folder != small.folder
    assert "image size 16x12: 1,797 of 1,797 images have another and are resized" in large.notes
    assert sorted(path.name for path in cache.iterdir()) == sorted([small.folder.name, large.folder.name])


def test_the_digits_can_be_split_at_once(cache: Path) -> None:
    parts = split(open_data("digits", cache), seed=1)
    assert len(parts.train) + len(parts.val) + len(parts.test) == 1797


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("digit", "'digits'"), ("cifar10", "'keras:cifar10'"), ("keras:cifar11", "'keras:cifar10'")],
)
def test_an_unknown_name_is_answered_with_the_nearest_right_one(cache: Path, wrong: str, right: str) -> None:
    with pytest.raises(InputError) as error:
        open_data(wrong, cache)
    assert f"'{wrong}'" in str(error.value)
    assert f"did you mean {right}?" in str(error.value)
    assert not cache.exists()


@pytest.mark.parametrize("odd", ["a" * 5000, "a\0b", "~nobody-has-this-name/images"])
def test_a_path_that_cannot_be_is_an_input_error(cache: Path, odd: str) -> None:
    with pytest.raises(InputError, match="Known"):
        open_data(odd, cache)


def test_a_missing_path_is_named(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere/images: no such folder or file"):
        open_data(str(tmp_path / "nowhere/images"), cache)


def test_an_empty_name_is_an_input_error(cache: Path) -> None:
    with pytest.raises(InputError, match="Known: digits"):
        open_data("", cache)


def test_a_file_that_is_no_npz_is_refused_with_what_would_be_right(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "images.xls"
    path.write_text("1,2,3\n")
    with pytest.raises(
        InputError, match=r"images\.xls is a file; expected a folder .*, a table of labels .* or an \.npz file"
    ):
        open_data(str(path), cache)


@pytest.mark.parametrize("size", [(0, 32), (32, 0), (-1, 32), (4097, 32), (32, 10**9)])
def test_an_absurd_image_size_is_refused(cache: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]}: each side must be from 1 to 4096 pixels"):
        open_data("digits", cache, image_size=size)
    assert not cache.exists()


def test_a_folder_whose_own_name_is_not_utf8_is_refused(tmp_path: Path, cache: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/B\xe4r"))
    folder.mkdir()
    with pytest.raises(InputError, match=r"B\\xe4r: the path is not valid UTF-8"):
        open_data(str(folder), cache)


@pytest.mark.parametrize("kind", ["digits", "folder", "npz"])
def test_columns_are_said_of_tables_alone(tmp_path: Path, cache: Path, kind: str) -> None:
    (tmp_path / "set.npz").touch()
    spec = {"digits": "digits", "folder": str(tmp_path), "npz": str(tmp_path / "set.npz")}[kind]
    with pytest.raises(InputError, match=rf"--group-column day: only a table has columns, and --data {spec} is none"):
        open_data(spec, cache, columns=Columns(group="day"))
