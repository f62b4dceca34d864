"""Where the files of a study are: the folder with the identity that MLflow has, whatever either is called."""

from functools import lru_cache
from pathlib import Path

from ...search.study.folder import StudyFolder
from ...search.study.home import Home
from ...spaces.errors import InputError


def study_folder(home: Path, name: str, identity: str | None) -> StudyFolder | None:
    """Return the folder of a study in a home; None where there is none.

    Args:
        home: the home.
        name: of the study's experiment. The folder may have another one, if either had to avoid a namesake.
        identity: of the study; None where an earlier version has logged it: then the name decides.
    """
    studies = Home(home).studies()
    if identity is None:
        return next((folder for folder in studies if folder.name == name), None)
    studies.sort(key=lambda folder: folder.name != name)  # the likely one first: the others need not be read then
    return next((folder for folder in studies if _identity(folder) == identity), None)


def _identity(folder: StudyFolder) -> str | None:
    try:
        status = folder.file.stat()
    except OSError:  # it was just removed
        return None
    return _read(folder.path, status.st_mtime_ns, status.st_ino)


@lru_cache(1000)
def _read(path: Path, changed: int, inode: int) -> str | None:
    """Return the identity in a study's file; it is read again when the file has changed."""
    try:
        return StudyFolder(path).read().id
    except InputError:
        return None
