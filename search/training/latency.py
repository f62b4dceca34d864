"""How long a network takes for one image, on the machine at hand."""

import statistics
import time
from typing import Any

import numpy as np

WARMING = 10  # calls before the clock runs: the first one traces the network
TIMED = 100  # calls, whose median counts: what disturbs a few of them does not


def latency_ms(network: Any) -> float:
    """Return the median milliseconds from one raw image in memory to its probabilities, one image at a time.

    Args:
        network: a Keras model of (height, width, depth) images. What Keras itself needs for a call is in the time.
    """
    image = np.zeros((1, *network.input_shape[1:]), np.float32)
    seconds = []
    for _ in range(WARMING + TIMED):
        begin = time.perf_counter()
        network.predict_on_batch(image)
        seconds.append(time.perf_counter() - begin)
    return 1000 * statistics.median(seconds[WARMING:])
