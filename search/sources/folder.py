"""Images in a folder: one subfolder per class, with or without `train/`, `val/` and `test/` around them.

    animals/cat/1.jpg                  animals/train/cat/1.jpg
    animals/dog/2.png                  animals/test/cat/2.jpg

The class folders may have subfolders. Hidden files and files with other extensions are ignored, with a note where they
may be images; so are the folders that systems make for themselves and that where studies are kept. Nothing outside the
folder is ever read: links that lead out of it, to folders or nowhere are not followed.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.printable import printable
from ..data.source import BATCH_BYTES, Batch, Role, Source, bad_report, check_image_size, listed, quoted, role_of
from .images import DIM, SUFFIXES, BadImageError, Header, brightest, decode, quiet, read_header, unlike_16_bits
from .reading import State, is_of_the_machine, require_unchanged, state_of

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_LATER = frozenset(["training", "dev", "testing"])  # which earlier versions took for classes
# Folders that a system makes among a user's files, in lower case: they hold thumbnails and copies of images, deleted
# images, or earlier states of all of them.
_OF_SYSTEMS = frozenset(
    [
        "@eadir",  # Synology: thumbnails
        "#recycle",  # Synology: what was deleted
        "#snapshot",  # Synology: earlier states
        "@recycle",  # QNAP: what was deleted
        "@recently-snapshot",  # QNAP: earlier states
        "~snapshot",  # NetApp: earlier states
        "$recycle.bin",  # Windows: what was deleted
        "recycler",  # Windows before Vista: the same
        "system volume information",  # Windows: earlier states, indexes
        "found.000",  # Windows: what was found after a crash
        "lost+found",  # Linux: the same
        "__macosx",  # macOS, in archives: attributes of the files
        "network trash folder",  # macOS, on servers: what was deleted
        "temporary items",  # macOS, on servers
    ]
)
_TEXTS = ".csv .tsv .txt .md .json .jsonl .xml .yaml .yml .html .pdf .db .ini .py .ipynb .log"
_NO_IMAGES = frozenset(_TEXTS.split())
_THREADS = min(32, os.cpu_count() or 1)
_T = TypeVar("_T")
_R = TypeVar("_R")


class _File(NamedTuple):
    """An image file: its name under the root (with `/`), and the part and label that its folder implies.

    `name` and `label` are printable; `raw` is the name in the bytes that the disk has, which tell all names apart.
    """

    path: Path
    raw: bytes
    name: str
    part: str
    label: str

    @property
    def folder(self) -> bytes:
        """The name of the class folder, as the disk has it."""
        return self.raw.split(b"/")[1 if self.part else 0]

    @property
    def inner(self) -> bytes:
        """The name of the folder in the class folder that the image is in; empty where it is in none."""
        inner = self.raw.split(b"/")[2 if self.part else 1 :]
        return inner[0] if len(inner) > 1 else b""


class _Scan(NamedTuple):
    """The result of scanning a file: its state before, the SHA-256 of its content, and its header or why it is bad."""

    state: State
    digest: str
    header: Header | None
    problem: str


def read_folder(root: Path, spec: str, image_size: tuple[int, int] | None, studies: Collection[Path] = ()) -> Source:
    """Scan a folder of class folders: hash every image and read its header, without decoding any.

    `studies`, the folders where studies are kept, may be in it and are no part of the data.

    Raises InputError where the folder does not have the layout described above.
    """
    root = root.resolve()
    notes: list[str] = []
    files = _find_files(_Walk(root, studies), spec, notes)
    seen = [item for _, results in _in_threads(_scan, files, 1024) for item in results]
    headers = [item.header for item in seen if item.header]
    if not headers:
        raise bad_report(spec, [f"{f.name}: {s.problem}" for f, s in zip(files, seen, strict=True)], len(files))
    size = _choose_size(spec, headers, image_size, notes)
    copies = len(headers) - len({item.digest for item in seen if item.header})
    if copies:
        notes.append(
            f"{copies:,} of {len(files):,} images are exact copies of others; copies on both sides "
            "of a split inflate the scores"
        )
    folders = {file.label: file.folder for file in files}
    classes = tuple(sorted(folders, key=lambda label: (_sort_key(folders[label]), label)))
    index = {name: i for i, name in enumerate(classes)}
    parts = sorted({file.part for file in files})
    volume = Volume(*size, 1 if all(header.grey for header in headers) else 3)
    return Source(
        name=printable(root.name),
        spec=spec,
        fingerprint=_fingerprint(files, seen),
        input=volume,
        classes=classes,
        labels=np.array([index[file.label] for file in files], dtype=np.int32),
        given=np.array([role_of(file.part, parts) for file in files], dtype=np.int8),
        batches=partial(_decoded, spec, files, seen, volume, _doubt(files)),
        notes=tuple(notes),
        places=_places(files),
    )


def _find_files(walk: "_Walk", spec: str, notes: list[str]) -> list[_File]:
    """Return all images sorted by name; InputError where the folder has neither layout."""
    root = walk.root
    files: list[_File] = []
    for parent, part in _find_parts(walk, spec, notes):
        class_folders, loose = walk.look(parent)
        if not class_folders:
            place = f"{spec} has" if parent == root else f"{spec}: {printable(parent.name)}/ has"
            raise InputError(_no_class_folders(place, spec, len(loose), walk))
        if loose:
            first = _name(loose[0], root)
            notes.append(f"ignored: {len(loose):,} images outside class folders, such as {first}")
        found = {folder: list(walk.images(folder)) for folder in class_folders}
        empty = [f"{_name(folder, root)}/" for folder in class_folders if not found[folder]]
        if empty:
            other = f"; ignored: {walk.ignored}" if walk.ignored else ""
            raise InputError(
                f"{spec}: class folders without a single image: {listed(empty, ', ')}{walk.left_out}{other}. "
                f"Put images there or remove the folders. Known extensions: {' '.join(sorted(SUFFIXES))}"
            )
        for folder in class_folders:
            for path in found[folder]:
                raw = os.fsencode(path.relative_to(root).as_posix())
                files.append(_File(path, raw, _name(path, root), part, printable(folder.name)))
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


def _find_parts(walk: "_Walk", spec: str, notes: list[str]) -> list[tuple[Path, str]]:
    """Return the folders that hold class folders, each with its part; "" means that the source is not divided."""
    top, _ = walk.look(walk.root)
    split = {folder: part for folder in top if (part := _PARTS.get(folder.name.lower()))}
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
    return list(split.items())


class _Walk:
    """Lists folders under a root, and records what it passes over: folders of studies and of systems, and links."""

    def __init__(self, root: Path, studies: Collection[Path]) -> None:
        self.root = root
        self.studies = {folder.resolve() for folder in studies}  # the root itself is never met
        self.met_studies: dict[Path, None] = {}
        self.outside: dict[Path, None] = {}  # a dict, to keep the order
        self.met_systems: dict[Path, None] = {}
        self.endings: Counter[str] = Counter()  # of the other files in class folders

    @property
    def left_out(self) -> str:
        """A clause to add to an error where what is not read may explain why nothing was found."""
        reasons = ["links that lead out of the folder or nowhere are not followed"] if self.outside else []
        reasons += [f"images in {self.of_systems} are not read"] if self.of_systems else []
        return f" ({'; '.join(reasons)})" if reasons else ""

    @property
    def of_systems(self) -> str:
        """The names of the folders of systems that hold images, each once; empty where none does."""
        names: list[str] = []
        for folder in self.met_systems:
            with suppress(InputError, OSError):  # it is none of the data, whether it can be listed or not
                if folder.name not in names and any(_Walk(folder, ()).images(folder)):
                    names.append(folder.name)
        return listed([f"{name}/" for name in names], ", ")

    @property
    def ignored(self) -> str:
        """The files in class folders that are not read although they may be images; empty where there are none."""
        if not self.endings:
            return ""
        counts = [f"{count:,} {ending or 'without an ending'}" for ending, count in self.endings.most_common()]
        return f"{listed(counts, ', ', limit=5)}; convert those that are images to .png or .jpg"

    def look(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders and the images directly in a folder, both sorted by name."""
        folders, images, _ = self._look(folder)
        return folders, images

    def _look(self, folder: Path) -> tuple[list[Path], list[Path], list[str]]:
        """Return the folders and images, and the endings of all other files."""
        folders, images, endings = [], [], []
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if is_of_the_machine(error):
                raise
            raise InputError(f"{folder}: cannot be listed ({error.strerror}).") from error
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if entry.is_symlink() and self._leads_away(path):
                self.outside[path] = None
            elif path in self.studies:
                self.met_studies[path] = None
            elif entry.is_dir():
                if entry.name.lower() in _OF_SYSTEMS:
                    self.met_systems[path] = None
                else:
                    folders.append(path)
            elif entry.is_file():
                ending = path.suffix.lower()
                if ending in SUFFIXES:
                    images.append(path)
                else:
                    endings.append(printable(ending))
        return folders, images, endings

    def images(self, folder: Path) -> Iterator[Path]:
        """Yield all images in a folder and in the folders below it, however deep these are."""
        waiting = [folder]
        while waiting:
            folders, images, endings = self._look(waiting.pop())
            self.endings.update(ending for ending in endings if ending not in _NO_IMAGES)
            yield from images
            waiting += reversed(folders)

    def _leads_away(self, link: Path) -> bool:
        """Whether a link leads to a folder, out of the root or nowhere, as one to itself does."""
        try:
            target = Path(os.path.realpath(link, strict=True))
        except OSError as error:
            if is_of_the_machine(error):
                raise
            return True
        return target.is_dir() or not target.is_relative_to(self.root)


def require_apart(root: Path, spec: str, home: Path, own: Collection[Path]) -> None:
    """Raise an InputError if a study cannot be begun in `home` with the images in `root`.

    So it is where the home is that folder, or is in it and holds images outside its `own` folders: they may be a class,
    and would be left out with the home.
    """
    root, place = root.resolve(), home.resolve()
    if place == root:
        raise InputError(
            f"--home {home}: is the folder of images itself, --data {spec}; the studies in it would be taken for "
            f"classes. Choose a folder of its own, as in --home {home / 'studies'}."
        )
    if place.is_dir() and place.is_relative_to(root):
        image = next(_Walk(root, own).images(place), None)
        if image is not None:
            raise InputError(
                f"--home {home}: holds images of --data {spec}, such as {_name(image, root)}, which would be left out "
                "with the studies. Choose another folder in --home, one without images."
            )


def _no_class_folders(place: str, spec: str, images: int, walk: _Walk) -> str:
    found = f"{images:,} images but no class folders" if images else "neither class folders nor images"
    return (
        f"{place} {found}{walk.left_out}. Put the images of each class into a folder named after the class, "
        f"as in {spec.rstrip('/')}/cat/1.jpg, or train/cat/1.jpg and test/cat/2.jpg."
    )


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


def _scan(file: _File) -> _Scan:
    state, digest = state_of(file.path), "unreadable"
    try:
        with file.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return _Scan(state, digest, read_header(file.path), "")
    except BadImageError as error:
        return _Scan(state, digest, None, error.reason)
    except OSError as error:
        if is_of_the_machine(error):
            raise
        return _Scan(state, digest, None, f"cannot be read: {error.strerror}")


def _choose_size(
    spec: str, headers: list[Header], image_size: tuple[int, int] | None, notes: list[str]
) -> tuple[int, int]:
    """Return the size for all images: the requested one, or the most common (the largest if tied)."""
    sizes = Counter((header.height, header.width) for header in headers)
    if image_size is not None:
        others = len(headers) - sizes[image_size]
        if others:
            notes.append(
                f"image size {image_size[0]}x{image_size[1]} as requested; "
                f"{others:,} of {len(headers):,} images have another size and are resized"
            )
        return image_size
    size, count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    check_image_size(size, f"{spec}: the most common image size")
    if len(sizes) > 1:
        notes.append(
            f"image size {size[0]}x{size[1]}, the most common of {len(sizes):,} sizes "
            f"({count:,} of {len(headers):,} images); the others are resized"
        )
    return size


def _fingerprint(files: list[_File], seen: list[_Scan]) -> str:
    """Return the SHA-256 over all names and contents; a name says class and part, so both count.

    Where an earlier version read another part, it is another one: arrays that are called by the old one belong to
    studies that have them.
    """
    total = hashlib.sha256(b"folder\n")
    if any(file.part and file.name.split("/")[0].lower() in _LATER for file in files):
        total.update(b"parts by later names\n")
    for file, item in zip(files, seen, strict=True):
        total.update(file.raw + f"\0{item.digest}\n".encode())
    return total.hexdigest()


def _decoded(spec: str, files: list[_File], seen: list[_Scan], volume: Volume, doubt: str) -> Iterator[Batch]:
    """Decode all files in order, in batches that keep all threads busy and fit into memory.

    What is doubtful is refused here and not before: a study whose images are decoded already goes on with them.
    """
    if doubt:
        raise InputError(f"{spec}: {doubt}")
    _require_16_bits(spec, [file for file, scan in zip(files, seen, strict=True) if scan.header and scan.header.wide])
    count = max(2 * _THREADS, min(1024, BATCH_BYTES // volume.size))
    items = list(zip(range(len(files)), files, seen, strict=True))
    for batch, results in _in_threads(partial(_decode_one, volume=volume), items, count):
        images = np.empty((len(batch), *volume), dtype=np.uint8)
        rows: list[int] = []
        bad: list[str] = []
        for (row, file, scan), result in zip(batch, results, strict=True):
            require_unchanged(file.path, scan.state, f"{spec}: {file.name}")
            if isinstance(result, str):
                bad.append(f"{file.name}: {result}")
            else:
                images[len(rows)] = result
                rows.append(row)
        yield Batch(images[: len(rows)], np.array(rows, dtype=np.int64), tuple(bad))


def _require_16_bits(spec: str, files: list[_File]) -> None:
    """Raise an InputError if none of these files uses its 16 bits; usually the first are enough to see that."""
    found: list[int] = []
    for _, tops in _in_threads(_brightest, files, _THREADS):
        found += [top for top in tops if top is not None]
        if max(found, default=0) >= DIM:
            return
    if found:
        raise InputError(f"{spec}: {unlike_16_bits(max(found))}")


def _brightest(file: _File) -> int | None:
    """Return the brightest value of an image; None for a bad one, which is reported when it is decoded."""
    try:
        return brightest(file.path)
    except BadImageError:
        return None


def _decode_one(item: tuple[int, _File, _Scan], volume: Volume) -> NDArray[np.uint8] | str:
    """Return the image, or why it is bad."""
    _, file, seen = item
    if seen.header is None:
        return seen.problem
    try:
        return decode(file.path, (volume.height, volume.width), volume.depth)
    except BadImageError as error:
        return error.reason


def _in_threads(function: Callable[[_T], _R], items: Iterable[_T], count: int) -> Iterator[tuple[list[_T], list[_R]]]:
    """Yield items with their results, `count` at a time, so that results never pile up.

    Decoding and hashing release the GIL, so threads are as good as processes here, and cheaper.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(_THREADS) as pool:
        while batch := list(islice(iterator, count)):
            with quiet():
                results = list(pool.map(function, batch))
            yield batch, results


def _places(files: list[_File]) -> dict[Role, str]:
    parts = {file.part: file.name.split("/")[0] + "/" for file in files if file.part}
    return {Role[part.upper()]: place for part, place in parts.items()}
