"""Sources that are already arrays, in memory or in a file: checks their parts together and decodes them.

npz.py, digits.py and keras_datasets.py supply the arrays; pixels.py and labels.py handle the number types.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.sizes import Fit, Size
from ..data.source import BATCH_BYTES, Batch, Role, Source, role_of
from ..images.decoding import MAX_PIXELS, decode
from .labels import read_labels, to_classes
from .pixels import Rows, converters


@dataclass(frozen=True)
class Part:
    """Images with their labels: `part` is "train", "val" or "test", or "" where the source is not divided."""

    part: str
    images: Rows
    labels: Rows


@dataclass(frozen=True)
class InMemory:
    """An array in memory, as `Rows`."""

    name: str
    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, the number of rows first."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type."""
        return self.array.dtype

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, in chunks."""
        count = rows_per_chunk(self.shape, self.dtype)
        for start in range(0, len(self.array), count):
            yield self.array[start : start + count]


def rows_per_chunk(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return how many rows of such an array to read at a time."""
    return max(1, BATCH_BYTES // max(1, int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize))


def array_source(name: str, spec: str, fingerprint: str, parts: Sequence[Part]) -> Source:
    """Return the source made of these parts; InputError where images or labels have wrong shapes or types.

    Pixels are not read yet: that happens in `batches`.
    """
    volumes = [_volume(spec, part.images) for part in parts]
    for part, volume in zip(parts, volumes, strict=True):
        if volume != volumes[0]:
            raise InputError(
                f"{spec}: {part.images.name} has images of {volume}, {parts[0].images.name} of {volumes[0]}; "
                "all must have the same size and depth."
            )
    own = volumes[0]
    labels, classes = to_classes(
        spec, [read_labels(spec, part.labels, part.images.name, part.images.shape[0]) for part in parts]
    )
    names = [part.part for part in parts]
    return Source(
        name=name,
        spec=spec,
        fingerprint=fingerprint,
        sizes={Size(own.height, own.width): len(labels)},
        depth=1 if own.depth == 1 else 3,
        classes=classes,
        labels=labels,
        given=np.repeat([role_of(p, names) for p in names], [part.images.shape[0] for part in parts]).astype(np.int8),
        batches=partial(_decoded, spec, [part.images for part in parts]),
        places={Role[part.part.upper()]: part.labels.name for part in parts if part.part},
    )


def memory_fingerprint(parts: Sequence[Part]) -> str:
    """Return the SHA-256 over the content of parts that are in memory."""
    total = hashlib.sha256(b"arrays\n")
    for part in parts:
        total.update(f"{part.part} {part.images.shape} {part.images.dtype.str} {part.labels.dtype.str}\n".encode())
        for chunk in (*part.images.chunks(), *part.labels.chunks()):
            total.update(np.ascontiguousarray(chunk).data)
    return total.hexdigest()


def _volume(spec: str, images: Rows) -> Volume:
    """Return the volume of one image; InputError where the array holds no images."""
    shape = images.shape
    expected = "(images, height, width), or that with a last axis of 1, 3 or 4 channels"
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
        hint = ""
        if len(shape) == 4 and shape[1] in (1, 3, 4):
            hint = f" The channels seem to come first: save {images.name}.transpose(0, 2, 3, 1)."
        raise InputError(f"{spec}: {images.name} has shape {shape}; expected {expected}.{hint}")
    if 0 in shape:
        raise InputError(f"{spec}: {images.name} has shape {shape}: it contains no images.")
    if images.dtype.kind not in "biuf":
        raise InputError(f"{spec}: {images.name} holds {images.dtype}; pixels must be whole numbers or floats.")
    if shape[1] * shape[2] > MAX_PIXELS:
        raise InputError(
            f"{spec}: {images.name} has images of {shape[1]}x{shape[2]} pixels; the limit is "
            f"{MAX_PIXELS // 10**6} million."
        )
    return Volume(shape[1], shape[2], shape[3] if len(shape) == 4 else 1)


def _decoded(spec: str, arrays: Sequence[Rows], volume: Volume, fit: Fit) -> Iterator[Batch]:
    start_row = 0
    count = max(1, BATCH_BYTES // volume.size)  # a chunk of small images may be enlarged to more than that
    for array, to_bytes in zip(arrays, converters(spec, arrays), strict=True):
        for chunk in array.chunks():
            for start in range(0, len(chunk), count):
                pixels = to_bytes(chunk[start : start + count])
                images = _shaped(pixels, volume, fit)
                rows = np.arange(start_row, start_row + len(images), dtype=np.int64)
                yield Batch(images, rows, digests=digests_of(pixels))
                start_row += len(images)


def digests_of(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the digest of each image: eight bytes, so that those of millions of images fit into memory."""
    images = np.ascontiguousarray(pixels)
    return np.frombuffer(b"".join(hashlib.blake2b(image, digest_size=8).digest() for image in images), np.uint64)


def _shaped(pixels: NDArray[np.uint8], volume: Volume, fit: Fit) -> NDArray[np.uint8]:
    """Bring pixels (m, h, w) or (m, h, w, 1 or 3 or 4) to (m, *volume), by the same rules as image files."""
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    if pixels.shape[1:] == volume:
        return pixels
    if pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    resized = np.empty((len(pixels), *volume), dtype=np.uint8)
    for i, image in enumerate(pixels):
        resized[i] = decode(
            Image.fromarray(np.ascontiguousarray(image)), (volume.height, volume.width), volume.depth, fit
        )
    return resized
