"""The built-in default: 1,797 handwritten digits, 8 x 8 pixels, grey.

They are the test part of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (https://doi.org/10.24432/C50P49, CC BY 4.0), as scikit-learn has them, with pixels scaled from 0..16
to 0..255. To read them from scikit-learn would take a second and a half of imports.
"""

from importlib.resources import as_file, files

import numpy as np

from ..data.source import Source
from .arrays import InMemory, Part, array_source, memory_fingerprint


def read_digits() -> Source:
    """Return the digits."""
    with as_file(files(__package__) / "digits.npz") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    parts = [Part("", InMemory("digits", images), InMemory("labels", labels))]
    return array_source("digits", "digits", memory_fingerprint(parts), parts)
