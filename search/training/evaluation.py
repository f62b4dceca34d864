"""Evaluation of a model on unseen images: accuracy with its interval, per-class figures, confusions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.memory.evaluation import MOST
from ..data import Dataset
from ..values.evaluation import Evaluation, Mistake, wilson_interval

MOST_MISTAKES = 100  # that are listed


def evaluate(model: Any, dataset: Dataset, indices: NDArray[np.int64], batch: int = MOST) -> Evaluation:
    """Evaluate a model on the images `indices` of a data set, which has them at the size of the model's input.

    `batch` is the number of images at a time.
    """
    from .batches import Batches  # Keras

    labels, classes = dataset.labels(), len(dataset.classes)
    batches = Batches(dataset.images(), labels, indices, classes, batch)
    # The batches keep their rows in the order of `indices`, sorted within a batch.
    probabilities = model.predict(batches, verbose=0)
    guesses = probabilities.argmax(axis=1)
    truth = np.concatenate([np.sort(indices[i : i + batch]) for i in range(0, len(indices), batch)])
    confusion = np.zeros((classes, classes), dtype=int)
    np.add.at(confusion, (labels[truth], guesses), 1)
    hits = int(np.trace(confusion))
    sure = probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != labels[truth])
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
    return Evaluation(
        accuracy=hits / len(indices),
        interval_95=wilson_interval(hits, len(indices)),
        count=len(indices),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        mistakes=tuple(
            Mistake(image=int(truth[i]), label=int(labels[truth[i]]), guess=int(guesses[i]), confidence=float(sure[i]))
            for i in wrong
        ),
    )
