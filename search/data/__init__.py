"""Where images come from: one file a source, all brought to memory-mapped arrays.

    digits = open_data("digits", cache=Path("studies/data"))
    parts = split(digits, seed=0)
    batch = digits.images()[parts.train[:32]]

`open_data` reads any source once and keeps its images as arrays that all workers share; `split` says which of
them train, which validate and which are kept for the one test at the end.
"""

from .dataset import Dataset
from .open import open_data
from .splits import Split, split

__all__ = ["Dataset", "Split", "open_data", "split"]
