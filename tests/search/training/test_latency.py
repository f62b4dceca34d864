"""Latency: one image at a time, warmed up, and not the slower for what disturbs a few of the calls."""

import statistics
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convsearch.search.system.backend import import_keras
from convsearch.search.training.latency import TIMED, WARM_UP, latency_ms
from convsearch.spaces.architecture import Architecture, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.building.model import build

keras = import_keras()


class Disturbed(keras.Model):  # type: ignore[misc]
    """A real network, disturbed in every fourth call, that notes what it was given and how long it took."""

    given: list[tuple[int, ...]]
    milliseconds: list[float]

    def predict_on_batch(self, images: NDArray[np.float32]) -> Any:
        begin = time.perf_counter()
        answers = super().predict_on_batch(images)
        if len(self.given) % 4 == 0:
            time.sleep(0.02)
        self.given += [images.shape]
        self.milliseconds += [1000 * (time.perf_counter() - begin)]
        return answers


def test_the_first_calls_and_a_few_slow_ones_do_not_count() -> None:
    built = build(Architecture(input=Volume(8, 6, 3), layers=(Layer(filters=4),), classes=10))
    network = Disturbed(built.input, built.output)
    network.given, network.milliseconds = [], []
    found = latency_ms(network)
    assert network.given == [(1, 8, 6, 3)] * (WARM_UP + TIMED)
    assert found == pytest.approx(statistics.median(network.milliseconds[WARM_UP:]), rel=0.1, abs=0.2)
    assert found < statistics.fmean(network.milliseconds)
