"""The result of an evaluation: accuracy with its interval, the classes one by one, confusions."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator

from .bounds import Count, Finite, Share

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


class Mistake(BaseModel):
    """A misclassified image: its index in the data set, and the probability that the model gave to its guess."""

    model_config = ConfigDict(frozen=True)

    image: Count
    label: Count
    guess: Count
    confidence: Finite


class Evaluation(BaseModel):
    """`confusion[i][j]` counts the images of class i that were classified as j; accuracy and interval are fractions.

    `mistakes` are the most confident ones, the most confident first.
    """

    model_config = ConfigDict(frozen=True)

    accuracy: Share
    interval_95: tuple[Share, Share]
    count: Count
    confusion: tuple[tuple[Count, ...], ...]
    mistakes: tuple[Mistake, ...] = ()

    @field_validator("confusion")
    @classmethod
    def _square(cls, confusion: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if any(len(row) != len(confusion) for row in confusion):
            raise ValueError("the confusion matrix is not square")
        return confusion

    def per_class(self) -> list[tuple[float, float, int]]:
        """Return precision, recall and the number of images of each class; a fraction of no images is 0."""
        table = np.array(self.confusion)
        hits, true, predicted = np.diag(table), table.sum(axis=1), table.sum(axis=0)
        precision, recall = hits / np.maximum(predicted, 1), hits / np.maximum(true, 1)
        return [(float(p), float(r), int(n)) for p, r, n in zip(precision, recall, true, strict=True)]


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion, accurate near 0 and 1 too. Source: Wilson (1927), equation 2.

    >>> [round(x, 3) for x in wilson_interval(97, 100)]
    [0.915, 0.99]
    """
    share, z2 = hits / count, Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)
