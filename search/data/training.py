"""What training reads of a data set and its split: arrays, wherever they are stored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .splits import Indices, Split


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images (n, height, width, depth) and labels (n,) of so many classes; the rows for training and for validation.

    The test rows are left out: training never uses them.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    classes: int
    train: Indices
    val: Indices

    @staticmethod
    def load(data: Path, split: Path, size: tuple[int, int]) -> "TrainingData":
        """Read the folder of a Dataset, its images memory-mapped at a size that is there, and the file of a Split."""
        return TrainingData.of(Dataset.load(data).at(size), Split.load(split))

    @staticmethod
    def of(dataset: Dataset, parts: Split) -> "TrainingData":
        """Return the arrays of a data set, its images memory-mapped."""
        return TrainingData(dataset.images(), dataset.labels(), len(dataset.classes), parts.train, parts.val)
