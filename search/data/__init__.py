"""How images are stored: memory-mapped arrays that workers share, and their split into training, validation and test.

    digits = open_data("digits", cache=Path("studies/data"))
    parts = split(digits, seed=0)
    batch = digits.images()[parts.train[:32]]

`open_data` (of `sources/`) reads any source once and stores its images as such arrays; `split` chooses the images for
training, for validation and for the single test at the end.
"""

from .dataset import Dataset
from .splits import Split, split

__all__ = ["Dataset", "Split", "split"]
