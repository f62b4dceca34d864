"""Finds the images that a table names: relative to its folder, or to a folder in that, with or without an ending.

Names are only ever looked up in listings of the table's folder and of folders in it, which are made when a name first
asks for them. So whatever a table says, nothing outside its folder is looked at; links that lead out are in no listing.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from ..data.source import listed
from ..images.decoding import SUFFIXES
from ..images.walk import Walk

_PLAIN = re.compile(r"[^/\\:.]+(\.[^/\\:.]+)*(/[^/\\:.]+(\.[^/\\:.]+)*)*")
"""Paths that need no cleaning: nearly all, and there may be millions."""


class _Listing:
    """The names of the images and folders directly in a folder."""

    def __init__(self, walk: Walk, folder: Path) -> None:
        folders, images = walk.look(folder)
        self.folders = {path.name for path in folders}
        self.images = {path.name for path in images}

    @cached_property
    def stems(self) -> dict[str, list[str]]:
        """The names of the images by what they are without their endings."""
        stems: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(self.images):
            stems[name.rpartition(".")[0]].append(name)
        return dict(stems)


class Images:
    """The images in the folder of a table; `studies` in it are no part of the data."""

    def __init__(self, root: Path, studies: Collection[Path]) -> None:
        self.root = root.resolve()
        self._roots = {str(root.absolute()), str(self.root)}
        self.walk = Walk(self.root, studies)
        self._listings: dict[Path, _Listing] = {}
        self._meant: dict[str, list[tuple[Path, _Listing]]] = {}
        self._bases = self._find_bases()

    def _find_bases(self) -> list[Path]:
        """Return the table's folder, those in it, and those of the same name in these, as archives have them."""
        bases = [self.root]
        for name in sorted(self._of(self.root).folders):
            folder = self.root / name
            bases.append(folder)
            while folder.name in self._of(folder).folders:
                folder /= folder.name
                bases.append(folder)
        return bases

    def inside(self, value: str) -> str | None:
        """Return a path of a table as one relative to its folder, with `/`; None where it leads out of that."""
        if _PLAIN.fullmatch(value):
            return value
        text = value.replace("\\", "/")
        if text.startswith("/"):
            root = next((root for root in self._roots if text.startswith(f"{root}/")), None)
            if root is None:
                return None
            text = text[len(root) :]
        elif re.match(r"[A-Za-z]:/", text):
            return None
        parts: list[str] = []
        for part in text.split("/"):
            if part == "..":
                if not parts:
                    return None
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)

    def find(self, name: str) -> list[Path]:
        """Return the images that a relative path may mean: none, the one that does, or several.

        One relative to the table's folder goes before those relative to a folder in it, and a whole name before one
        without its ending.
        """
        parent, _, last = name.rpartition("/")
        for exact in (True, False):
            found: list[Path] = []
            for folder, listing in self._under(parent):
                names = ([last] if last in listing.images else []) if exact else listing.stems.get(last, ())
                found += [folder / one for one in names]
                if found and folder == self.root / parent:
                    break
            if found:
                return found
        return []

    def leads_out(self, name: str) -> bool:
        """Whether a relative path that names no image names a link, or something behind one, that is not followed."""
        if not self.walk.outside:
            return False
        links = {*self.walk.outside, *(link.with_suffix("") for link in self.walk.outside)}
        below = [name, *(name[: at.start()] for at in re.finditer("/", name))]
        return any(base / one in links for base in self._bases for one in below)

    def why_not(self, value: str) -> str:
        """Return why a path of a table names no image."""
        name = self.inside(value)
        if not name:
            return "no path"
        parent, _, last = name.rpartition("/")
        is_there = False
        with suppress(OSError):  # the name is too long
            is_there = any((folder / last).is_file() for folder, _ in self._under(parent))
        if is_there and Path(last).suffix.lower() not in SUFFIXES:
            return f"no image by its ending; those that are read: {' '.join(sorted(SUFFIXES))}"
        return "no such image"

    def places(self, images: Collection[Path]) -> list[str]:
        """Return the folders, relative to the table's, that hold these images; empty for the table's own."""
        folders = {image.parent for image in images}
        return sorted(
            "" if folder == self.root else f"{folder.relative_to(self.root).as_posix()}/" for folder in folders
        )

    @property
    def looked_in(self) -> str:
        """The folders that were looked in, for messages."""
        names = [f"{base.relative_to(self.root).as_posix()}/" for base in self._bases[1:]]
        return listed(["the table's folder", *names], ", ", limit=6)

    def others(self, images: Collection[Path]) -> Iterator[Path]:
        """Yield the images that are none of these, but lie in the same folders."""
        for folder in sorted({image.parent for image in images}):
            for name in sorted(self._of(folder).images):
                if (image := folder / name) not in images:
                    yield image

    def _under(self, parent: str) -> list[tuple[Path, _Listing]]:
        """Return the folders that a relative path may mean, with what is in them."""
        if parent not in self._meant:
            folders = [self._folder(base, parent) for base in self._bases]
            self._meant[parent] = [(folder, self._of(folder)) for folder in folders if folder is not None]
        return self._meant[parent]

    def _folder(self, base: Path, parent: str) -> Path | None:
        """Return a folder by its path relative to a base; None where the listings have none."""
        folder = base
        for name in parent.split("/") if parent else ():
            if name not in self._of(folder).folders:
                return None
            folder /= name
        return folder

    def _of(self, folder: Path) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _Listing(self.walk, folder)
        return self._listings[folder]
