"""What befalls a user's file while it is read, and says nothing of it: the machine fails, or somebody writes to it."""

import errno
from pathlib import Path

from ...spaces.errors import InputError

# Not there, not permitted, no file, no such name; and none, where a library describes what it found in the file. All
# others are failures of the machine, of which no list is complete. The bundle's predict.py has the same list.
_OF_THE_FILE = (
    None,
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
)

State = tuple[int, int] | None
"""A file's size in bytes and the time of its last change in nanoseconds; None where it cannot be looked at."""


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error of reading a file or folder is a failure of the machine: the next attempt may succeed."""
    return error.errno not in _OF_THE_FILE


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
