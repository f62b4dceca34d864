"""Reads many image files: first their headers and hashes, later their pixels, in batches and in order."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.sizes import Fit
from ..data.source import IMAGES_OF, Batch, Files, Progress, Role, Truncated, bad_report
from .decoding import (
    DIM,
    BadImageError,
    Decoded,
    Header,
    brightest,
    decode_file,
    quiet,
    read_header,
    unlike_16_bits,
    unlike_other_16_bits,
)
from .reading import State, is_of_the_machine, require_unchanged, state_of
from .threads import in_threads


class ImageFile(Protocol):
    """A file, the printable name by which it is told, and the part of the data that it is in."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def name(self) -> str:
        """Its name for messages."""

    @property
    def part(self) -> str:
        """The part: "train", "val" or "test"; empty where the source is not divided."""


class Scan(NamedTuple):
    """The result of scanning a file: its state before, the SHA-256 of its content, and its header or why it is bad."""

    state: State
    digest: str
    header: Header | None
    problem: str


def scan(files: Sequence[ImageFile], progress: Progress | None = None) -> list[Scan]:
    """Hash every file and read its header, without decoding any; an image that is bad has the reason."""
    seen: list[Scan] = []
    with quiet():
        for _, results in in_threads(_scan, files):
            seen += results
            if progress:
                progress(len(seen), len(files))
    return seen


def headers_of(spec: str, files: Sequence[ImageFile], seen: Sequence[Scan]) -> list[Header]:
    """Return the headers of those files that can be read; InputError, with the reason of each, where none can."""
    headers = [item.header for item in seen if item.header]
    if not headers:
        raise bad_report(
            spec, [f"{file.name}: {item.problem}" for file, item in zip(files, seen, strict=True)], len(files)
        )
    return headers


def _scan(file: ImageFile) -> Scan:
    state, digest = state_of(file.path), "unreadable"
    try:
        with file.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Scan(state, digest, read_header(file.path), "")
    except BadImageError as error:
        return Scan(state, digest, None, error.reason)
    except OSError as error:
        if is_of_the_machine(error):
            raise
        return Scan(state, digest, None, f"cannot be read: {error.strerror}")


def facts(files: Sequence[ImageFile], seen: Sequence[Scan]) -> Files:
    """Return what the scan of files tells of them."""
    contents = np.unique([item.digest for item in seen], return_inverse=True)[1].astype(np.int64)
    sides = [min(item.header.height, item.header.width) if item.header else 0 for item in seen]
    return Files([file.name for file in files], contents, np.array(sides, dtype=np.int32))


def decoded(spec: str, files: Sequence[ImageFile], seen: Sequence[Scan], volume: Volume, fit: Fit) -> Iterator[Batch]:
    """Decode all files in order, in batches.

    Until the iterator is closed, Python's warnings are off; see `quiet`.

    Raises:
        InputError: a file has changed since it was scanned, or none of those of 16 bits, in all or in one part, uses
            them.
        OSError: the machine failed to read one.
    """
    _require_16_bits(spec, [file for file, scan in zip(files, seen, strict=True) if scan.header and scan.header.wide])
    items = zip(range(len(files)), files, seen, strict=True)
    decode_one = partial(_decode_one, volume=volume, fit=fit)
    with quiet(), closing(in_threads(decode_one, items, volume.size)) as batches:
        for batch, results in batches:
            images = np.empty((len(batch), *volume), dtype=np.uint8)
            rows: list[int] = []
            bad: list[str] = []
            truncated: list[Truncated] = []
            for (row, file, scan), result in zip(batch, results, strict=True):
                require_unchanged(file.path, scan.state, f"{spec}: {file.name}")
                if isinstance(result, str):
                    bad.append(f"{file.name}: {result}")
                    continue
                images[len(rows)] = result.pixels
                rows.append(row)
                if result.truncated:
                    truncated.append(Truncated(row, file.name, result.problem))
            decoded_rows = np.array(rows, dtype=np.int64)
            yield Batch(images[: len(rows)], decoded_rows, tuple(bad), truncated=tuple(truncated))


def _require_16_bits(spec: str, files: Sequence[ImageFile]) -> None:
    """Raise an InputError if none of these files uses its 16 bits, or those of one part only 8 of them.

    Usually the first files of each part are enough to see that.
    """
    tops: list[tuple[int, str]] = []
    for part in sorted({file.part for file in files}):
        found = _brightest_of([file for file in files if file.part == part])
        if found is not None:
            tops.append((found, IMAGES_OF[Role[part.upper()]] if part else ""))
    if not tops:
        return
    most, bright = max(tops)
    if most < DIM:
        raise InputError(f"{spec}: {unlike_16_bits(most)}")
    for top, dim in tops:
        if 0 < top <= 255:  # black fits both
            raise InputError(f"{spec}: {unlike_other_16_bits(dim, top, bright, most)}")


def _brightest_of(files: Sequence[ImageFile]) -> int | None:
    """Return the brightest value of images, or the first that reaches DIM; None where all are bad."""
    found: list[int] = []
    with quiet(), closing(in_threads(_brightest, files, most=1)) as batches:
        for _, tops in batches:
            found += [top for top in tops if top is not None]
            if max(found, default=0) >= DIM:
                break
    return max(found, default=None)


def _brightest(file: ImageFile) -> int | None:
    """Return the brightest value of an image; None for a bad one, which is reported when it is decoded."""
    try:
        return brightest(file.path)
    except BadImageError:
        return None


def _decode_one(item: tuple[int, ImageFile, Scan], volume: Volume, fit: Fit) -> Decoded | str:
    """Return the image, or why it is bad."""
    _, file, seen = item
    if seen.header is None:
        return seen.problem
    try:
        return decode_file(file.path, (volume.height, volume.width), volume.depth, fit)
    except BadImageError as error:
        return error.reason
