"""One loop a study: two that write one record would lose trials."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..spaces.errors import InputError
from .home import StudyFolder


@contextmanager
def alone(folder: StudyFolder) -> Iterator[None]:
    """Hold the study's folder while the block runs; the system lets go of it when the process ends, however it does.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(folder.path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"the study '{folder.name}' is being searched by another `convsearch run`: wait for it, or end it by "
                "Ctrl-C"
            ) from error
        yield
    finally:
        os.close(descriptor)
