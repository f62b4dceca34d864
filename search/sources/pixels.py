"""Converts pixels of arrays, in any of the usual number types, to whole numbers from 0 to 255.

- uint8, and other whole numbers from 0 to 255, are taken as they are; true and false become 255 and 0;
- uint16 is divided by 257, so that 65535 becomes 255, unless all are at most 255; what lies between is refused, as
  values of 10 or 12 bits;
- floats from 0 to 1 are multiplied by 255; floats from 0 to 255 are rounded.

All arrays of a source are judged together: a dark test image must be scaled like the training images. Where one array
has another scale than the next, and everything else, is rejected with the ranges that were found.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ...spaces.errors import InputError
from ..images.decoding import DIM, unlike_16_bits, unlike_other_16_bits

_NOISE = 1e-6  # what rounding may add to either end of a float range


class Rows(Protocol):
    """An array that may be too large for memory, read some rows at a time."""

    @property
    def name(self) -> str:
        """The name for messages."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, the number of rows first."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type."""
        ...

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, in chunks."""
        ...


class _Range(NamedTuple):
    low: float
    high: float


def converters(spec: str, arrays: Sequence[Rows]) -> list[Callable[[NDArray[Any]], NDArray[np.uint8]]]:
    """Return for each array the function that brings its chunks to 0..255; all but uint8 are read once.

    Raises InputError for not-a-number and infinite pixels, for ranges not listed above, and for arrays on two scales.
    """
    plain = [array.dtype == np.uint8 or array.dtype.kind == "b" for array in arrays]
    ranges = [None if easy else _range(spec, array) for array, easy in zip(arrays, plain, strict=True)]
    found = [(array, range_) for array, range_ in zip(arrays, ranges, strict=True) if range_]
    _require_one_scale(spec, found)
    float_top = max((range_.high for array, range_ in found if array.dtype.kind == "f"), default=0.0)
    wide_top = max((range_.high for array, range_ in found if _is_uint16(array)), default=0.0)
    result: list[Callable[[NDArray[Any]], NDArray[np.uint8]]] = []
    for array, range_ in zip(arrays, ranges, strict=True):
        if range_ is None:
            result.append(_from_bool if array.dtype.kind == "b" else _as_they_are)
        elif array.dtype.kind == "f" and range_.low >= -_NOISE and float_top <= 1 + _NOISE:
            result.append(_from_unit)
        # A top between 1 and 2 is neither: most likely images from 0 to 1 that something has overshot.
        elif array.dtype.kind == "f" and range_.low >= -_NOISE and 2 < float_top <= 255 + _NOISE:
            result.append(_rounded)
        elif _is_uint16(array) and 255 < wide_top < DIM:
            raise InputError(f"{spec}: {array.name}: {unlike_16_bits(int(wide_top))}")
        elif _is_uint16(array) and wide_top > 255:
            result.append(_from_16_bits)
        elif array.dtype.kind in "iu" and range_.low >= 0 and range_.high <= 255:
            result.append(_as_they_are)
        else:
            raise InputError(
                f"{spec}: {array.name} holds {array.dtype} pixels from {range_.low:g} to {range_.high:g}. "
                "Expected whole numbers from 0 to 255 (uint8) or 0 to 65535 (uint16), or floats from 0 to 1 "
                "or from 0 to 255."
            )
    return result


def _require_one_scale(spec: str, found: Sequence[tuple[Rows, _Range]]) -> None:
    """Raise an InputError where floats end at 1 beside others far above, or 16 bits at 255 beside others that use them.

    An array that is all black fits any scale.
    """
    floats = [(range_.high, array.name) for array, range_ in found if array.dtype.kind == "f" and range_.low >= -_NOISE]
    top, bright = max(floats, default=(0.0, ""))
    for high, name in floats:
        if 0 < high <= 1 + _NOISE and top > 2:
            raise InputError(
                f"{spec}: {name} holds floats up to {high:g}, {bright} up to {top:g}: they are on two scales. Multiply "
                f"{name} by 255, or divide {bright} by 255."
            )
    wide = [(int(range_.high), array.name) for array, range_ in found if _is_uint16(array)]
    most, bright = max(wide, default=(0, ""))
    for whole, name in wide:
        if 0 < whole <= 255 and most >= DIM:
            raise InputError(f"{spec}: {unlike_other_16_bits(name, whole, bright, most)}")


def _is_uint16(array: Rows) -> bool:
    """Whether an array holds uint16, of either byte order."""
    return array.dtype.kind == "u" and array.dtype.itemsize == 2


def _range(spec: str, array: Rows) -> _Range:
    """Return the smallest and largest value; InputError where some are not finite."""
    low, high = np.inf, -np.inf
    wrong, first, start = 0, "", 0
    for chunk in array.chunks():
        if array.dtype.kind == "f":
            finite = np.isfinite(chunk)
            missing = chunk.size - int(np.count_nonzero(finite))
            if missing and not wrong:
                place = np.unravel_index(int(np.argmin(finite)), chunk.shape)
                first = ", ".join(str(int(i) + (start if axis == 0 else 0)) for axis, i in enumerate(place))
            wrong += missing
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        start += len(chunk)
    if wrong:
        raise InputError(
            f"{spec}: {array.name} holds {wrong:,} pixels that are not a number or infinite, the first at "
            f"{array.name}[{first}]. Remove those images, or give the pixels a value."
        )
    return _Range(low, high)


def _as_they_are(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    return chunk.astype(np.uint8, copy=False)


def _from_bool(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    return chunk.astype(np.uint8) * np.uint8(255)


def _from_16_bits(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    return ((chunk.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_unit(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    return _rounded(chunk.astype(np.float32) * np.float32(255))


def _rounded(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.rint(chunk).clip(0, 255).astype(np.uint8)
    return rounded
