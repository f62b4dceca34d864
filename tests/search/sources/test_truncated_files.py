"""Files that lack their ends among the images of a source: read and noted, and arrays that earlier versions made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import cut, noise, written
from PIL import Image
from refusals import refused

from convsearch.search.data import Dataset
from convsearch.search.images.decoding import decode
from convsearch.search.sources import open_data
from convsearch.search.sources.open import scan
from convsearch.search.sources.store import stored
from convsearch.spaces.sizes import Size

NOTE = "2 of 12 images lack their end and are read as far as they go, such as cat/3.jpg"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve images of noise, of which a JPEG and a PNG lack a few bytes."""
    random = np.random.default_rng(0)
    for name, ending in (("cat", "jpg"), ("dog", "png")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(6):
            pixels = random.integers(0, 256, (64, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{number}.{ending}")
    for path in (tmp_path / "set/cat/3.jpg", tmp_path / "set/dog/5.png"):
        path.write_bytes(path.read_bytes()[:-60])
    return tmp_path / "set"


def earlier(root: Path, cache: Path) -> Dataset:
    """Return the arrays that an earlier version made, without the images that lack their ends."""
    found = stored(
        scan(str(root)), Size(64, 48), "stretch", cache, skip_bad=True, step=None, begun="0123456789abcdef-64x48x3"
    )
    (found.folder / "groups.npy").unlink()
    described = json.loads((found.folder / "data.json").read_text())
    del described["tolerant"]
    (found.folder / "data.json").write_text(json.dumps(described))
    return Dataset.load(found.folder)


def test_images_that_lack_their_end_are_read_and_counted_at_every_launch(root: Path, cache: Path) -> None:
    for _ in range(2):
        dataset = open_data(str(root), cache)
        assert NOTE in dataset.notes
        assert not dataset.bad
        assert np.array_equal(dataset.images()[3], decode(root / "cat/3.jpg", (64, 48), 3))
    assert len(list(cache.iterdir())) == 1


def test_what_lacks_more_is_bad_and_may_be_skipped(root: Path, cache: Path) -> None:
    cut(root / "cat/3.jpg")
    Image.fromarray(noise(64, 48)).save(root / "dog/a.webp")
    cut(root / "dog/a.webp", 0.99)
    message = refused(root, cache)
    assert "2 of 13 images cannot be read" in message
    assert "cat/3.jpg: damaged: image file is truncated" in message
    assert "dog/a.webp: damaged" in message
    dataset = open_data(str(root), cache, skip_bad=True)
    assert "1 of 13 images lack their end and are read as far as they go, such as dog/5.png" in dataset.notes
    assert len(dataset) == 11


def test_arrays_in_which_an_earlier_version_left_such_images_out_stay_and_others_are_made(
    root: Path, cache: Path
) -> None:
    before = earlier(root, cache)
    assert len(before) == 10
    assert [line.split(":")[0] for line in before.bad] == ["cat/3.jpg", "dog/5.png"]
    files = written(*sorted(before.folder.iterdir()))
    for _ in range(2):
        dataset = open_data(str(root), cache)
        assert (len(dataset), dataset.bad) == (12, ())
        assert dataset.folder.name == f"{before.folder.name}-truncated"
    assert written(*sorted(before.folder.iterdir())) == files


def test_a_study_that_began_with_either_gets_the_same_images_again_whether_their_arrays_are_still_there_or_not(
    root: Path, cache: Path
) -> None:
    source, size = scan(str(root)), Size(64, 48)
    datasets = [earlier(root, cache), open_data(str(root), cache)]
    for there in (True, False):
        for dataset in datasets:
            if not there:
                shutil.rmtree(dataset.folder)
            begun = dataset.folder.name
            again = stored(source, size, "stretch", cache, skip_bad=True, step=None, begun=begun)
            assert (again.folder, again.rows, again.bad) == (dataset.folder, dataset.rows, dataset.bad)


def test_arrays_without_bad_images_that_only_lack_their_end_are_taken_as_they_are(root: Path, cache: Path) -> None:
    for path in (root / "cat/3.jpg", root / "dog/5.png"):
        cut(path)
    before = earlier(root, cache)
    images = written(before.folder / "images.npy")
    calls: list[int] = []
    for _ in range(2):
        dataset = open_data(str(root), cache, skip_bad=True, step=lambda what: lambda done, _: calls.append(done))
        assert dataset.folder == before.folder
        assert (dataset.folder / "groups.npy").exists()
    assert written(before.folder / "images.npy") == images
    assert calls == [12], "the first time it is found out what the bad ones lack"


def test_a_png_that_lacks_no_pixel_was_read_by_earlier_versions_too(root: Path, cache: Path) -> None:
    for name in ("cat/3.jpg", "dog/5.png"):
        Image.fromarray(noise(64, 48)).save(root / name)
    (root / "dog/5.png").write_bytes((root / "dog/5.png").read_bytes()[:-5])
    before = earlier(root, cache)
    assert len(before) == 12
    assert open_data(str(root), cache).folder == before.folder


MakeClasses = Callable[..., Path]


def test_texts_beside_class_folders_and_in_them_are_passed_over(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 60, "dog": 60})
    for name in ("README", "README.md", "train.csv", "LICENSE", "labels.json", "cat/notes.txt", "dog/boxes.xml"):
        (root / name).write_text("image,label\ncat/0.png,cat\n")
    dataset = open_data(str(root), cache)
    assert dataset.class_counts() == {"cat": 60, "dog": 60}
    assert dataset.notes == ()
