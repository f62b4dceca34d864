"""Which augmentation a long training adds: a trial's own network is asked what keeps the labels."""

from pathlib import Path

import numpy as np
import pytest

from convsearch.search.data import Dataset, split
from convsearch.search.sources import open_data
from convsearch.search.study.trial import Trial
from convsearch.search.training.augmentation import augmentations, mirrored, shifted
from convsearch.search.training.trial import train
from convsearch.search.values.answers import answered
from convsearch.search.values.job import Job, Length, Probes
from convsearch.search.values.proposal import Proposal
from convsearch.search.winner.recipe import UNSURE, for_long_training, is_worth_adding
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace


def two_classes(place: Path, *, swapped_by_a_mirror: bool, mislabelled: float = 0.0) -> Dataset:
    """Ramps that rise from left to right or from right to left; or from left to right or from top to bottom.

    Of a mislabelled share nobody can be right.
    """
    random = np.random.default_rng(0)
    rising = np.tile(np.linspace(30, 220, 8), (8, 1))
    other = rising[:, ::-1] if swapped_by_a_mirror else rising.T
    clean = np.stack([np.abs(rising - 125), np.abs(other - 125)] if not swapped_by_a_mirror else [rising, other])
    labels = np.arange(200) % 2
    images = np.clip(clean[labels] + random.normal(0, 20, (200, 8, 8)), 0, 255).astype("uint8")
    labels = np.where(random.random(200) < mislabelled, 1 - labels, labels)
    np.savez(place / "ramps.npz", x_train=images, y_train=labels)
    return open_data(str(place / "ramps.npz"), place / "data")


def trained(dataset: Dataset, place: Path, about: dict[str, float]) -> Trial:
    """A trial that has learnt to tell the two classes apart."""
    split(dataset, seed=0).save(place / "split.npz")
    candidate = Candidate(
        architecture=Architecture(
            input=dataset.input, layers=(Layer(filters=8),), head=Head(pooling="flatten"), classes=2
        ),
        recipe=Recipe(batch_size=16, learning_rate=1e-2),
    )
    job = Job(
        number=0,
        candidate=candidate,
        data=str(dataset.folder),
        split=str(place / "split.npz"),
        seed=0,
        weights=str(place / "0.weights.h5"),
        probes=Probes(augmentations=about),
        length=Length(epochs=8, patience=8),
    )
    return Trial.begin(Proposal(0, {}, candidate)).end("complete", train(job, lambda report: True), 0.0)


FLIP = {"augmentation.translation": "off"}  # the space leaves the mirror open, and nothing else


@pytest.mark.parametrize("swapped", [False, True], ids=["labels kept", "labels swapped"])
def test_a_long_training_sees_mirrored_images_where_a_mirror_keeps_the_labels(tmp_path: Path, swapped: bool) -> None:
    dataset = two_classes(tmp_path, swapped_by_a_mirror=swapped)
    trial = trained(dataset, tmp_path, {"horizontal_flip": 1.0})
    assert trial.val_accuracy[-1] > 0.9
    assert trial.varied["horizontal_flip"] < 0.1 if swapped else trial.varied["horizontal_flip"] > 0.9

    space = SearchSpace(answered(load("classic"), FLIP), dataset.input, 2)
    other, manner = for_long_training(trial, space)
    assert other.recipe.augmentation.horizontal_flip is not swapped
    assert other.architecture == trial.candidate.architecture
    assert ("with mirrored images too" in manner) is not swapped


@pytest.mark.parametrize("mislabelled", [0.0, 0.25], ids=["nearly always right", "much to gain"])
def test_a_long_training_sees_shifted_images_where_a_shift_keeps_the_labels_and_there_is_much_to_gain(
    tmp_path: Path, mislabelled: float
) -> None:
    dataset = two_classes(tmp_path, swapped_by_a_mirror=True, mislabelled=mislabelled)
    trial = trained(dataset, tmp_path, {"horizontal_flip": 1.0, "translation": 0.12})
    assert (trial.val_accuracy[-1] < UNSURE) is bool(mislabelled)
    assert trial.varied["translation"] > 0.9 * trial.val_accuracy[-1]

    space = SearchSpace(load("classic"), dataset.input, 2)
    assert augmentations(trial.candidate, space) == {"horizontal_flip": 1.0, "translation": 0.12}
    other, manner = for_long_training(trial, space)
    assert other.recipe.augmentation.translation == (0.12 if mislabelled else 0.0)
    assert not other.recipe.augmentation.horizontal_flip
    assert ("with shifted images too" in manner) is bool(mislabelled)


def test_what_the_space_or_the_search_has_settled_is_not_asked_again(tmp_path: Path) -> None:
    dataset = two_classes(tmp_path, swapped_by_a_mirror=False)
    trial = trained(dataset, tmp_path, {"horizontal_flip": 1.0})
    settled = answered(load("classic"), FLIP | {"augmentation.horizontal_flip": "off"})
    space = SearchSpace(settled, dataset.input, 2)
    assert augmentations(trial.candidate, space) == {}
    assert for_long_training(trial, space) == (trial.candidate, "")


def test_a_trial_that_was_not_asked_is_trained_as_it_was(tmp_path: Path) -> None:
    dataset = two_classes(tmp_path, swapped_by_a_mirror=False)
    trial = trained(dataset, tmp_path, {})
    assert trial.varied == {}
    space = SearchSpace(load("classic"), dataset.input, 2)
    assert for_long_training(trial, space) == (trial.candidate, "")


@pytest.mark.parametrize(
    ("augmentation", "plain", "varied", "worth"),
    [
        ("horizontal_flip", 0.6, 0.59, True),
        ("horizontal_flip", 0.6, 0.5, False),
        ("horizontal_flip", 0.98, 0.36, False),
        ("translation", 0.66, 0.57, True),  # what photographs of 32 x 32 pixels lose
        ("translation", 0.8, 0.36, False),  # what digits of 8 x 8 lose
        ("horizontal_flip", 0.98, 0.98, True),
        ("translation", 0.98, 0.98, False),  # nearly always right: shifts cost it more than they bring
    ],
)
def test_a_small_loss_is_allowed_where_there_is_more_to_gain(
    augmentation: str, plain: float, varied: float, worth: bool
) -> None:
    assert is_worth_adding(augmentation, plain, varied) is worth


def test_a_shift_moves_each_image_to_one_of_the_corners_and_mirrors_the_edge() -> None:
    image = np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1)
    found = shifted(np.repeat(image, 4, axis=0), 0.2)[..., 0]
    rows = [0, 0, 1, 2, 3], [1, 2, 3, 4, 4]  # one down or one up
    for number, (down, right) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert (found[number] == image[0, :, :, 0][np.ix_(rows[down], rows[right])]).all()
    assert (mirrored(image)[0, 0, :, 0] == [4, 3, 2, 1, 0]).all()
