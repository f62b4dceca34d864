"""A data set as the rest of the program sees it: images of one size, their labels and their metadata.

A data set is a folder of five files (`images.npy`, `labels.npy`, `given.npy`, `groups.npy`, `data.json`), and of the
images at smaller sizes, as far as a trial has asked for them. This module reads such folders; sources/store.py writes
them.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.arithmetic import Volume
from ...spaces.errors import InputError
from ...spaces.printable import printable
from ...spaces.sizes import FITS, Fit
from .source import Role

IMAGES = "images.npy"  # the array at the size to which the images were decoded
GROUPS = "groups.npy"  # missing where an earlier version decoded them, until a study begins with them
FORMAT = 1  # raised whenever the same source would be decoded to other pixels, so that older arrays are rebuilt


@dataclass(frozen=True)
class Dataset:
    """Labelled images of one size, n of them, and where they come from.

    `name` is short and for people, `source` is what `open_data` was given. `fingerprint` is the SHA-256 of
    the content: a moved or renamed copy has the same. `input` is the volume of one image, `count` is n.
    `notes` tell a person what was decided or looks unusual; a folder keeps only those on the pixels, as each
    launch makes the others anew. `bad` names the files that were skipped, each with its reason. `rows` is a
    hash of which of the source's images these are: another one if others are skipped; None where an earlier
    version did not store it. `fit` is how images of another shape were
    brought to this one, and `file` the array of the images at this size. `tolerant` is whether images whose files lack
    their ends are among them, if there are such; earlier versions took them for bad.
    """

    name: str
    source: str
    fingerprint: str
    input: Volume
    count: int
    classes: tuple[str, ...]
    folder: Path
    notes: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    rows: str | None = None
    fit: Fit = "stretch"
    file: str = IMAGES
    tolerant: bool = False

    def __len__(self) -> int:
        return self.count

    def images(self) -> NDArray[np.uint8]:
        """Return the pixels, 0 to 255, shape (n, height, width, depth): a read-only `np.memmap`."""
        return _mapped(self.folder / self.file)

    def at(self, size: tuple[int, int]) -> "Dataset":
        """Return the same images at another size, (height, width); their array need not be there (images/resizing.py).

        It is in the same folder, as `images-64x96.npy`.
        """
        if size == self.input[:2]:
            return self
        height, width = size
        return replace(self, input=Volume(height, width, self.input.depth), file=f"images-{height}x{width}.npy")

    def has_images(self) -> bool:
        """Whether the array of images is there and as it should be."""
        try:
            return _is_like(self.images(), (self.count, *self.input), "uint8")
        except (FileNotFoundError, ValueError, EOFError):
            return False

    def labels(self) -> NDArray[np.int32]:
        """Return the class of each image as its index in `classes`, shape (n,)."""
        labels: NDArray[np.int32] = np.load(self.folder / "labels.npy", allow_pickle=False)
        return labels

    @property
    def given(self) -> NDArray[np.int8]:
        """The roles fixed by the source, shape (n,): 0 undecided, 1 train, 2 val, 3 test (`source.Role`)."""
        given: NDArray[np.int8] = np.load(self.folder / "given.npy", allow_pickle=False)
        return given

    def groups(self) -> NDArray[np.int64]:
        """Return numbers that are the same for images that belong together (groups.py), shape (n,)."""
        try:
            groups: NDArray[np.int64] = np.load(self.folder / GROUPS, allow_pickle=False)
        except FileNotFoundError:
            return np.arange(self.count)
        return groups

    def class_counts(self) -> dict[str, int]:
        """Return how many images each class has, in the order of `classes`."""
        counts = np.bincount(self.labels(), minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    @staticmethod
    def load(folder: Path) -> "Dataset":
        """Read the data set kept in `folder`; InputError where there is none, or it is incomplete."""
        try:
            described = json.loads((folder / "data.json").read_text(encoding="utf-8"))
            if described["format"] != FORMAT:
                raise InputError(f"{folder}: written by another version of Convsearch; open the source again.")
            dataset = Dataset(
                name=printable(described["name"]),
                source=described["source"],
                fingerprint=described["fingerprint"],
                input=Volume(*described["input"]),
                count=described["count"],
                classes=tuple(map(printable, described["classes"])),
                folder=folder,
                notes=tuple(map(printable, described["notes"])),
                bad=tuple(map(printable, described["bad"])),
                rows=described.get("rows"),
                fit=_fit(described.get("fit", "stretch")),
                tolerant=described.get("tolerant", False),
            )
            whole = (
                _is_like(dataset.images(), (dataset.count, *dataset.input), "uint8")
                and _is_like(dataset.labels(), (dataset.count,), "int32", len(dataset.classes))
                and _is_like(dataset.given, (dataset.count,), "int8", len(Role))
                and _is_like(dataset.groups(), (dataset.count,), "int64", dataset.count)
            )
        except (InputError, MemoryError):
            raise
        except Exception as error:  # damaged arrays make NumPy raise many things
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise  # a problem of the disk, which says nothing about the files
            raise InputError(f"{folder}: not a readable data set ({error}); open the source again.") from error
        if not whole:
            raise InputError(f"{folder}: the arrays are not as data.json describes them; open the source again.")
        return dataset

    def to_json(self) -> str:
        """Return the content of `data.json`: everything but the arrays and the folder's path."""
        described = {
            "format": FORMAT,
            "name": self.name,
            "source": self.source,
            "fingerprint": self.fingerprint,
            "input": list(self.input),
            "count": self.count,
            "classes": self.classes,
            "notes": self.notes,
            "bad": self.bad,
            "rows": self.rows,
            "fit": self.fit,
            "tolerant": self.tolerant,
        }
        return json.dumps(described, indent=1)


def _fit(word: Any) -> Fit:
    if word not in FITS:
        raise ValueError(f"fit {word!r}")
    fit: Fit = word
    return fit


def _is_like(array: NDArray[Any], shape: tuple[int, ...], kind: str, end: int | None = None) -> bool:
    """Whether an array has this shape and type and, if `end` is given, values from 0 to below it."""
    if array.shape != shape or array.dtype != kind:
        return False
    return end is None or (len(array) > 0 and int(array.min()) >= 0 and int(array.max()) < end)


def _mapped(path: Path) -> NDArray[np.uint8]:
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
