"""Maps the labels of arrays, any whole numbers from 0 up, one per image, to classes 0 to k - 1.

The values need not be consecutive: the sorted distinct values are the classes, and their digits are the names.
Whole-valued floats and booleans are accepted as whole numbers. Text, fractions, negative numbers and one-hot rows are
rejected, where possible with the line of NumPy that fixes them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import InputError

_LARGEST = 2**31 - 1


def whole_labels(spec: str, name: str, labels: NDArray[Any], images: str, count: int) -> NDArray[np.int64]:
    """Return the labels (n,) of the array `name` as whole numbers; they belong to `images`, `count` long.

    (n, 1) is treated as (n,). Raises InputError for anything that is not one label for each of those images.
    """
    require_labels(spec, name, labels.shape, labels.dtype, images, count)
    labels = labels.reshape(count)
    if labels.dtype.kind == "f":
        off = np.flatnonzero(~(np.isfinite(labels) & (labels == np.floor(labels))))
        if len(off):
            raise InputError(f"{spec}: {name}[{off[0]}] is {labels[off[0]]}; labels must be whole numbers from 0 up.")
        labels = labels.astype(np.float64)  # the limit below is more than half floats can hold
    outside = np.flatnonzero((labels < 0) | (labels > _LARGEST))
    if len(outside):
        first = outside[0]
        raise InputError(
            f"{spec}: {name}[{first}] is {labels[first]}; labels must be whole numbers from 0 to {_LARGEST}."
        )
    whole: NDArray[np.int64] = labels.astype(np.int64)
    return whole


def require_labels(spec: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], images: str, count: int) -> None:
    """Raise an InputError where an array of this shape and type cannot hold one number for each image.

    A header tells that much, before memory is spent on what may be far larger.
    """
    if len(shape) == 2 and shape[1] != 1:
        raise InputError(
            f"{spec}: {name} has shape {shape}; expected one label per image, ({count},). "
            f"If it is one-hot, save {name}.argmax(axis=1)."
        )
    if len(shape) not in (1, 2):
        raise InputError(f"{spec}: {name} has shape {shape}; expected one label per image, ({count},).")
    if shape[0] != count:
        raise InputError(
            f"{spec}: {images} has {count:,} images but {name} {shape[0]:,} labels; the numbers must match."
        )
    if dtype.kind not in "iubf":
        raise InputError(
            f"{spec}: {name} holds {dtype} labels; expected whole numbers. For text, save "
            f"numpy.unique({name}, return_inverse=True)[1]."
        )


def to_classes(labels: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return the labels of all arrays in one, as indices, and the class names that they index.

    >>> indices, names = to_classes([np.array([7, 3]), np.array([7])])
    >>> indices.tolist(), names
    ([1, 0, 1], ('3', '7'))
    """
    values, indices = np.unique(np.concatenate(labels), return_inverse=True)
    return indices.astype(np.int32), tuple(str(value) for value in values)
