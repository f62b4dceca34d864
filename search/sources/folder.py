"""Images in a folder: one subfolder per class, with or without `train/`, `val/` and `test/` around them.

    animals/cat/1.jpg                  animals/train/cat/1.jpg
    animals/dog/2.png                  animals/test/cat/2.jpg

A part may have other names, such as `training_set/`, and may hold nothing but a folder of its own name, as archives do:
`train/train/cat/1.jpg`.

The class folders may have subfolders. Hidden files and files with other extensions are ignored, with a note where they
may be images; so are the folders that systems make for themselves and that where studies are kept. Nothing outside the
folder is ever read: links that lead out of it, to folders or nowhere are not followed.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.printable import printable
from ...spaces.sizes import Fit, Size
from ..data.parts import PARTS
from ..data.source import Batch, Progress, Role, Source, listed, quoted, role_of
from ..images.decoding import SUFFIXES
from ..images.files import Scan, decoded, facts, headers_of, scan
from ..images.walk import Walk
from ..tables.open import tables_at
from ..values.commands import command, typed

_SETS = {name: part for plain, part in PARTS.items() for name in (f"{plain}_set", f"seg_{plain}")}
_PARTS = PARTS | _SETS
_LATER = frozenset(["training", "dev", "testing", *_SETS])  # which earlier versions took for classes


class _File(NamedTuple):
    """An image file: its name under the root (with `/`), and the part and label that its folder implies.

    `name` and `label` are printable; `raw` is the name in the bytes that the disk has, which tell all names apart.
    `above` is the number of folders above the class folder.
    """

    path: Path
    raw: bytes
    name: str
    part: str
    label: str
    above: int

    @property
    def folder(self) -> bytes:
        """The name of the class folder, as the disk has it."""
        return self.raw.split(b"/")[self.above]

    @property
    def inner(self) -> bytes:
        """The name of the folder in the class folder that the image is in; empty where it is in none."""
        inner = self.raw.split(b"/")[self.above + 1 :]
        return inner[0] if len(inner) > 1 else b""


def read_folder(root: Path, spec: str, studies: Collection[Path] = (), progress: Progress | None = None) -> Source:
    """Scan a folder of class folders: hash every image and read its header, without decoding any.

    `studies`, the folders where studies are kept, may be in it and are no part of the data. `progress` is called with
    the number of files that are hashed and the total.

    Raises InputError where the folder does not have the layout described above.
    """
    root = root.resolve()
    notes: list[str] = []
    files = _find_files(Walk(root, studies), spec, notes)
    seen = scan(files, progress)
    headers = headers_of(spec, files, seen)
    folders = {file.label: file.folder for file in files}
    classes = tuple(sorted(folders, key=lambda label: (_sort_key(folders[label]), label)))
    index = {name: i for i, name in enumerate(classes)}
    if len(classes) == 1 and (hint := _table_hint(root, spec)):
        raise InputError(f"{spec}: only one class folder, '{classes[0]}'.{hint}")
    parts = sorted({file.part for file in files})
    return Source(
        name=printable(root.name),
        spec=spec,
        fingerprint=_fingerprint(files, seen),
        sizes=Counter(Size(header.height, header.width) for header in headers),
        depth=1 if all(header.grey for header in headers) else 3,
        classes=classes,
        labels=np.array([index[file.label] for file in files], dtype=np.int32),
        given=np.array([role_of(file.part, parts) for file in files], dtype=np.int8),
        batches=partial(_decoded, spec, files, seen, _doubt(files)),
        notes=tuple(notes),
        places=_places(files),
        files=facts(files, seen),
    )


def _find_files(walk: "Walk", spec: str, notes: list[str]) -> list[_File]:
    """Return all images sorted by name; InputError where the folder has neither layout."""
    root = walk.root
    files: list[_File] = []
    for parent, part in _find_parts(walk, spec, notes):
        above = len(parent.relative_to(root).parts)
        class_folders, loose = walk.look(parent)
        if not class_folders:
            place = f"{spec} has" if parent == root else f"{spec}: {printable(parent.name)}/ has"
            raise InputError(_no_class_folders(place, spec, len(loose), walk) + _table_hint(root, spec))
        if loose:
            first = _name(loose[0], root)
            notes.append(f"ignored: {len(loose):,} images outside class folders, such as {first}")
        found = {folder: list(walk.images(folder)) for folder in class_folders}
        empty = [f"{_name(folder, root)}/" for folder in class_folders if not found[folder]]
        if empty:
            other = f"; ignored: {walk.ignored}" if walk.ignored else ""
            raise InputError(
                f"{spec}: class folders without a single image: {listed(empty, ', ')}{walk.left_out}{other}. "
                f"Put images there or remove the folders. Known extensions: {' '.join(sorted(SUFFIXES))}."
                + _table_hint(root, spec)
            )
        for folder in class_folders:
            for path in found[folder]:
                raw = os.fsencode(path.relative_to(root).as_posix())
                files.append(_File(path, raw, _name(path, root), part, printable(folder.name), above))
    if walk.met_studies:
        met = [f"{_name(folder, root)}/" for folder in walk.met_studies]
        notes.append(f"ignored: {listed(met, ', ')}, where studies are kept")
    if walk.of_systems:
        notes.append(f"ignored: images in {walk.of_systems}, which systems keep for themselves")
    if walk.outside:
        first = _name(next(iter(walk.outside)), root)
        notes.append(f"ignored: {len(walk.outside):,} links, such as {first}")
    if walk.ignored:
        notes.append(f"ignored: {walk.ignored}")
    _refuse_names_that_look_alike(files, spec)
    # As text, not as bytes: the order in which studies have had the images from the beginning.
    return sorted(files, key=lambda file: _sort_key(file.raw))


def _sort_key(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _name(path: Path, root: Path) -> str:
    """Return the name of a file or folder under the root, to be shown."""
    return printable(path.relative_to(root).as_posix())


def _refuse_names_that_look_alike(files: Iterable[_File], spec: str) -> None:
    """Raise an InputError if two names of folders would be one class: one has the other's escape in its name."""
    folders: dict[str, bytes] = {}
    for file in files:
        folder = folders.setdefault(file.label, file.folder)
        if folder != file.folder:
            raise InputError(
                f"{spec}: two class folders are shown by one name, '{file.label}': {folder!r} and {file.folder!r}, as "
                "the disk has them. Rename one of them."
            )


def _find_parts(walk: "Walk", spec: str, notes: list[str]) -> list[tuple[Path, str]]:
    """Return the folders that hold class folders, each with its part; "" means that the source is not divided."""
    top, _ = walk.look(walk.root)
    split = {folder: part for folder in top if (part := _PARTS.get(folder.name.lower()))}
    plain = {part for folder, part in split.items() if folder.name.lower() not in _SETS}
    # Beside test/, a test_set/ is passed over like any other folder, as it was before the name was known.
    split = {folder: part for folder, part in split.items() if folder.name.lower() not in _SETS or part not in plain}
    # A class may be called "train", next to a class "car"; only with subfolders is it a part of the data.
    if not split or (len(split) < len(top) and not any(walk.look(folder)[0] for folder in split)):
        return [(walk.root, "")]
    names = quoted([printable(folder.name) for folder in split])
    if "train" not in split.values():
        raise InputError(f"{spec} has {names} but no 'train', which must hold the training images.")
    if len(set(split.values())) < len(split):
        raise InputError(f"{spec} has {names}, two of which are the same part of the data; keep one.")
    beside = [printable(folder.name) for folder in top if folder not in split]
    if beside:
        notes.append(f"ignored next to train/: {quoted(beside)}")
    return [(_see_through(walk, folder), part) for folder, part in split.items()]


def _see_through(walk: Walk, folder: Path) -> Path:
    """Return the folder, or the one in it of the same name that holds folders and is all that there is in it."""
    folders, loose = walk.look(folder)
    while len(folders) == 1 and not loose and folders[0].name.lower() == folder.name.lower():
        inner = walk.look(folders[0])
        if not inner[0]:  # images of a class that is called like the part
            break
        folder, (folders, loose) = folders[0], inner
    return folder


def require_apart(root: Path, spec: str, home: Path, own: Collection[Path]) -> None:
    """Raise an InputError if a study cannot be begun in `home` with the images in `root`.

    So it is where the home is that folder, or is in it and holds images outside its `own` folders, which may be a class
    and would be left out with the home.
    """
    root, place = root.resolve(), home.resolve()
    if place == root:
        raise InputError(
            f"--home {home}: is the folder of images itself, --data {spec}; the studies in it would be taken for "
            f"classes. Choose a folder of its own, as in --home {home / 'studies'}."
        )
    require_no_images_in(home, root, spec, own)


def require_no_images_in(home: Path, root: Path, spec: str, own: Collection[Path]) -> None:
    """Raise an InputError if a home within the folder of images `root` holds images outside its `own` folders."""
    root, place = root.resolve(), home.resolve()
    if place != root and place.is_dir() and place.is_relative_to(root):
        image = next(Walk(root, own).images(place), None)
        if image is not None:
            raise InputError(
                f"--home {home}: holds images of --data {spec}, such as {_name(image, root)}, which would be left out "
                "with the studies. Choose another folder in --home, one without images."
            )


def _no_class_folders(place: str, spec: str, images: int, walk: Walk) -> str:
    found = f"{images:,} images but no class folders" if images else "neither class folders nor images"
    return (
        f"{place} {found}{walk.left_out}. Put the images of each class into a folder named after the class, "
        f"as in {spec.rstrip('/')}/cat/1.jpg, or train/cat/1.jpg and test/cat/2.jpg."
    )


def _table_hint(root: Path, spec: str) -> str:
    """Return the hint at a table that may have the labels, in the folder or beside it; empty where there is none."""
    tables = tables_at(root)
    if not tables:
        return ""
    place = Path(spec) if tables[0].parent == root else Path(spec).parent
    return f" Or are the labels in {tables[0].name}? `{command('run', '--data', typed(place / tables[0].name))}`"


def _doubt(files: Sequence[_File]) -> str:
    """Return why it is open which folders are the classes, and what would be right; empty where it is not.

    So it is where the folders in class folders are parts of the data, or the same in all of them.
    """
    inside: dict[str, dict[str, set[bytes]]] = {}
    for file in files:
        inside.setdefault(file.part, {}).setdefault(file.label, set()).add(file.inner)
    for classes in inside.values():
        for name, inner in classes.items():
            parts = [part for part in map(os.fsdecode, sorted(inner)) if _PARTS.get(part.lower()) in ("val", "test")]
            if parts:
                return (
                    f"the class folder '{name}' has a folder '{parts[0]}' in it, whose images would be divided anew. "
                    f"Put parts above the classes, as in train/{name}/1.jpg and test/{name}/2.jpg; if it is no part, "
                    "rename it."
                )
        first = next(iter(classes.values()))
        if len(classes) > 1 and len(first) > 1 and b"" not in first and all(one == first for one in classes.values()):
            inner_names = quoted([printable(os.fsdecode(folder)) for folder in sorted(first)])
            return (
                f"the class folders {quoted(list(classes))} all have the same folders in them: {inner_names}. If these "
                "are the classes, put them into train/ and test/, or give --data the folder that they are in; if not, "
                "put the images of each class directly into its folder."
            )
    return ""


def _fingerprint(files: list[_File], seen: list[Scan]) -> str:
    """Return the SHA-256 over all names and contents; a name says class and part, so both count.

    Where an earlier version read another part, it is another one: arrays that are called by the old one belong to
    studies that have them.
    """
    total = hashlib.sha256(b"folder\n")
    if any(file.part and file.name.split("/")[0].lower() in _LATER for file in files):
        total.update(b"parts by later names\n")
    if any(file.above > 1 for file in files):
        total.update(b"parts in folders of their names\n")
    for file, item in zip(files, seen, strict=True):
        total.update(file.raw + f"\0{item.digest}\n".encode())
    return total.hexdigest()


def _decoded(spec: str, files: list[_File], seen: list[Scan], doubt: str, volume: Volume, fit: Fit) -> Iterator[Batch]:
    """Decode all files, unless it is doubtful what they are.

    That is refused here and not before: a study whose images are decoded already goes on with them.
    """
    if doubt:
        raise InputError(f"{spec}: {doubt}")
    yield from decoded(spec, files, seen, volume, fit)


def _places(files: list[_File]) -> dict[Role, str]:
    parts = {file.part: file.name.split("/")[0] + "/" for file in files if file.part}
    return {Role[part.upper()]: place for part, place in parts.items()}
