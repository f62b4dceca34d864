"""Atomic writes: files and folders are written under a temporary name and renamed.

No temporary name is met twice, so what a kill has left behind is never in the way.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK)  # where a disk has no second name for a file
PARTIAL = ".convsearch-{}.partial"  # with a random token: short, because the final name may be as long as allowed


def write_text(path: Path, text: str, *, synced: bool = True) -> None:
    """Write a text file atomically: a reader sees either the old text or the new.

    Unless it is `synced`, a power failure may bring the old text back; a kill does not.
    """
    write_bytes(path, text.encode(), synced=synced)


def write_bytes(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a file atomically; see `write_text`."""
    partial = _partial_in(path.parent)
    try:
        with partial.open("xb") as file:
            file.write(content)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder in `parent`, locked while the block runs, and remove it unless the block has renamed it.

    The lock is of the folder, not of its name: it lasts when the block has published the folder. Folders in `parent`
    that killed processes have left behind are removed: they are locked by nobody.

    Raises:
        OSError: nothing can be written there.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_left(parent)
    partial, lock = _locked_folder(parent)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def remove_left(parent: Path) -> None:
    """Remove the partial folders in `parent` that killed processes have left behind: they are locked by nobody."""
    for left in parent.glob(PARTIAL.format("*")):
        _remove_unlocked(left)


def free_name(path: Path) -> Path:
    """Return the path, or, where something has that name already, the path with the first of -2, -3, ... that is free.

    Only for a folder in which no other process looks for the same name.
    """
    names = chain([path.name], (f"{path.name}-{number}" for number in count(2)))
    return next(place for name in names if not os.path.lexists(place := path.with_name(name)))


def publish(partial: Path, path: Path) -> None:
    """Rename a folder to a path beside it where nothing is, or an empty folder.

    Raises:
        FileExistsError: something is there; it is left as it is.
    """
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise


def publish_file(partial: Path, path: Path) -> None:
    """Give a file its name, in the folder above its own or beside it, where nothing has that name.

    Raises:
        FileExistsError: something has it, and is left as it is.
    """
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # the name is ours, and a kill leaves an empty file
        partial.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` when the block succeeds, and is removed when it fails.

    What was there is first renamed aside: `settle_replacement` brings it back if a kill comes just then. Only for a
    folder that this process alone writes.
    """
    with partial_folder(path.parent) as partial:
        yield partial
        settle_replacement(path)
        if path.exists():
            path.rename(_aside(path))
        publish(partial, path)
        settle_replacement(path)


def copy_folder(path: Path, to: Path, copy_file: Callable[[str, str], object] = shutil.copy2) -> None:
    """Copy the content of a folder into an empty one, again from the start if `replacing_folder` has replaced it.

    While the new folder does not have its name yet, the old one is copied.

    Args:
        path: the folder.
        to: the empty one; after an error it holds anything.
        copy_file: copies a file, from its full path to another.

    Raises:
        OSError: something cannot be read or written, or the folder is not there.
    """
    while True:
        place, held = _opened(path)
        try:
            shutil.copytree(place, to, copy_function=copy_file, dirs_exist_ok=True)
            if _is_still(place, held):
                return
        except OSError:  # files vanish from a folder that has been replaced
            if _is_still(place, held):
                raise
        finally:
            os.close(held)
        for left in to.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()


def settle_replacement(path: Path) -> None:
    """Undo or finish what a killed `replacing_folder` had begun."""
    aside = _aside(path)
    if path.exists() and aside.exists():  # renamed first: what has this name is whole, and `copy_folder` may copy it
        shutil.rmtree(aside.rename(_partial_in(path.parent)), ignore_errors=True)
    elif aside.exists():
        aside.rename(path)


def _opened(path: Path) -> tuple[Path, int]:
    """Return where a folder is, or what `replacing_folder` has just renamed aside, and its descriptor.

    While the folder is open, no other one gets its inode.
    """
    for place in (path, _aside(path)):
        with suppress(FileNotFoundError):
            return place, os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    return path, os.open(path, os.O_RDONLY | os.O_DIRECTORY)  # the new one, if it has got its name in between


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether a path is that of an open folder."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _partial_in(parent: Path) -> Path:
    return parent / PARTIAL.format(secrets.token_hex(8))


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Make a folder, and return it with the descriptor that locks it."""
    while True:
        partial = _partial_in(parent)
        partial.mkdir()
        with suppress(FileNotFoundError):  # another process may have removed it before it was locked
            lock = _lock(partial)
            if lock is not None:
                return partial, lock


def _lock(folder: Path) -> int | None:
    """Return a descriptor that locks a folder; None if another process has locked or removed it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.lstat()):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _remove_unlocked(folder: Path) -> None:
    with suppress(OSError):  # it is another user's, or has gone
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
