"""Images that cannot be read, and what is left without them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import cut
from PIL import Image
from refusals import refused

from convsearch.search.images.decoding import decode
from convsearch.search.sources import open_data
from convsearch.spaces.errors import InputError

SaveImage = Callable[..., Path]
MakeClasses = Callable[..., Path]


def test_a_truncated_jpeg_is_named_and_skip_bad_goes_on_without_it(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    cut(save_image(root / "cat/broken.jpg", height=64, width=64))
    message = refused(root, cache)
    assert "1 of 9 images cannot be read" in message
    assert "cat/broken.jpg: damaged: " in message
    assert "--skip-bad" in message

    dataset = open_data(str(root), cache, skip_bad=True)
    assert dataset.class_counts() == {"cat": 4, "dog": 4}
    assert dataset.images().shape[0] == len(dataset.labels()) == len(dataset.given) == 8
    assert [line.split(":")[0] for line in dataset.bad] == ["cat/broken.jpg"]
    assert any("skipped: 1 of 9 images" in note for note in dataset.notes)
    dogs = [decode(root / f"dog/{i}.png", (8, 8), 3) for i in range(4)]
    assert np.array_equal(dataset.images()[dataset.labels() == 1], dogs)


def test_arrays_made_without_the_bad_images_do_not_hide_them_the_next_time(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    (root / "cat/empty.png").touch()
    open_data(str(root), cache, skip_bad=True)
    with pytest.raises(InputError, match=r"1 of 9 images cannot be read:\n  cat/empty.png: empty file"):
        open_data(str(root), cache)


def test_all_bad_images_are_named_in_one_report_each_with_its_reason(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    (root / "cat/empty.png").touch()
    (root / "dog/text.jpg").write_text("<html>404 Not Found</html>")
    cut(save_image(root / "dog/half.png", height=64, width=64))
    Image.new("1", (8000, 8000)).save(root / "dog/huge.png")
    message = refused(root, cache)
    assert "4 of 12 images cannot be read" in message
    assert "cat/empty.png: empty file" in message
    assert "dog/text.jpg: damaged, or not an image" in message
    assert "dog/half.png: damaged: " in message
    assert "dog/huge.png: 8000x8000 pixels; the limit is 50 million" in message
    assert len(open_data(str(root), cache, skip_bad=True).bad) == 4


@pytest.mark.parametrize("count", [33, 513])
def test_up_to_500_bad_images_are_all_named_and_those_left_out_in_data_json(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, count: int
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "dog": 4})
    names = [f"empty{i:03}" for i in range(count)]
    for name in names:
        (root / f"cat/{name}.png").touch()
    message = refused(root, cache)
    assert re.findall(r"empty\d\d\d", message) == names[:500]
    assert ("and 13 more" in message) == (count > 500)
    folder = open_data(str(root), cache, skip_bad=True).folder
    bad = json.loads((folder / "data.json").read_text(encoding="utf-8"))["bad"]
    assert bad == [f"cat/{name}.png: empty file" for name in names]


def test_a_folder_of_nothing_but_bad_images_is_refused_even_when_they_may_be_skipped(
    tmp_path: Path, cache: Path
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "set" / name / f"{i}.png").touch()
    message = refused(tmp_path / "set", cache, skip_bad=True)
    assert "6 of 6 images cannot be read" in message
    assert "None is left" in message


def test_a_class_with_too_few_images_after_skipping_is_refused(
    tmp_path: Path, cache: Path, make_classes: MakeClasses
) -> None:
    root = make_classes(tmp_path / "set", {"cat": 4, "owl": 1})
    for i in range(5):
        (root / f"owl/empty{i}.png").touch()
    message = refused(root, cache, skip_bad=True)
    assert "too few images after the bad ones were left out: 'owl' has 1" in message


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        (("train", "val", "test"), "train"),
        (("train", "val", "test"), "val"),
        (("train", "val", "test"), "test"),
        (("train", "val"), "val"),
        (("train", "test"), "test"),
    ],
)
def test_a_part_of_which_no_image_can_be_read_is_refused_and_not_taken_from_the_others(
    tmp_path: Path, cache: Path, make_classes: MakeClasses, parts: tuple[str, ...], place: str
) -> None:
    for part in parts:
        make_classes(tmp_path / "set" / part, {"cat": 9, "dog": 9})
    for image in (tmp_path / "set" / place).rglob("*.png"):
        cut(image)
    message = refused(tmp_path / "set", cache, skip_bad=True)
    assert f"{place}/: no image can be read. Put others there" in message
    assert ("or remove it" in message) == (place != "train")
