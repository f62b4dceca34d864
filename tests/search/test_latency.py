"""Latency: one image at a time, warmed up, and not the slower for what disturbs a few of the calls."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convsearch.search.latency import TIMED, WARMING, latency_ms
from convsearch.spaces.architecture import Architecture, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.build import build


class Scripted:
    """A network that takes as long for each call as it was told, by a clock of its own, and keeps what it was given."""

    input_shape = (None, 8, 6, 3)

    def __init__(self, milliseconds: list[float]) -> None:
        self.milliseconds = iter(milliseconds)
        self.now = 0.0
        self.given: list[tuple[int, ...]] = []

    def predict_on_batch(self, images: NDArray[np.float32]) -> Any:
        self.given.append(images.shape)
        self.now += next(self.milliseconds) / 1000


def test_the_first_calls_and_a_few_slow_ones_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = [30.0 if number % 4 == 0 else 2.0 for number in range(TIMED)]
    network = Scripted([50.0] * WARMING + disturbed)
    monkeypatch.setattr("time.perf_counter", lambda: network.now)
    assert latency_ms(network) == pytest.approx(2)
    assert network.given == [(1, 8, 6, 3)] * (WARMING + TIMED)


def test_a_real_network_takes_some_time() -> None:
    network = build(Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4),), classes=10))
    assert 0 < latency_ms(network) < 1000
