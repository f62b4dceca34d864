"""Images of one pixel, and of one row: read, or refused in words."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from searches import prepared

from convsearch.search.data import split
from convsearch.search.sources import open_data
from convsearch.search.study.home import Home
from convsearch.spaces.errors import InputError
from convsearch.spaces.sizes import Size

LONG = 10_000


def folder_of(place: Path, *shapes: tuple[int, int], ending: str = "png") -> Path:
    """Make six images of each shape in two classes."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (place / name).mkdir(parents=True)
        for number in range(6):
            for height, width in shapes:
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / name / f"{height}x{width}-{number}.{ending}")
    return place


def test_images_of_one_pixel_are_read_and_divided(tmp_path: Path, cache: Path) -> None:
    dataset = open_data(str(folder_of(tmp_path / "set", (1, 1))), cache)
    assert dataset.input == (1, 1, 3)
    assert split(dataset, 0).divides(12)


def test_a_study_begins_with_images_of_one_pixel(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "set", (1, 1))
    assert prepared(Home(tmp_path / "home"), data=str(root), space="tiny", trials=1).study.sizes == (Size(1, 1),)


@pytest.mark.parametrize("shape", [(1, LONG), (LONG, 1)])
def test_a_study_of_images_of_one_long_row_is_refused_in_words(tmp_path: Path, shape: tuple[int, int]) -> None:
    root = folder_of(tmp_path / "set", shape)
    with pytest.raises(InputError, match=f"the size of the images is {shape[0]}x{shape[1]}: each side must be from 1"):
        prepared(Home(tmp_path / "home"), data=str(root), space="tiny", trials=1)


@pytest.mark.parametrize("shape", [(1, LONG), (LONG, 1)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_images_of_one_row_are_refused_at_their_own_size_and_read_at_another(
    tmp_path: Path, cache: Path, shape: tuple[int, int], ending: str
) -> None:
    root = folder_of(tmp_path / "set", shape, ending=ending)
    message = refused(root, cache)
    assert f"the size of the images is {shape[0]}x{shape[1]}: each side must be from 1 to " in message
    dataset = open_data(str(root), cache, image_size=(16, 16))
    assert split(dataset, 0).divides(12)


def test_one_pixel_and_one_row_among_photographs_are_images_like_others(tmp_path: Path, cache: Path) -> None:
    root = folder_of(tmp_path / "set", (80, 90), (1, 1), (LONG, 1), (90, 80), (100, 80))
    dataset = open_data(str(root), cache)
    assert len(dataset) == 60
    assert not dataset.bad
    assert len(np.unique(dataset.groups())) == 60


@pytest.mark.parametrize("shape", [(1, 1), (1, LONG), (LONG, 1)])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_such_a_file_that_lacks_its_end_is_read_or_bad(
    tmp_path: Path, cache: Path, shape: tuple[int, int], ending: str
) -> None:
    root = folder_of(tmp_path / "set", (8, 8), shape, ending=ending)
    path = root / f"cat/{shape[0]}x{shape[1]}-0.{ending}"
    content = path.read_bytes()
    for end in (len(content) - 1, len(content) * 9 // 10, len(content) // 2):
        path.write_bytes(content[:end])
        dataset = open_data(str(root), cache, image_size=(8, 8), skip_bad=True)
        assert len(dataset) + len(dataset.bad) == 24
