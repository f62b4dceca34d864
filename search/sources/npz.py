"""Arrays in an `.npz` file, as `numpy.savez` and `numpy.savez_compressed` write them.

Arrays are read straight from the zip, some rows at a time, so the file may be larger than memory. Nothing is ever
unpickled: arrays of Python objects are rejected by their header.
"""

import hashlib
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.printable import printable
from ...spaces.sizes import Fit
from ..data.source import Batch, Source, listed
from ..images.reading import State, is_of_the_machine, require_unchanged, state_of
from .arrays import Part, array_source, rows_per_chunk

_HEADER = 2**14
"""More bytes than any header has that NumPy reads."""

_HELD_OUT = (("val", "x_val", "y_val"), ("val", "x_valid", "y_valid"), ("test", "x_test", "y_test"))
_IMAGES_HELD_OUT = (
    ("val", "val_images", "val_labels"),
    ("val", "valid_images", "valid_labels"),
    ("test", "test_images", "test_labels"),
)
_LAYOUTS = (
    (("train", "x_train", "y_train"), *_HELD_OUT),
    (("train", "train_images", "train_labels"), *_IMAGES_HELD_OUT),
    (("train", "x", "y"), *_HELD_OUT),
    (("train", "images", "labels"), *_IMAGES_HELD_OUT),
)
"""The part, the images and the labels of each pair; the first pair of a layout says that it is the file's."""

_ACCEPTED = (
    "x and y, or x_train and y_train, with or without x_val, y_val (or x_valid, y_valid), x_test, y_test; or "
    "images and labels, or train_images and train_labels, with or without val_images, val_labels (or valid_images, "
    "valid_labels), test_images, test_labels"
)
_LABEL_NAME = re.compile(r"(^|[^a-z])(y|labels?|targets?)($|[^a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Member:
    """One array in an `.npz` file; satisfies `pixels.Rows`."""

    archive: Path
    spec: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int  # bytes of header before the data

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Yield all rows in order, in chunks."""
        with _damage_of(self.spec, self.name), zipfile.ZipFile(self.archive) as archive:
            stream = archive.open(f"{self.name}.npy")
            stream.read(self.offset)
            yield from self._columns_first(stream) if self.fortran else self._rows_first(stream)

    def _rows_first(self, stream: IO[bytes]) -> Iterator[NDArray[Any]]:
        count = rows_per_chunk(self.shape, self.dtype)
        for start in range(0, self.shape[0], count):
            shape = (min(count, self.shape[0] - start), *self.shape[1:])
            size = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
            data = stream.read(size)
            if len(data) < size:
                raise EOFError("it ends too early")
            yield np.frombuffer(data, self.dtype).reshape(shape)
        stream.read(1)  # reading past the end makes zipfile verify the checksum

    def _columns_first(self, stream: IO[bytes]) -> Iterator[NDArray[Any]]:
        """Yield rows of an array in Fortran order, whose rows are scattered, through a temporary file."""
        with tempfile.TemporaryFile() as unpacked:
            while data := stream.read(2**20):
                unpacked.write(data)
            unpacked.flush()
            array = np.memmap(unpacked, self.dtype, "r", 0, self.shape, "F")
            count = rows_per_chunk(self.shape, self.dtype)
            for start in range(0, self.shape[0], count):
                yield np.ascontiguousarray(array[start : start + count])


def read_npz(path: Path, spec: str) -> Source:
    """Scan an `.npz` file: hash it and read its headers and labels, but not its pixels.

    Raises InputError where it is not an `.npz` file, is damaged, or does not hold images and labels under known names.
    """
    state = state_of(path)
    with _damage_of(spec):
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        with path.open("rb") as stream:
            fingerprint = hashlib.file_digest(stream, "sha256").hexdigest()
    parts = []
    chosen = _choose_arrays(spec, keys)
    names = [images for _, images, _ in chosen]
    if any("valid" in name for name in names) or ("train" not in names[0] and len(names) > 1):
        # Earlier versions passed some of these over; their arrays belong to studies that have them.
        fingerprint = hashlib.sha256(f"{fingerprint} {names}".encode()).hexdigest()
    for part, images, labels in chosen:
        parts.append(Part(part, *(_read_header(path, spec, key) for key in (images, labels))))
    source = array_source(printable(path.stem), spec, fingerprint, parts)
    others = [key for key in keys if not any(key in names for _, *names in chosen)]
    lost = [key for key in others if _may_be_data(path, spec, key)]
    notes = [*source.notes, f"ignored: {_shown(others)}"] if others else source.notes
    batches = partial(_unchanged, source.batches, path, state, spec, lost)
    return replace(source, batches=batches, notes=tuple(notes))


def _unchanged(
    batches: Callable[[Volume, Fit], Iterator[Batch]],
    path: Path,
    before: State,
    spec: str,
    lost: Sequence[str],
    volume: Volume,
    fit: Fit,
) -> Iterator[Batch]:
    """Yield all batches, if no data would be `lost`, and the file is then still the one that was hashed."""
    if lost:  # not refused before: a study whose images are decoded already goes on with them
        raise InputError(
            f"{spec}: {_shown(lost)} may be images or labels, but have no known names, which are {_ACCEPTED}. Give "
            "them such names, or save the file without them."
        )
    yield from batches(volume, fit)
    require_unchanged(path, before, spec)


def _choose_arrays(spec: str, keys: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (part, images, labels) by the first layout whose leading pair is in the file; "" is the only part."""
    for layout in _LAYOUTS:
        if not set(layout[0][1:]) & set(keys):
            continue
        chosen: list[tuple[str, str, str]] = []
        for part, images, labels in layout:
            missing = [key for key in (images, labels) if key not in keys]
            if len(missing) == 1:
                there = images if labels in missing else labels
                raise InputError(f"{spec} has {there} but no {missing[0]}. It holds: {_shown(keys)}.")
            if missing:
                continue
            if chosen and chosen[-1][0] == part:
                raise InputError(
                    f"{spec} has {chosen[-1][1]} and {images}, which are the same part of the data; keep one."
                )
            chosen.append((part, images, labels))
        return chosen if len(chosen) > 1 or "train" in chosen[0][1] else [("", *chosen[0][1:])]
    raise InputError(f"{spec} holds {_shown(keys) or 'no arrays'}; expected the names {_ACCEPTED}.")


def _may_be_data(path: Path, spec: str, key: str) -> bool:
    """Whether an array of another name has the shape of images, or the shape and the name of labels."""
    try:
        array = _read_header(path, spec, key)
    except InputError:  # objects, a single number: no matter
        return False
    if array.dtype.kind not in "biuf":
        return False
    is_list = len(array.shape) == 1 or array.shape[1:] == (1,)
    return len(array.shape) in (3, 4) or (is_list and _LABEL_NAME.search(key) is not None)


def _shown(keys: Sequence[str]) -> str:
    return listed([printable(key) for key in keys], ", ")


def _read_header(path: Path, spec: str, key: str) -> Member:
    with _damage_of(spec, key), zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # zipfile unpacks the others in pieces of any size: a small file could fill the memory.
            raise InputError(
                f"{spec}: {key} is compressed by another method than numpy.savez_compressed uses. Save it with that."
            )
        stream = io.BytesIO(member.read(_HEADER))
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:  # only arrays with fields named in Unicode need later versions
            raise InputError(f"{spec}: {key} is not a plain array of numbers.")
        shape, fortran, dtype = read(stream)
        offset = stream.tell()
    if dtype.hasobject:
        raise InputError(
            f"{spec}: {key} is an array of Python objects, which could run code when read. Save a plain array: "
            f"numpy.stack(list({key})) makes one of equally sized images, {key}.astype(str) one of text."
        )
    if not shape or any(side < 0 for side in shape):
        raise InputError(f"{spec}: {key} has shape {shape}; it must hold one entry per image.")
    if offset + dtype.itemsize * int(np.prod(shape, dtype=object)) != info.file_size:
        raise InputError(f"{spec}: {key} is damaged: its data is not as long as its header says. Save it again.")
    return Member(path, spec, key, shape, dtype, fortran and len(shape) > 1, offset)


@contextmanager
def _damage_of(spec: str, key: str = "") -> Iterator[None]:
    """Turn everything that a damaged file makes zipfile, zlib and NumPy raise into an InputError."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        if is_of_the_machine(error):  # a full disk, too, where the array is unpacked to one
            raise
        raise _damaged(spec, key, error) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, SyntaxError) as error:
        raise _damaged(spec, key, error) from error


def _damaged(spec: str, key: str, error: Exception) -> InputError:
    subject = f"{spec}: {key}" if key else spec
    return InputError(
        f"{subject} cannot be read: {error or type(error).__name__}. "
        "It must be a complete .npz file, as numpy.savez writes it."
    )
