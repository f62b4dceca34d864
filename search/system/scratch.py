"""A folder for files on their way from a worker to the loop; nothing of it stays on the machine."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "convsearch-scratch-"
YOUNG = 60.0  # seconds in which a folder that nobody holds may be about to be held


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder that goes with the block; what a killed process has left goes when the next one begins."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when the process ends
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it is another user's, or held, or has just gone
            if time.time() - folder.stat().st_mtime < YOUNG:
                continue
            held = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(held)
