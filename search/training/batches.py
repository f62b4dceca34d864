"""Memory-mapped arrays -> batches for Keras. Only the rows of one batch are ever read at once."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .mixup import mixed

BLENDS = 1  # part of the seed: makes the random numbers of mixup independent of those of shuffling


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of (images, one-hot labels) of the rows `indices`; shuffled anew each epoch where `seed` is given.

    The order of an epoch depends only on the seed and the epoch's number, counted from `epoch`: a resumed training sees
    the same batches as an uninterrupted one. Shuffled batches, which are trained on, are of the same size to within one
    image, and of at most `batch_size`: a rest of two or three images would make a step as large as the others', and
    leave its own mean and variance to the batch normalisation.

    Images are uint8 (batch, height, width, depth), labels float32 (batch, classes). `vary` is applied to the images;
    with `mixup` above 0, shuffled images are blended in pairs.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int32],
        indices: NDArray[np.int64],
        classes: int,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
        vary: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda images: images,
        mixup: float = 0.0,
    ) -> None:
        super().__init__()
        self._images, self._labels, self._classes = images, labels, classes
        self._batch_size = batch_size
        self._indices = self._order = np.array(indices)
        self._seed, self._epoch = seed, epoch
        self._vary, self._mixup = vary, mixup
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        # Sorted rows are read sequentially from the disk; the order within a batch has no meaning.
        rows = np.sort(self._order[self._begin(i) : self._begin(i + 1)])
        images, labels = self._vary(self._images[rows]), np.zeros((len(rows), self._classes), "float32")
        labels[np.arange(len(rows)), self._labels[rows]] = 1
        if not self._mixup or self._seed is None:
            return images, labels
        return mixed(images, labels, self._mixup, np.random.default_rng((self._seed, self._epoch, i, BLENDS)))

    def _begin(self, i: int) -> int:
        """Return where batch i begins in the order."""
        if self._seed is None:
            return i * self._batch_size
        return i * len(self._order) // len(self)

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch; Keras calls it."""
        if self._seed is not None:
            self._order = np.random.default_rng((self._seed, self._epoch)).permutation(self._indices)
            self._epoch += 1
