"""The latency of a network for one image, on this machine."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP = 10  # untimed calls: the first one traces the network
TIMED = 100  # timed calls; their median is robust against a few that are disturbed


def latency_ms(network: Any, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the median milliseconds from one raw image in memory to its probabilities, one image at a time.

    Args:
        network: a Keras model of (height, width, depth) images. The time includes Keras's own overhead for a call.
        clock: returns the time in seconds.
    """
    image = np.zeros((1, *network.input_shape[1:]), np.float32)
    seconds = []
    for _ in range(WARM_UP + TIMED):
        begin = clock()
        network.predict_on_batch(image)
        seconds.append(clock() - begin)
    return 1000 * statistics.median(seconds[WARM_UP:])
