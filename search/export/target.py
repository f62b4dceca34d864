"""Where `convsearch export` writes: a new folder, checked before any work, that appears whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ...spaces.errors import InputError
from ..study.home import RESERVED, Home
from ..system.files import partial_folder, publish


def checked_target(to: Path, home: Path) -> Path:
    """Return the full path of the folder that `--to` names, if a new folder can be made there.

    It must not exist, or be an empty folder that can be replaced; not be in a study of `home`, or in the images and
    artifacts there; and be in a folder that can be written to.

    Raises:
        InputError: it cannot; the message says why, and what would be right.
    """
    try:
        if to.is_symlink():
            raise _refused(to, "is a link; name the folder itself, and a new one")
        path = to.resolve()
        if path == Path.cwd():
            raise _refused(to, "is the current folder; choose a new folder in it")
        _require_outside(to, path, home.resolve())
        _require_replaceable(to, path)
        _require_room(to, path)
    except (OSError, RuntimeError) as error:  # too long a name, links in a circle, a folder that may not be read
        reason = error.strerror if isinstance(error, OSError) else "a circle of links"
        raise _refused(to, f"cannot be the new folder: {reason}; choose another") from error
    return path


@contextmanager
def new_target(to: Path, path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` when the block succeeds; `to` is how the user has named it.

    Raises:
        InputError: nothing can be written there, or something has been put there meanwhile.
    """
    with ExitStack() as held:
        try:
            partial = held.enter_context(partial_folder(path.parent))
        except OSError as error:
            raise _refused(to, f"nothing can be written there: {error.strerror}; choose another folder") from error
        yield partial
        try:
            publish(partial, path)
        except FileExistsError as error:
            raise _refused(to, "something has been put there meanwhile; choose a new folder") from error


def _require_replaceable(to: Path, path: Path) -> None:
    """Raise an InputError if there is something that an empty folder cannot take the place of."""
    if not path.exists():
        return
    if not path.is_dir():
        raise _refused(to, "is a file; choose a new folder")
    if path.is_mount():
        raise _refused(to, "is where a disk is mounted; choose a new folder in it")
    if any(path.iterdir()):
        raise _refused(to, "already exists; choose a new folder")


def _require_outside(to: Path, path: Path, home: Path) -> None:
    """Raise an InputError if the path is, or is in, a folder of the home that Convsearch writes."""
    if not path.is_relative_to(home) or not (names := path.relative_to(home).parts):
        return
    studies = {study.name for study in Home(home).studies()}
    if names[0] in studies or RESERVED.fullmatch(names[0]):
        raise _refused(to, f"is in {home / names[0]}, which Convsearch writes itself; choose a folder outside it")


def _require_room(to: Path, path: Path) -> None:
    """Raise an InputError if the nearest folder above that exists takes no new folder."""
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir():
        raise _refused(to, f"{above} is a file; choose a new folder in a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise _refused(to, f"{above} cannot be written to; choose a new folder in one that can")


def _refused(to: Path, reason: str) -> InputError:
    return InputError(f"--to {to}: {reason}")
