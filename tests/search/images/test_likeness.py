"""Near copies are told from images that only look alike."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

from convsearch.search.data.groups import united
from convsearch.search.images.likeness import near_copies

Edit = Callable[[Image.Image], Image.Image]


def saved_anew(image: Image.Image) -> Image.Image:
    packed = BytesIO()
    image.save(packed, "JPEG", quality=50)
    return Image.open(packed)


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 100, height // 100, width - width // 100, height - height // 100))


def brighter(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.1)


def darker(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(0.9)


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Parts of two photographs, none of which has anything in common with another."""
    whole = [Image.fromarray(image) for image in load_sample_images().images]
    return [image.crop((x, y, x + 320, y + 213)) for image in whole for x in (0, 320) for y in (0, 213)]


def arrays(images: list[Image.Image], side: int = 64, mode: str = "RGB") -> np.ndarray:
    found = np.stack([np.asarray(image.convert(mode).resize((side, side))) for image in images])
    return found.reshape(len(images), side, side, len(mode) if mode == "RGB" else 1)


def numbers_of(images: np.ndarray) -> np.ndarray:
    return united(len(images), near_copies(images, np.arange(len(images))))


@pytest.mark.parametrize("side", [32, 64, 96])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("edit", [saved_anew, halved, cropped, brighter, darker])
def test_near_copies_are_joined_with_their_pictures_and_pictures_with_no_other(
    pictures: list[Image.Image], edit: Edit, mode: str, side: int
) -> None:
    numbers = numbers_of(arrays([*pictures, *map(edit, pictures)], side, mode))
    count = len(pictures)
    assert np.array_equal(numbers[:count], np.arange(count))
    assert np.array_equal(numbers[count:], np.arange(count))


def test_only_the_chosen_images_are_looked_at(pictures: list[Image.Image]) -> None:
    images = arrays([*pictures[:3], *pictures[:3]])
    assert near_copies(images, np.array([0, 1, 4, 5])).tolist() == [[1, 4]]
    assert near_copies(images, np.array([], dtype=np.int64)).shape == (0, 2)


def test_images_of_other_colours_or_without_contrast_are_no_copies() -> None:
    plain = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "white", "#fefefe")]
    assert len(near_copies(arrays(plain), np.arange(4))) == 0
    # A disc in front of a plain ground, red or green but as bright: classes that only their colours tell apart.
    y, x = np.mgrid[:64, :64]
    disc = (y - 30) ** 2 + (x - 30) ** 2 < 300
    discs = [np.where(disc[..., np.newaxis], colour, 20).astype(np.uint8) for colour in ((200, 0, 0), (0, 102, 0))]
    assert len(near_copies(np.stack(discs), np.arange(2))) == 0


def test_where_more_images_look_alike_than_are_compared_at_a_time_all_are_joined(pictures: list[Image.Image]) -> None:
    random = np.random.default_rng(0)
    images = np.repeat(arrays(pictures[:2], 32), [700, 1], axis=0)
    images = np.clip(images + random.integers(-2, 3, images.shape), 0, 255).astype(np.uint8)
    numbers = numbers_of(images)
    assert (numbers[:700] == 0).all()
    assert numbers[700] != 0


def test_it_is_told_how_far_hashing_and_comparing_are(pictures: list[Image.Image]) -> None:
    told: dict[str, list[tuple[int, ...]]] = {}
    images, count = np.repeat(arrays(pictures[:1], 16), 1100, axis=0), 1100
    near_copies(images, np.arange(count), lambda what: lambda *far: told.setdefault(what, []).append(far))
    assert told["perceptual hashes computed"] == [(512, count), (1024, count)]
    pairs = count * (count - 1) // 2
    left = [588 * 587 // 2, 76 * 75 // 2]  # those among the images that were not the first of a pair yet
    assert told["pairs compared"] == [(pairs - rest, pairs) for rest in left]
