"""What befalls a user's file while it is read, and says nothing of it: the machine fails, or somebody writes to it."""

import errno
from pathlib import Path

from ...spaces.errors import InputError

# Too many open files, no memory, a failing disk or connection. The bundle's predict.py has the same list.
_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR, errno.ETIMEDOUT)

State = tuple[int, int] | None
"""A file's size in bytes and the time of its last change in nanoseconds; None where it cannot be looked at."""


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error of reading a file or folder is a failure of the machine: the next attempt may succeed."""
    return error.errno in _OF_THE_MACHINE


def state_of(path: Path) -> State:
    """Return the state of a file, by which a change is noticed.

    Without its inode, which some network file systems renumber at will.
    """
    try:
        status = path.stat()
    except OSError as error:
        if is_of_the_machine(error):
            raise
        return None
    return status.st_size, status.st_mtime_ns


def require_unchanged(path: Path, before: State, name: str) -> None:
    """Raise an InputError if a file has changed since; `name` is for the message.

    What is read is kept under the hash of what was there before, and would be taken for it ever after.
    """
    if state_of(path) != before:
        raise InputError(f"{name} changed while it was read. Try again when nothing writes to it any more.")
