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
def alone(folder: Path) -> Iterator[None]:
    """Lock the study's folder while the block runs; the system releases the lock however the process ends.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _acquire(descriptor, fcntl.LOCK_EX, PATIENCE):
            raise InputError(
                f"the study '{folder.name}' is being searched by another `convsearch run`: wait for it, or stop it "
                "with Ctrl-C"
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder while the block runs, as soon as no other process has it; for what is soon done."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Keep a folder from being deleted while the block runs; any number of processes may.

    Raises:
        FileNotFoundError: it was deleted just before.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):  # another one has its name by now
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        yield
    finally:
        os.close(descriptor)


@contextmanager
def deletable(folder: Path) -> Iterator[bool]:
    """Yield whether no process has a folder in use, and keep it so while the block runs."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _acquire(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a loop is running on the study, on this machine."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _acquire(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


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
