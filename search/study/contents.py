"""What lies in a home, and how large it is: studies, decoded images with the studies that use them, MLflow's store."""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...spaces.errors import InputError
from ..system.files import PARTIAL
from ..system.lock import deletable, is_held
from .folder import StudyFolder
from .home import Home
from .settings import StudySettings

ASIDE = ".convsearch-{}.deleted"  # a study that is being deleted; with a random token
ARRAYS = re.compile(r"[0-9a-f]{16}-[0-9]+x[0-9]+x[0-9]+(-[a-z]+)?")  # what the folder of a data set is called
IDENTITY = re.compile(rb"^id: '?([0-9a-f]{32})'?$", re.MULTILINE)  # in study.yaml
ALONE = re.compile(rb"^storage: null$", re.MULTILINE)


@dataclass(frozen=True)
class StudyContent:
    """A study on disk, of `bytes` bytes. `settings` and `identity` are None where they cannot be read.

    `alone` is whether it is certainly not shared in a database.
    """

    folder: StudyFolder
    bytes: int
    settings: StudySettings | None
    identity: str | None
    alone: bool
    running: bool


@dataclass(frozen=True)
class Arrays:
    """A decoded data set: its folder, its size in bytes, and the names of the studies that use it.

    `running` is whether a launch uses it, which may not have a study yet.
    """

    path: Path
    bytes: int
    studies: tuple[str, ...]
    running: bool


@dataclass(frozen=True)
class Contents:
    """What lies in a home; sizes are in bytes.

    `deleted` are studies whose deletion was killed, `left` other folders that killed processes have left behind.
    """

    studies: tuple[StudyContent, ...]
    arrays: tuple[Arrays, ...]
    store: int
    artifacts: int
    deleted: tuple[StudyContent, ...]
    left: tuple[Path, ...]

    @property
    def left_bytes(self) -> int:
        """The size of all that was left behind."""
        return sum(one.bytes for one in self.deleted) + sum(map(size_of, self.left))


def contents_of(home: Home) -> Contents:
    """Return what lies in a home; nothing where there is no home."""
    studies = tuple(_study(folder) for folder in home.studies())
    aside = (path for path in sorted(home.path.glob(ASIDE.format("*"))) if not is_held(path))
    places = (home.path, home.data)
    left = (path for place in places for path in sorted(place.glob(PARTIAL.format("*"))))
    return Contents(
        studies=studies,
        arrays=tuple(_arrays(home, studies)),
        store=sum(map(size_of, home.path.glob("mlflow.db*"))),
        artifacts=size_of(home.artifacts),
        deleted=tuple(_study(StudyFolder(path)) for path in aside),
        left=tuple(path for path in left if path.is_dir() and not is_held(path)),
    )


def unused(contents: Contents, without: Iterable[str] = ()) -> list[Arrays]:
    """Return the data sets that no study and no launch uses, if the studies `without` are gone.

    A link is never one of them: what it leads to is not the home's.

    Raises:
        InputError: a study cannot be read, which may use any of them.
    """
    gone = set(without)
    for one in contents.studies:
        if one.settings is None and one.folder.name not in gone:
            raise InputError(
                f"{one.folder.file}: cannot be read, so that its images cannot be told from those that no study uses; "
                f"mend it, or delete the study '{one.folder.name}' too"
            )
    return [
        one for one in contents.arrays if not set(one.studies) - gone and not one.running and not one.path.is_symlink()
    ]


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links count as what they are, not what they name."""
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return found.st_size
        with os.scandir(path) as entries:
            return sum(size_of(Path(entry)) for entry in entries)
    except FileNotFoundError:  # a running study writes and removes files
        return 0


def _arrays(home: Home, studies: tuple[StudyContent, ...]) -> Iterable[Arrays]:
    users: dict[str, list[str]] = {}
    for one in studies:
        if one.settings is not None:
            users.setdefault(one.settings.data.folder, []).append(one.folder.name)
    for path in sorted(home.data.glob("*")):
        if path.is_dir() and (path.name in users or ARRAYS.fullmatch(path.name)):
            with deletable(path) as free:
                yield Arrays(path, size_of(path), tuple(users.get(path.name, ())), not free)


def _study(folder: StudyFolder) -> StudyContent:
    size, running = size_of(folder.path), is_held(folder.path)
    try:
        settings = folder.read()
    except InputError:
        text = folder.file.read_bytes() if folder.file.is_file() else b""
        found = IDENTITY.search(text)
        alone = ALONE.search(text) is not None
        return StudyContent(folder, size, None, found[1].decode() if found else None, alone, running)
    return StudyContent(folder, size, settings, settings.id, settings.storage is None, running)
