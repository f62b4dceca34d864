"""The built-in default: the 1,797 handwritten digits that scikit-learn ships, 8 x 8 pixels, grey."""

import numpy as np

from ..data.source import Source
from .arrays import InMemory, Part, array_source, memory_fingerprint


def read_digits(image_size: tuple[int, int] | None) -> Source:
    """Return the digits, with pixels scaled from 0..16 to 0..255."""
    from sklearn.datasets import load_digits  # takes a second, so only when needed

    data = load_digits()
    pixels = np.rint(data.images * (255 / 16)).astype(np.uint8)
    parts = [Part("", InMemory("digits", pixels), data.target, "labels")]
    return array_source("digits", "digits", memory_fingerprint(parts), parts, image_size)
