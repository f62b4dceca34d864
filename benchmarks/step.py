"""A training step with TensorFlow's fused batch normalisation against one with Keras's own layers, turn by turn."""

import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

from convsearch.search.training.model import trainable
from convsearch.search.training.normalization import BatchNormalization
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.known.portfolio import COMMON, entries, fitted
from convsearch.spaces.space import SearchSpace

INPUT, CLASSES, IMAGES, BATCH = Volume(32, 32, 3), 10, 1280, 64
ROUNDS = 5


def measure() -> Iterator[tuple[str, str, str]]:
    """Yield the median ratio of an epoch's time for each network of the portfolio, and the time of a step."""
    space = SearchSpace(load("classic"), INPUT, CLASSES)
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (IMAGES, *INPUT)).astype("float32")
    labels = np.eye(CLASSES, dtype="float32")[source.integers(0, CLASSES, IMAGES)]
    for name, entry in entries().items():
        if name == COMMON:
            continue
        values = fitted(space, entry, IMAGES)
        assert values is not None, "the default space holds every entry"
        candidate = space.candidate(values)
        fused, stock = (_network(candidate, layer) for layer in (BatchNormalization, keras.layers.BatchNormalization))
        times = [(_epoch(fused, images, labels), _epoch(stock, images, labels)) for _ in range(ROUNDS + 1)][1:]
        steps = IMAGES // BATCH
        ratio = statistics.median(a / b for a, b in times)
        step = 1000 * statistics.median(a for a, _ in times) / steps
        yield f"a step with fused batch normalisation, `{name}` at 32x32x3", f"{ratio:.2f} times ({step:.0f} ms)", ""


def _network(candidate: Candidate, normalization: type) -> Any:
    model, _ = trainable(candidate, IMAGES, 1, normalization)
    return model


def _epoch(model: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the seconds of an epoch; the first one of a model traces its step as well."""
    begin = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)
    return time.perf_counter() - begin
