"""What a training reads of a data set and its split: arrays, wherever they are kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .splits import Indices, Split


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images (n, height, width, depth) and labels (n,) of so many classes; the rows that train and that validate.

    The rows of the test are left out: no training has any use for them.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    classes: int
    train: Indices
    val: Indices

    @staticmethod
    def load(data: Path, split: Path) -> "TrainingData":
        """Read the folder of a Dataset, its images memory-mapped, and the file of a Split."""
        dataset, parts = Dataset.load(data), Split.load(split)
        return TrainingData(dataset.images(), dataset.labels(), len(dataset.classes), parts.train, parts.val)
