"""Decoded images on disk: looked up by their fingerprint, or written once, atomically.

Earlier versions took images that lack their ends for bad. Where there are such, arrays that have them are in a folder
of another name, so that studies on either go on with the images that they began with.
"""

import errno
import hashlib
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError, WorkError
from ...spaces.sizes import Fit, Size
from ..data.dataset import GROUPS, IMAGES, Dataset
from ..data.groups import KINDS, Companions, Pairs, companions, notes, same
from ..data.sizes import THUMBNAIL, resized_note
from ..data.source import Batch, Source, Step, bad_report, check_classes, class_notes
from ..data.writer import ImageWriter
from ..images.disk import require_room
from ..images.likeness import near_copies
from ..system.files import partial_folder, publish, write_bytes, write_text
from ..system.lock import locked
from .arrays import digests_of
from .white import DARK_NOTE, Brightest

_TRUNCATED = "lack their end and are read as far as they go"
_TOLERANT = "-truncated"  # how the name of a folder ends that has such images


def stored(
    source: Source,
    size: Size,
    fit: Fit,
    cache: Path,
    *,
    skip_bad: bool,
    step: Step | None,
    begun: str | None = None,
) -> Dataset:
    """Return the data set of a source at a size, decoding it into `cache` only if that has not been done before.

    Everything is written to a temporary folder, which is renamed at the end; so whatever is found is complete, and a
    failed or interrupted import leaves nothing behind. `begun` is the name of the folder in which an existing study has
    its images: it gets the same ones, which an earlier version may have decoded. Raises one InputError for all
    unreadable images, unless `skip_bad`; WorkError where the disk is full or not writable, or the source cannot be read
    at the moment.
    """
    check_classes(source)
    volume = Volume(*size, source.depth)
    plain = cache / f"{source.fingerprint[:16]}-{volume}{'' if fit == 'stretch' else f'-{fit}'}"
    tolerant = plain.with_name(plain.name + _TOLERANT)
    strict = begun is not None and not begun.endswith(_TOLERANT)
    try:
        found = None if strict else _found(tolerant, source)
        if found is None and (strict or begun is None):
            found = _found(plain, source)
        if found is not None and (found.tolerant or not found.bad):
            found = _with_groups(found, source, step)
        elif begun is None:  # which images an earlier version left out, and whether they only lack their ends, is open
            found = None
        dataset = found or _build(source, volume, fit, (plain, tolerant), skip_bad, strict, step)
    except OSError as error:
        raise WorkError(f"{source.spec}: the images cannot be kept in {cache}: {_reason(error)}") from error
    if dataset.bad and not skip_bad:
        raise bad_report(source.spec, dataset.bad, len(source.labels))
    # The arrays may have come from a copy of the source with another name, and with other files beside the images.
    return replace(dataset, name=source.name, source=source.spec, notes=_notes(source, dataset))


def _notes(source: Source, dataset: Dataset) -> tuple[str, ...]:
    """Return the notes on a source as it is now, and on its arrays, whenever they were decoded.

    Earlier versions stored all notes with the arrays; those on what was decoded cannot be made anew.
    """
    resized = resized_note(source.sizes, Size(dataset.input.height, dataset.input.width))
    said = [] if resized is None else [resized]
    said += [*source.notes, *class_notes(dataset.classes, dataset.labels(), dataset.given, source.places)]
    said += [n for n in dataset.notes if n.startswith(DARK_NOTE) or any(kind in n for kind in (_TRUNCATED, *KINDS))]
    bad, total = dataset.bad, len(source.labels)
    if bad:
        said.append(f"skipped: {len(bad):,} of {total:,} images that cannot be read, such as {bad[0]}")
    return tuple(said)


def _with_groups(dataset: Dataset, source: Source, step: Step | None) -> Dataset:
    """Return a data set that was found, with its groups and the notes on them, where an earlier version has none."""
    if (dataset.folder / GROUPS).exists():
        return dataset
    rows = np.arange(dataset.count)
    if source.files is not None:
        exact = same(source.files.contents)
    else:  # arrays of another size are not known to be copies because they have become the same at this one
        is_own = Size(dataset.input.height, dataset.input.width) in source.sizes
        exact = same(digests_of(dataset.images()) if is_own else rows)
    found, said = _companions(source, rows, exact, dataset.images(), step)
    others = tuple(note for note in dataset.notes if not any(kind in note for kind in KINDS))
    dataset = replace(dataset, notes=(*others, *said))
    packed = BytesIO()
    np.save(packed, found.kept)
    with locked(dataset.folder / IMAGES):  # not the folder, which launches keep in use
        write_text(dataset.folder / "data.json", dataset.to_json())
        write_bytes(dataset.folder / GROUPS, packed.getvalue())
    return dataset


def _companions(
    source: Source, rows: NDArray[np.int64], exact: Pairs, images: NDArray[np.uint8], step: Step | None
) -> tuple[Companions, tuple[str, ...]]:
    """Return which of the images (m, height, width, depth), which are these rows, belong together, and notes on it.

    Thumbnails, also those in a source of larger images, have exact copies only.
    """
    files = source.files
    sides = np.full(len(rows), min(min(source.sizes))) if files is None else files.sides[rows]
    pictures = np.ones(len(rows), dtype=bool)
    pictures[exact[:, 1]] = False
    near = near_copies(images, np.flatnonzero(pictures & (sides > THUMBNAIL)), step)
    labels, given = source.labels[rows], source.given[rows]
    own = None if source.groups is None else source.groups[rows]
    names = [f"image {row}" for row in rows] if files is None else [files.names[row] for row in rows]
    found = companions(labels, exact, near, own)
    return found, notes(found, labels, given, own, source.classes, names, len(source.labels))


def _found(folder: Path, source: Source) -> Dataset | None:
    try:
        dataset = Dataset.load(folder)
    except InputError:
        return None
    return dataset if dataset.fingerprint == source.fingerprint else None


def _build(
    source: Source,
    volume: Volume,
    fit: Fit,
    folders: tuple[Path, Path],
    skip_bad: bool,
    strict: bool,
    step: Step | None,
) -> Dataset:
    """Decode a source into the first of two folders; where images lack their ends and are there, into the second."""
    cache = folders[0].parent
    cache.mkdir(parents=True, exist_ok=True)
    require_room(
        cache,
        len(source.labels) * volume.size,
        f"{source.spec}: {len(source.labels):,} images of {volume}",
        "Make room, choose another --home, or a smaller --image-size.",
    )
    with partial_folder(cache) as unfinished:
        dataset, is_tolerant = _write(source, volume, fit, unfinished, skip_bad, strict, step)
        return _publish(dataset, folders[is_tolerant], source)


def _write(
    source: Source, volume: Volume, fit: Fit, folder: Path, skip_bad: bool, strict: bool, step: Step | None
) -> tuple[Dataset, bool]:
    """Write a data set; return it, and whether it has images that earlier versions took for bad, unless `strict`."""
    total = len(source.labels)
    bad: list[str] = []
    kept: list[NDArray[np.int64]] = []
    digests: list[NDArray[np.uint64]] = []
    truncated: list[str] = []
    is_tolerant = False
    brightest = Brightest()
    progress = None if step is None else step("images decoded")
    done = 0
    with ImageWriter(folder / IMAGES, volume) as writer, closing(_read(source, volume, fit)) as batches:
        for batch in batches:
            done += len(batch.rows) + len(batch.bad)
            if strict:
                batch = _without_truncated(batch)
            bad += batch.bad
            truncated += [item.name for item in batch.truncated]
            is_tolerant |= any(item.problem for item in batch.truncated)
            brightest.add(batch.images, source.given[batch.rows])
            digests.append(batch.digests)
            kept.append(batch.rows)
            if skip_bad or not bad:  # otherwise it continues only to name all bad images
                writer.append(batch.images)
            if progress:
                progress(done, total)
    rows = np.concatenate(kept)
    if bad and (not skip_bad or not len(rows)):
        raise bad_report(source.spec, bad, total)
    check_classes(source, rows)
    dark = brightest.notes(source.spec)
    exact = same(np.concatenate(digests) if source.files is None else source.files.contents[rows])
    images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    found, said = _companions(source, rows, exact, images, step)
    if truncated:
        said = (f"{len(truncated):,} of {total:,} images {_TRUNCATED}, such as {truncated[0]}", *said)
    np.save(folder / "labels.npy", source.labels[rows])
    np.save(folder / "given.npy", source.given[rows])
    np.save(folder / GROUPS, found.kept)
    dataset = Dataset(
        name=source.name,
        source=source.spec,
        fingerprint=source.fingerprint,
        input=volume,
        count=len(rows),
        classes=source.classes,
        folder=folder,
        notes=(*said, *dark),
        bad=tuple(bad),
        rows=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
        fit=fit,
        tolerant=not strict,
    )
    (folder / "data.json").write_text(dataset.to_json(), encoding="utf-8")
    return dataset, is_tolerant


def _without_truncated(batch: Batch) -> Batch:
    """Return a batch as earlier versions had it: what lacks its end, and Pillow alone does not read, is bad."""
    refused = [item for item in batch.truncated if item.problem]
    left = ~np.isin(batch.rows, [item.row for item in refused])
    return batch._replace(
        images=batch.images[left],
        rows=batch.rows[left],
        bad=(*batch.bad, *(f"{item.name}: {item.problem}" for item in refused)),
        truncated=tuple(item for item in batch.truncated if not item.problem),
    )


def _read(source: Source, volume: Volume, fit: Fit) -> Generator[Batch, None, None]:
    """Yield the source's batches; WorkError where the machine fails to read them: nothing is wrong with the cache."""
    try:
        yield from source.batches(volume, fit)
    except OSError as error:
        raise WorkError(f"{source.spec}: the images cannot be read: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return f"{error}.{' The disk is full.' if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''}"


def _publish(made: Dataset, folder: Path, source: Source) -> Dataset:
    """Give a finished data set the name of its folder, unless another process, or an earlier version, was first."""
    cache = folder.parent
    with locked(cache):  # or what another process publishes now could be taken away for what it has replaced
        try:
            publish(made.folder, folder)
        except FileExistsError:
            found = _found(folder, source)
            if found is not None and found.rows != made.rows:  # what can be read depends on the version of Pillow, too
                return found
            if found is not None:
                for name in ("data.json", GROUPS):
                    write_bytes(folder / name, (made.folder / name).read_bytes())
            else:
                with partial_folder(cache) as aside:
                    folder.rename(aside)  # left by another version, or damaged
                    publish(made.folder, folder)
    return replace(made, folder=folder)
