"""Decoded images on disk: looked up by their fingerprint, or written once, atomically."""

import errno
import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError, WorkError
from ...spaces.sizes import Fit, Size
from ..data.dataset import Dataset
from ..data.sizes import resized_note
from ..data.source import COPIES, Batch, Progress, Source, bad_report, check_classes, class_notes, copies_note
from ..data.writer import ImageWriter
from ..images.disk import require_room
from ..system.files import partial_folder, publish
from ..system.lock import locked
from .white import DARK_NOTE, Brightest


def stored(source: Source, size: Size, fit: Fit, cache: Path, *, skip_bad: bool, progress: Progress | None) -> Dataset:
    """Return the data set of a source at a size, decoding it into `cache` only if that has not been done before.

    Everything is written to a temporary folder, which is renamed at the end; so whatever is found is complete, and a
    failed or interrupted import leaves nothing behind. Raises one InputError for all unreadable images, unless
    `skip_bad`; WorkError where the disk is full or not writable, or the source cannot be read at the moment.
    """
    check_classes(source)
    volume = Volume(*size, source.depth)
    folder = cache / f"{source.fingerprint[:16]}-{volume}{'' if fit == 'stretch' else f'-{fit}'}"
    try:
        found = _found(folder, source)
        dataset = _build(source, volume, fit, cache, folder, skip_bad, progress) if found is None else found
    except OSError as error:
        raise WorkError(f"{source.spec}: the images cannot be kept in {cache}: {_reason(error)}") from error
    if dataset.bad and not skip_bad:
        raise bad_report(source.spec, dataset.bad, len(source.labels))
    # The arrays may have come from a copy of the source with another name, and with other files beside the images.
    return replace(dataset, name=source.name, source=source.spec, notes=_notes(source, dataset))


def _notes(source: Source, dataset: Dataset) -> tuple[str, ...]:
    """Return the notes on a source as it is now, and on its arrays, whenever they were decoded.

    Earlier versions stored all notes with the arrays; only those on the pixels cannot be made anew.
    """
    resized = resized_note(source.sizes, Size(dataset.input.height, dataset.input.width))
    notes = [] if resized is None else [resized]
    notes += [*source.notes, *class_notes(dataset.classes, dataset.labels(), dataset.given, source.places)]
    # That on copies is made anew of files, and kept of arrays.
    notes += [n for n in dataset.notes if n.startswith(DARK_NOTE) or (COPIES in n and n not in source.notes)]
    bad, total = dataset.bad, len(source.labels)
    if bad:
        notes.append(f"skipped: {len(bad):,} of {total:,} images that cannot be read, such as {bad[0]}")
    return tuple(notes)


def _found(folder: Path, source: Source) -> Dataset | None:
    try:
        dataset = Dataset.load(folder)
    except InputError:
        return None
    return dataset if dataset.fingerprint == source.fingerprint else None


def _build(
    source: Source, volume: Volume, fit: Fit, cache: Path, folder: Path, skip_bad: bool, progress: Progress | None
) -> Dataset:
    cache.mkdir(parents=True, exist_ok=True)
    require_room(
        cache,
        len(source.labels) * volume.size,
        f"{source.spec}: {len(source.labels):,} images of {volume}",
        "Make room, choose another --home, or a smaller --image-size.",
    )
    with partial_folder(cache) as unfinished:
        dataset = _write(source, volume, fit, unfinished, skip_bad, progress)
        _publish(unfinished, folder, source)
    return replace(dataset, folder=folder)


def _write(
    source: Source, volume: Volume, fit: Fit, folder: Path, skip_bad: bool, progress: Progress | None
) -> Dataset:
    total = len(source.labels)
    bad: list[str] = []
    kept: list[NDArray[np.int64]] = []
    digests: list[NDArray[np.uint64]] = []
    brightest = Brightest()
    done = 0
    with ImageWriter(folder / "images.npy", volume) as writer, closing(_read(source, volume, fit)) as batches:
        for batch in batches:
            bad += batch.bad
            brightest.add(batch.images, source.given[batch.rows])
            digests.append(batch.digests)
            kept.append(batch.rows)
            if skip_bad or not bad:  # otherwise it continues only to name all bad images
                writer.append(batch.images)
            done += len(batch.rows) + len(batch.bad)
            if progress:
                progress(done, total)
    rows = np.concatenate(kept)
    if bad and (not skip_bad or not len(rows)):
        raise bad_report(source.spec, bad, total)
    check_classes(source, rows)
    hashed = np.concatenate(digests)
    copies = len(hashed) - len(np.unique(hashed))
    notes = copies_note(copies, total) + brightest.notes(source.spec)
    np.save(folder / "labels.npy", source.labels[rows])
    np.save(folder / "given.npy", source.given[rows])
    dataset = Dataset(
        name=source.name,
        source=source.spec,
        fingerprint=source.fingerprint,
        input=volume,
        count=len(rows),
        classes=source.classes,
        folder=folder,
        notes=notes,
        bad=tuple(bad),
        rows=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
        fit=fit,
    )
    (folder / "data.json").write_text(dataset.to_json(), encoding="utf-8")
    return dataset


def _read(source: Source, volume: Volume, fit: Fit) -> Generator[Batch, None, None]:
    """Yield the source's batches; WorkError where the machine fails to read them: nothing is wrong with the cache."""
    try:
        yield from source.batches(volume, fit)
    except OSError as error:
        raise WorkError(f"{source.spec}: the images cannot be read: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return f"{error}.{' The disk is full.' if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''}"


def _publish(unfinished: Path, folder: Path, source: Source) -> None:
    """Give the finished folder its name, unless another process was first."""
    cache = folder.parent
    with locked(cache):  # or what another process publishes now could be taken away for what it has replaced
        try:
            publish(unfinished, folder)
        except FileExistsError:
            if _found(folder, source):
                return
            with partial_folder(cache) as aside:
                folder.rename(aside)  # left by another version, or damaged
                publish(unfinished, folder)
