"""Writes arrays of images, batch by batch."""

import os
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray


class ImageWriter:
    """Writes an array of images batch by batch; the total number of images need not be known in advance.

    Plain writes rather than a memory-mapped array, whose dirty pages would count as this process's memory.
    """

    def __init__(self, path: Path, image: tuple[int, ...]) -> None:
        self._stream = path.open("wb")
        self._image = image
        self._count = 0
        self._write_header()

    def append(self, images: NDArray[np.uint8]) -> None:
        """Append images (m, height, width, depth)."""
        self._stream.write(np.ascontiguousarray(images).data)
        self._count += len(images)

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the first axis to grow, so it can be rewritten in place.
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._image)}
        self._stream.seek(0)
        np.lib.format.write_array_header_1_0(self._stream, header)

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._write_header()
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self._stream.close()
