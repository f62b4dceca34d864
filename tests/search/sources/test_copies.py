"""Copies among the images of a source, from the files to the split."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
from image_files import written
from PIL import Image
from sklearn.datasets import load_sample_images

from convsearch.search.data import Dataset, Split, split
from convsearch.search.sources import open_data
from convsearch.spaces.errors import InputError

MakeClasses = Callable[..., Path]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Twelve different parts of two photographs, half of them called flower, and one at half its size."""
    root = tmp_path / "set"
    for name, whole in zip(("china", "flower"), load_sample_images().images, strict=True):
        (root / name).mkdir(parents=True)
        for number, (x, y) in enumerate((x, y) for x in (0, 210, 420) for y in (0, 213)):
            Image.fromarray(whole[y : y + 213, x : x + 210]).save(root / name / f"{number}.jpg", quality=95)
    with Image.open(root / "flower/1.jpg") as image:
        image.resize((105, 106)).save(root / "flower/small.jpg", quality=60)
    return root


def sides(parts: Split, images: list[int]) -> set[int]:
    """Return the parts that these images are in."""
    every = (parts.train, parts.val, parts.test)
    return {number for number, part in enumerate(every) for image in images if image in part}


@pytest.mark.parametrize("size", [None, (32, 32)])
def test_near_copies_are_counted_and_kept_on_one_side_whatever_the_size(
    photographs: Path, cache: Path, size: tuple[int, int] | None
) -> None:
    dataset = open_data(str(photographs), cache, image_size=size)
    assert "1 of 13 images are near copies of others; each lot is kept on one side of the split" in dataset.notes
    assert dataset.groups().tolist() == [*range(12), 7]
    assert all(len(sides(split(dataset, seed), [7, 12])) == 1 for seed in range(20))


def test_thumbnails_have_exact_copies_only(photographs: Path, cache: Path) -> None:
    for path in photographs.rglob("*.jpg"):
        with Image.open(path) as image:
            small = image.resize((80, 64))
        small.save(path)
    dataset = open_data(str(photographs), cache)
    assert len(np.unique(dataset.groups())) == 13
    assert not any("copies" in note for note in dataset.notes)


def test_a_near_copy_of_a_large_image_is_found_although_most_are_thumbnails(
    photographs: Path, cache: Path, make_classes: MakeClasses
) -> None:
    make_classes(photographs, {"china": 30, "flower": 30})
    dataset = open_data(str(photographs), cache)
    assert dataset.input[:2] == (8, 8)
    assert any("near copies" in note for note in dataset.notes)


def test_copies_with_different_labels_and_a_picture_that_is_there_often_are_named(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 9, "dog": 9})
    for number in range(3):
        shutil.copy(root / "cat/1.png", root / f"cat/x{number}.png")
        shutil.copy(root / "cat/1.png", root / f"dog/x{number}.png")
    notes = open_data(str(root), cache).notes
    assert "often: cat/1.png is there 7 times; delete it if it only says that there is no picture" in notes
    assert "labels that differ: 1 lot of copies, such as cat/1.png ('cat') and dog/x0.png ('dog')" in notes


def test_copies_in_parts_that_are_given_stay_there_and_are_named(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    for part in ("train", "val", "test"):
        make_classes(tmp_path / "set" / part, {"cat": 5, "dog": 5})
    shutil.copy(tmp_path / "set/train/cat/1.png", tmp_path / "set/test/cat/again.png")
    dataset = open_data(str(tmp_path / "set"), cache)
    assert "1 of 31 images are exact copies of others" in dataset.notes
    assert (
        "in several parts of the data: 1 lot of copies, such as test/cat/again.png and train/cat/1.png; this inflates "
        "the scores"
    ) in dataset.notes
    parts = split(dataset, 0)
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [10, 10, 11]


def test_a_class_of_copies_of_one_picture_is_refused_when_it_is_to_be_divided(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 9, "owl": 1})
    for number in range(1, 6):
        shutil.copy(root / "owl/0.png", root / f"owl/{number}.png")
    with pytest.raises(InputError, match=r"no image of 'owl' is left to test on.* are 1 such lot, of 6 images"):
        split(open_data(str(root), cache), 0)


def as_an_earlier_version_left_it(dataset: Dataset) -> None:
    """Take the groups away, and tell of the copies as earlier versions did."""
    (dataset.folder / "groups.npy").unlink()
    described = json.loads((dataset.folder / "data.json").read_text())
    del described["tolerant"]
    described["notes"] = [
        "1 of 13 images are exact copies of others; copies on both sides of a split inflate the scores"
    ]
    (dataset.folder / "data.json").write_text(json.dumps(described))


def test_arrays_of_an_earlier_version_get_their_groups_once(photographs: Path, cache: Path) -> None:
    shutil.copy(photographs / "china/1.jpg", photographs / "china/again.jpg")
    first = open_data(str(photographs), cache)
    as_an_earlier_version_left_it(first)
    images = first.folder / "images.npy"
    before = written(images)
    second = open_data(str(photographs), cache)
    assert second.notes == first.notes
    assert np.array_equal(second.groups(), first.groups())
    assert written(images) == before, "they are not decoded again"
    before = written(*sorted(first.folder.iterdir()))
    assert open_data(str(photographs), cache).notes == first.notes
    assert written(*sorted(first.folder.iterdir())) == before


def test_several_launches_that_give_groups_to_the_same_arrays_agree(photographs: Path, cache: Path) -> None:
    first = open_data(str(photographs), cache)
    as_an_earlier_version_left_it(first)
    at_once, found = Barrier(3), []

    def launch() -> None:
        at_once.wait(60)
        found.append(open_data(str(photographs), cache))

    launches = [Thread(target=launch) for _ in range(3)]
    for thread in launches:
        thread.start()
    for thread in launches:
        thread.join()
    assert [dataset.notes for dataset in found] == [first.notes] * 3
    assert sorted(path.name for path in first.folder.iterdir()) == [
        "data.json",
        "given.npy",
        "groups.npy",
        "images.npy",
        "labels.npy",
    ]


def test_arrays_from_an_npz_of_an_earlier_version_get_the_groups_that_their_pixels_tell(
    tmp_path: Path, cache: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    pixels[5] = pixels[3]
    np.savez(tmp_path / "set.npz", x=pixels, y=np.arange(20) % 2)
    for size, count in (((6, 6), 19), ((5, 5), 20)):
        first = open_data(str(tmp_path / "set.npz"), cache, image_size=size)
        assert len(np.unique(first.groups())) == 19
        as_an_earlier_version_left_it(first)
        # At another size images may be alike that are no copies.
        assert len(np.unique(open_data(str(tmp_path / "set.npz"), cache, image_size=size).groups())) == count
