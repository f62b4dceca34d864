"""How images are kept: memory-mapped arrays that workers share, and which of them train, validate and test.

    digits = open_data("digits", cache=Path("studies/data"))
    parts = split(digits, seed=0)
    batch = digits.images()[parts.train[:32]]

`open_data` (of `sources/`) reads any source once and keeps its images as such arrays; `split` says which of them train,
which validate and which are kept for the one test at the end.
"""

from .dataset import Dataset
from .splits import Split, split

__all__ = ["Dataset", "Split", "split"]
