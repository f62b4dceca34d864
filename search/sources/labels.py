"""Maps the labels of arrays to classes 0 to k - 1: whole numbers, text, or one-hot rows, one label per image.

The distinct labels are the classes: numbers in the order of their values, with their digits as names, and text as in
data/class_names.py. A one-hot row says the number of its column. Whole-valued floats and booleans are accepted as whole
numbers. Fractions, probabilities and several labels for one image are rejected, with the row.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import InputError
from ..data.class_names import class_names
from .pixels import Rows

_EXACT = 2**53
"""Beyond this, floats are not exact."""

_LONGEST = 1000
"""Letters of a label; more are no name of a class, and may be a small file that fills the memory."""


@dataclass(frozen=True)
class Labels:
    """One label per image, (n,): whole numbers, which are column numbers where the array was `one_hot`, or text."""

    name: str
    values: NDArray[Any]
    one_hot: bool = False

    @property
    def kind(self) -> str:
        """What they are, for people."""
        if self.one_hot:
            return "one-hot rows"
        return "text" if self.values.dtype.kind == "U" else "whole numbers"


def read_labels(spec: str, labels: Rows, images: str, count: int) -> Labels:
    """Return the labels of an array, which belong to `images`, `count` long.

    (n, 1) is treated as (n,). Raises InputError for anything that is not one label for each of those images. An array
    that cannot be is rejected by its shape and type, before memory is spent on what may be far larger.
    """
    _require_shape(spec, labels, images, count)
    chunks = labels.chunks()
    if len(labels.shape) == 2 and labels.shape[1] > 1:
        return Labels(labels.name, np.concatenate(list(_hot_columns(spec, labels.name, chunks))), one_hot=True)
    return Labels(labels.name, _checked(spec, labels.name, np.concatenate([chunk.reshape(-1) for chunk in chunks])))


def to_classes(spec: str, labels: Sequence[Labels]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return the labels of all arrays in one, as indices, and the class names that they index.

    Raises InputError where some are text and others numbers, or some are one-hot and others not; see `class_names`.

    >>> indices, names = to_classes("x.npz", [Labels("y", np.array([7, -3])), Labels("y_test", np.array([7]))])
    >>> indices.tolist(), names
    ([1, 0, 1], ('-3', '7'))
    """
    for other in labels:
        if other.kind != labels[0].kind:
            raise InputError(
                f"{spec}: {labels[0].name} holds {labels[0].kind} and {other.name} {other.kind}: a class would have "
                "two names. Save the labels of all parts alike."
            )
    values, indices = np.unique(np.concatenate([one.values for one in labels]), return_inverse=True)
    found = [str(value) for value in values]
    names = class_names(spec, found)
    place = {label: index for index, label in enumerate(names)}
    return np.array([place[label] for label in found], np.int32)[indices], tuple(names.values())


def _require_shape(spec: str, labels: Rows, images: str, count: int) -> None:
    name, shape, dtype = labels.name, labels.shape, labels.dtype
    expected = f"expected one label per image, ({count},)"
    if len(shape) not in (1, 2) or 0 in shape[1:]:
        raise InputError(f"{spec}: {name} has shape {shape}; {expected}.")
    if shape[0] != count:
        raise InputError(
            f"{spec}: {images} has {count:,} images but {name} {shape[0]:,} labels; the numbers must match."
        )
    if dtype.kind not in "iubfUS":
        raise InputError(f"{spec}: {name} holds {dtype} labels; expected whole numbers, text or one-hot rows.")
    if len(shape) == 2 and shape[1] > 1 and (dtype.kind in "US" or shape[1] > count):
        why = "text in several columns" if dtype.kind in "US" else "one-hot rows of more classes than images"
        raise InputError(f"{spec}: {name} has shape {shape}: {why}; {expected}.")
    if dtype.kind in "US" and (length := dtype.itemsize // (4 if dtype.kind == "U" else 1)) > _LONGEST:
        raise InputError(
            f"{spec}: {name} holds text of up to {length:,} letters; the name of a class has at most {_LONGEST:,}."
        )


def _hot_columns(spec: str, name: str, chunks: Iterator[NDArray[Any]]) -> Iterator[NDArray[np.int64]]:
    """Yield the column of the one in each row; InputError where a row has none, several, or other numbers than these.

    A row of several labels or of probabilities is told apart, because another task is meant.
    """
    start = 0
    for chunk in chunks:
        ones = np.count_nonzero(chunk == 1, axis=1)
        other = ((chunk != 0) & (chunk != 1)).any(axis=1)
        wrong = np.flatnonzero(other | (ones != 1))
        if len(wrong):
            row = wrong[0]
            place = f"{spec}: {name}[{start + row}]"
            if other[row]:
                value = chunk[row][(chunk[row] != 0) & (chunk[row] != 1)][0]
                raise InputError(
                    f"{place} holds {value:g}; a row of labels must be one-hot: a single 1, and 0 everywhere else. Of "
                    f"probabilities, save the likeliest class: {name}.argmax(axis=1)."
                )
            if not ones[row]:
                raise InputError(
                    f"{place} is all 0: an image without a class. Remove it, or add a class for such images."
                )
            columns = ", ".join(map(str, np.flatnonzero(chunk[row])[:5]))
            raise InputError(
                f"{place} has {ones[row]} ones, in the columns {columns}: several labels for one image, which "
                "must have exactly one."
            )
        yield chunk.argmax(axis=1).astype(np.int64)
        start += len(chunk)


def _checked(spec: str, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return text as stripped text, and numbers as whole numbers; InputError for any other value, with its place."""
    if values.dtype.kind in "US":
        return _text(spec, name, values)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        off = np.flatnonzero(~(np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) <= _EXACT)))
        if len(off):
            raise InputError(
                f"{spec}: {name}[{off[0]}] is {values[off[0]]}; labels must be whole numbers, as floats up to 2**53."
            )
    if values.dtype.kind == "u" and len(values) and values.max() > np.iinfo(np.int64).max:
        return values.astype(object)  # Python's whole numbers, which can stand beside negative ones
    return values.astype(np.int64)


def _text(spec: str, name: str, values: NDArray[Any]) -> NDArray[np.str_]:
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{spec}: {name} holds bytes that are not UTF-8 ({error.reason}). Save {name} as text: "
                f"numpy.char.decode({name}, 'latin-1'), or the encoding that it has."
            ) from error
    if (values.astype(values.dtype.newbyteorder("=")).view(np.uint32) > sys.maxunicode).any():
        raise InputError(f"{spec}: {name} is damaged: it holds text with characters that do not exist. Save it again.")
    stripped: NDArray[np.str_] = np.char.strip(values)
    empty = np.flatnonzero(stripped == "")
    if len(empty):
        raise InputError(
            f"{spec}: {name}[{empty[0]}] is empty; every image needs a label. Remove it or name its class."
        )
    return stripped
