"""The embedded default: the 1,797 handwritten digits that scikit-learn ships, 8 x 8 pixels, grey."""

import numpy as np

from ..data.source import Source
from .arrays import InMemory, Part, array_source, memory_fingerprint


def read_digits(image_size: tuple[int, int] | None) -> Source:
    """Return the digits, with their pixels of 0 to 16 brought to 0 to 255."""
    from sklearn.datasets import load_digits  # takes a second, which only this source should cost

    data = load_digits()
    pixels = np.rint(data.images * (255 / 16)).astype(np.uint8)
    parts = [Part("", InMemory("digits", pixels), data.target, "labels")]
    return array_source("digits", "digits", memory_fingerprint(parts), parts, image_size)
