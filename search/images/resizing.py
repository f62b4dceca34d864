"""Smaller arrays of a data set: made once, from the largest, by whoever needs them first."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.sizes import Fit
from ..data import Dataset
from ..data.dataset import IMAGES
from ..data.source import BATCH_BYTES
from ..data.writer import ImageWriter
from ..system.files import partial_folder
from ..system.lock import locked
from .decoding import THREADS, resized


def at_size(dataset: Dataset, size: tuple[int, int]) -> Dataset:
    """Return a data set whose images have another size; its array is made where there is none yet, or it is damaged.

    Raises:
        OSError: it cannot be written.
    """
    wanted = dataset.at(size)
    if wanted.has_images():
        return wanted
    with locked(dataset.folder / IMAGES):  # not the folder, which launches keep in use
        if not wanted.has_images():
            _make(dataset, wanted)
    return wanted


def _make(dataset: Dataset, wanted: Dataset) -> None:
    images, volume = dataset.images(), wanted.input
    with partial_folder(dataset.folder) as unfinished:
        with ImageWriter(unfinished / wanted.file, volume) as writer:
            for batch in _batches(images, volume, dataset.fit):
                writer.append(batch)
        (unfinished / wanted.file).replace(dataset.folder / wanted.file)


def _batches(images: NDArray[np.uint8], volume: Volume, fit: Fit) -> Iterator[NDArray[np.uint8]]:
    count = max(2 * THREADS, min(1024, BATCH_BYTES // images[0].size))
    bring = partial(resized, size=(volume.height, volume.width), fit=fit)
    with ThreadPoolExecutor(THREADS) as pool:  # Pillow releases the GIL
        for start in range(0, len(images), count):
            yield np.stack(list(pool.map(bring, np.array(images[start : start + count]))))
