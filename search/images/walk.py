"""Finds the image files in a folder of a user's: what is passed over is recorded, so that it can be told."""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from ...spaces.errors import InputError
from ...spaces.printable import printable
from ..data.source import listed
from .decoding import SUFFIXES
from .reading import is_of_the_machine

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


class Walk:
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
                if folder.name not in names and any(Walk(folder, ()).images(folder)):
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
