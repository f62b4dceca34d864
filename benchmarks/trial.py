"""A ten-epoch trial against the same network trained by bare Keras, in one process, turn by turn."""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

from convsearch.search.data import Dataset, Split, split
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.sources import open_data
from convsearch.search.training.trial import train
from convsearch.search.values.job import EpochReport, Job, Length
from convsearch.spaces.architecture import Architecture, Candidate, Layer, Recipe
from convsearch.spaces.building.model import build
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

EPOCHS, ROUNDS = 10, 5


def measure() -> list[tuple[str, str, str]]:
    """Return the median ratio of whole trials on the digits, and on images of 32x32x3."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digits = open_data("digits", folder / "data")
        images, labels = _images()
        np.savez(folder / "images.npz", x=images, y=labels)
        pictures = open_data(str(folder / "images.npz"), folder / "data")
        return [
            (f"a ten-epoch trial against bare Keras, {what}", f"{_ratio(data, widths, folder):.2f} times", "1.10 times")
            for what, data, widths in (
                ("digits 8x8x1, 2 layers", digits, (16, 32)),
                ("2,000 images 32x32x3, 3 layers", pictures, (32, 64, 96)),
            )
        ]


def _images() -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    return source.integers(0, 256, (2500, 32, 32, 3), dtype=np.uint8), np.arange(2500) % 10


def _ratio(data: Dataset, widths: tuple[int, ...], folder: Path) -> float:
    layers = tuple(Layer(filters=w, pooling="max", pool_size=2, pool_stride=2) for w in widths)
    architecture = Architecture(input=data.input, layers=layers, classes=len(data.classes))
    candidate = Candidate(architecture=architecture, recipe=Recipe(schedule="constant"))
    parts = split(data, 0)
    parts.save(folder / f"{data.name}.split.npz")
    space = SearchSpace(load("classic"), data.input, len(data.classes))
    (folder / data.name).mkdir()
    engine = OptunaEngine("random", "hyperband", EPOCHS, 0, Proposals(space, 0))
    ours, bare = [], []
    for number in range(ROUNDS + 1):
        proposal = engine.ask()
        assert proposal is not None
        job = Job(
            number=proposal.number,
            candidate=candidate,
            data=str(data.folder),
            split=str(folder / f"{data.name}.split.npz"),
            seed=number,
            weights=str(folder / "best.weights.h5"),
            length=Length(epochs=EPOCHS, patience=EPOCHS),
        )

        def report(epoch: EpochReport) -> bool:
            assert epoch.val_accuracy is not None
            engine.report(epoch.number, epoch.epoch, epoch.val_accuracy)  # written to SQLite, as in a study
            return True

        begin = time.perf_counter()
        train(job, report)
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        _bare(candidate, data, parts)
        bare.append(time.perf_counter() - begin)
    engine.close()
    return statistics.median(a / b for a, b in zip(ours[1:], bare[1:], strict=True))  # the first round warms up


def _bare(candidate: Candidate, data: Dataset, parts: Split) -> None:
    """Train as a script would: arrays in memory, compile, fit."""
    keras.backend.clear_session()
    x, y = np.array(data.images()), data.labels()
    model = build(candidate.architecture)
    recipe = candidate.recipe
    model.compile(
        keras.optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        x[parts.train],
        y[parts.train],
        validation_data=(x[parts.val], y[parts.val]),
        batch_size=recipe.batch_size,
        epochs=EPOCHS,
        verbose=0,
    )
