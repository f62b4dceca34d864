"""One loop per study: two that write to the same record would lose trials. And one at a time for what a home has."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...spaces.errors import InputError

PATIENCE = 0.5  # seconds; `is_held` holds the folder for a moment


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Yield a descriptor to lock; closing it releases the lock, and so does the system however the process ends."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock the study's folder while the block runs; the system releases the lock however the process ends.

    Raises:
        InputError: another process holds it.
    """
    with _opened(folder) as descriptor:
        if not _acquire(descriptor, fcntl.LOCK_EX, PATIENCE):
            raise InputError(
                f"the study '{folder.name}' is being searched by another `convsearch run`: wait for it, or stop it "
                "with Ctrl-C"
            )
        yield


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder while the block runs, as soon as no other process has it; for what is soon done."""
    with _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Keep a folder from being deleted while the block runs; any number of processes may.

    Raises:
        FileNotFoundError: it was deleted just before.
    """
    with _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):  # another one has its name by now
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        yield


@contextmanager
def deletable(folder: Path) -> Iterator[bool]:
    """Yield whether no process has a folder in use, and keep it so while the block runs."""
    with _opened(folder) as descriptor:
        yield _acquire(descriptor, fcntl.LOCK_EX)


def is_held(folder: Path) -> bool:
    """Whether a loop is running on the study, on this machine."""
    try:
        with _opened(folder) as descriptor:
            return not _acquire(descriptor, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _acquire(descriptor: int, kind: int, patience: float = 0.0) -> bool:
    """Acquire a lock within `patience` seconds; return whether that succeeded."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True
