"""Latency: one image at a time, warmed up, and not the slower for what disturbs a few of the calls."""

from typing import Any

import numpy as np
import pytest
from jobs import MakeJob, always
from numpy.typing import NDArray

from convsearch.search.system.backend import import_keras
from convsearch.search.training.latency import TIMED, WARM_UP, latency_ms
from convsearch.search.values.job import PRECISIONS, Precision, Probes
from convsearch.spaces.architecture import Architecture, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.building.model import build

keras = import_keras()

from convsearch.search.training.trial import train  # noqa: E402


class Disturbed(keras.Model):  # type: ignore[misc]
    """A real network with a clock of its own: a call takes 3 ms, at the beginning 500, every fourth one 200."""

    given: list[tuple[int, ...]]
    now: float

    def predict_on_batch(self, images: NDArray[np.float32]) -> Any:
        self.given += [images.shape]
        begins, fourth = len(self.given) <= WARM_UP, len(self.given) % 4 == 0
        self.now += 0.5 if begins else 0.2 if fourth else 0.003
        return super().predict_on_batch(images)


def test_the_first_calls_and_a_few_slow_ones_do_not_count() -> None:
    built = build(Architecture(input=Volume(8, 6, 3), layers=(Layer(filters=4),), classes=10))
    network = Disturbed(built.input, built.output)
    network.given, network.now = [], 0.0
    assert latency_ms(network, lambda: network.now) == pytest.approx(3.0)
    assert network.given == [(1, 8, 6, 3)] * (WARM_UP + TIMED)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_network_that_is_timed_is_the_one_that_is_exported_whatever_it_was_trained_in(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    timed: list[Any] = []
    predict = keras.Model.predict_on_batch

    def noted(network: Any, images: NDArray[np.float32]) -> Any:
        timed.append(network)
        return predict(network, images)

    monkeypatch.setattr(keras.Model, "predict_on_batch", noted)
    wanted = job(layers=(Layer(filters=4, batch_norm=True),), precision=precision, probes=Probes(latency=True))
    outcome = train(wanted, always)
    assert outcome.latency_ms is not None
    assert len(timed) == WARM_UP + TIMED
    exported = build(wanted.candidate.architecture)
    exported.load_weights(wanted.weights)
    (network,) = set(timed)
    assert [(type(layer), layer.dtype_policy.name) for layer in network.layers] == [
        (type(layer), "float32") for layer in exported.layers
    ]
    for mine, other in zip(network.get_weights(), exported.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
