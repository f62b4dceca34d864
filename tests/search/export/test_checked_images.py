"""A bundle is checked on training images, as those of the test are for the one test, and whatever the user has set."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from samples import write_result
from searches import prepared

from convsearch.search.export.bundle import write_bundle
from convsearch.search.export.model_card import Facts
from convsearch.search.export.of_trial import export_bundle
from convsearch.search.export.verify import CHECKED, Verifier
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.system.backend import import_keras, runtime_is_initialized
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.building.program import source
from convsearch.spaces.errors import WorkError


@pytest.fixture
def study(tmp_path: Path) -> Prepared:
    """A study of data whose test images, all white, come first; all others are black."""
    for part, count, value in (("test", CHECKED, 255), ("train", 20, 0)):
        for name in ("cat", "dog"):
            folder = tmp_path / "animals" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.full((8, 8), value, dtype=np.uint8)
                image[0, 0] = i  # no two are the same file
                Image.fromarray(image).save(folder / f"{i}.png")
    found = prepared(Home(tmp_path / "home"), data=str(tmp_path / "animals"), trials=1)
    assert (found.dataset.images()[:CHECKED, 4, 4] == 255).all()
    return found


def blinded_by_white(study: Prepared) -> tuple[Candidate, Any]:
    """A candidate and its model, which answers black images, and a white one with what is no number."""
    from convsearch.spaces.building.model import build

    layer, head = Layer(filters=2, batch_norm=False), Head(pooling="flatten")
    architecture = Architecture(input=study.dataset.input, layers=(layer,), head=head, classes=2)
    model = build(architecture)
    for name in ("conv1", "classes"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([np.full_like(kernel, 1e36), np.zeros_like(bias)])
    return Candidate(architecture=architecture, recipe=Recipe()), model


def test_a_bundle_and_its_copy_are_checked_without_the_test_images_that_come_first(
    study: Prepared, tmp_path: Path
) -> None:
    import_keras()
    candidate, model = blinded_by_white(study)
    white = model.predict(study.dataset.images()[study.split.test], verbose=0)
    assert not np.isfinite(white).any(), "so a check that reads test images fails"
    trial = Trial.begin(Proposal(0, {}, candidate)).model_copy(update={"state": "complete", "value": 0.5})
    facts = Facts(study.study, trial, candidate, {"complete": 1}, 0.5, "As it is.", None)
    study.folder.bundle.mkdir()
    with Verifier() as verifier:
        write_bundle(study.folder.bundle, model, 0.9, facts, study.dataset, study.split, verifier)
    write_result(study.folder)
    assert export_bundle(study.folder, None, tmp_path / "a\ncopy") == pytest.approx(0, abs=1e-6)


def test_examples_are_training_images(study: Prepared) -> None:
    images, split = study.dataset.images(), study.split
    for count in (2, CHECKED, len(study.dataset)):
        assert np.array_equal(split.examples(study.dataset, count), images[split.train[:count]])
    assert split.examples(study.dataset, len(study.dataset)).max() < 255


@pytest.mark.parametrize(
    "setting", [{"floatx": "float16"}, {"image_data_format": "channels_first"}], ids=lambda setting: next(iter(setting))
)
def test_a_bundle_gives_the_same_answers_whatever_a_user_has_set_for_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]
) -> None:
    from convsearch.spaces.building.model import build

    layer = Layer(filters=4, batch_norm=True, pooling="max", pool_size=2, pool_stride=2)
    architecture = Architecture(input=Volume(8, 8, 3), layers=(layer,), classes=2)
    import_keras()
    model = build(architecture)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    (tmp_path / "model.py").write_text(source(architecture, 0.9), encoding="utf-8")
    (tmp_path / "keras.json").write_text(json.dumps(setting))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert runtime_is_initialized(), "so the check begins with the user's own Keras, in a new interpreter"
    with Verifier() as verifier:
        assert verifier.verify(tmp_path, images, expected) == pytest.approx(0, abs=1e-6)


def test_a_bundle_whose_check_does_not_end_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.keras")  # whoever reads it waits for a writer
    images = np.zeros((1, 8, 8, 1), dtype=np.uint8)
    with (
        Verifier(patience=1) as verifier,
        pytest.raises(WorkError, match="the bundle was not loaded in a fresh process within 1 s"),
    ):
        verifier.verify(tmp_path, images, np.zeros((1, 2), dtype=np.float32))
