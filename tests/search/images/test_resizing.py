"""Smaller arrays of a data set: made once from the largest, as a bundle makes the input of its model."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from convsearch.search.data import Dataset
from convsearch.search.export.preprocessing import Preprocessing
from convsearch.search.images.decoding import resized
from convsearch.search.images.resizing import at_size
from convsearch.search.sources import open_data
from convsearch.spaces.errors import WorkError
from convsearch.spaces.sizes import FITS, Fit

MakeClasses = Callable[..., Path]
SaveImage = Callable[..., Path]


@pytest.fixture
def large(tmp_path: Path, make_classes: MakeClasses) -> Dataset:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4}, height=30, width=40)
    return open_data(str(root), tmp_path / "cache")


def test_a_smaller_array_is_made_once_beside_the_largest(large: Dataset) -> None:
    small = at_size(large, (15, 20))
    assert small.images().shape == (8, 15, 20, 3)
    assert np.array_equal(small.images()[3], resized(large.images()[3], (15, 20)))
    assert (small.labels() == large.labels()).all()
    file = large.folder / "images-15x20.npy"
    before = file.stat().st_mtime_ns
    assert np.array_equal(at_size(Dataset.load(large.folder), (15, 20)).images(), small.images())
    assert file.stat().st_mtime_ns == before


def test_at_its_own_size_a_data_set_is_what_it_is(large: Dataset) -> None:
    assert at_size(large, (30, 40)) is large
    assert [path.name for path in large.folder.glob("images*")] == ["images.npy"]


def test_those_who_ask_at_once_get_one_array_and_leave_nothing_else(large: Dataset) -> None:
    names = {path.name for path in large.folder.iterdir()}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: at_size(large, (10, 10)).images().sum(), range(8)))
    assert len(set(found)) == 1
    assert {path.name for path in large.folder.iterdir()} == names | {"images-10x10.npy"}


@pytest.mark.parametrize("content", [b"", b"no array", None], ids=["empty", "other", "cut"])
def test_a_damaged_array_is_made_anew(content: bytes | None, large: Dataset) -> None:
    whole = np.array(at_size(large, (10, 10)).images())
    file = large.folder / "images-10x10.npy"
    file.write_bytes(file.read_bytes()[:-5] if content is None else content)
    assert np.array_equal(at_size(large, (10, 10)).images(), whole)


def test_an_array_for_which_the_disk_has_no_room_is_refused_with_what_is_needed_and_what_is_there(
    large: Dataset,
) -> None:
    names = {path.name for path in large.folder.iterdir()}
    refusal = (
        rf"^{large.source}: 8 images of 1000000x1000000x3 need 24\.0 TB in {large.folder}, where .*B are free\. Make"
    )
    with pytest.raises(WorkError, match=refusal):
        at_size(large, (1_000_000, 1_000_000))
    assert {path.name for path in large.folder.iterdir()} == names


def test_a_disk_that_is_full_only_when_the_array_is_written_says_so_too(
    large: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {path.name for path in large.folder.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(
            WorkError, match=rf"15x20x3 have no room in {large.folder}: Disk quota exceeded\. Make room"
        ):
            at_size(large, (15, 20))
    assert {path.name for path in large.folder.iterdir()} == names
    assert at_size(large, (15, 20)).has_images()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(30, 40), (15, 20), (16, 16), (50, 45)])
def test_a_file_becomes_the_input_of_a_network_as_it_was_in_training(
    size: tuple[int, int], fit: Fit, tmp_path: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 3, "dog": 3}, height=30, width=40)
    save_image(root / "cat" / "tall.png", height=64, width=20)
    dataset = open_data(str(root), tmp_path / "cache", image_size=(30, 40), fit=fit)
    images = at_size(dataset, size).images()
    files = sorted(path for path in root.rglob("*.png"))
    for file, image in zip(files, images, strict=True):
        assert np.array_equal(Preprocessing.of(dataset).read(file, (*size, 3)), image)
