"""One loop a study: two that write one record would lose trials."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...spaces.errors import InputError

PATIENCE = 0.5  # seconds; whoever asks whether a folder is held (`is_held`) holds it for a moment


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the study's folder while the block runs; the system lets go of it when the process ends, however it does.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _taken(descriptor, fcntl.LOCK_EX, PATIENCE):
            raise InputError(
                f"the study '{folder.name}' is being searched by another `convsearch run`: wait for it, or end it by "
                "Ctrl-C"
            )
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a loop is at work on the study, on this machine."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _taken(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, kind: int, patience: float = 0.0) -> bool:
    """Take a lock if it can be had within some seconds."""
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
