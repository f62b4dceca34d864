"""Smaller arrays of a data set: made once, from the largest, by whoever needs them first."""

import errno
import os
from contextlib import closing
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import WorkError
from ...spaces.sizes import Fit
from ..data import Dataset
from ..data.dataset import IMAGES
from ..data.writer import ImageWriter
from ..system.files import partial_folder
from ..system.lock import locked
from .decoding import resized
from .disk import require_room
from .threads import in_threads

_MEND = "Make room there; `convsearch clean` lists what lies in a home."


def at_size(dataset: Dataset, size: tuple[int, int]) -> Dataset:
    """Return a data set whose images have another size; its array is made where there is none yet, or it is damaged.

    Raises:
        WorkError: the disk is too full for it.
        OSError: it cannot be written for another reason.
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
    what = f"{dataset.source}: {len(images):,} images of {volume}"
    bring = partial(_brought, images, size=(volume.height, volume.width), fit=dataset.fit)
    try:
        require_room(dataset.folder, len(images) * volume.size, what, _MEND)
        with partial_folder(dataset.folder) as unfinished:
            rows = range(len(images))
            with (
                ImageWriter(unfinished / wanted.file, volume) as writer,
                closing(in_threads(bring, rows, volume.size)) as batches,
            ):
                for _, batch in batches:
                    writer.append(np.stack(batch))
            (unfinished / wanted.file).replace(dataset.folder / wanted.file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # a quota, or others have written meanwhile
            raise WorkError(f"{what} have no room in {dataset.folder}: {os.strerror(error.errno)}. {_MEND}") from error
        raise


def _brought(images: NDArray[np.uint8], row: int, size: tuple[int, int], fit: Fit) -> NDArray[np.uint8]:
    return resized(np.array(images[row]), size, fit)
