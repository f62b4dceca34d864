"""Looks whether an array has room on its disk, before any of it is written."""

import shutil
from pathlib import Path

from ...spaces.errors import WorkError
from ..values.words import size


def require_room(folder: Path, needed: int, what: str, mend: str) -> None:
    """Raise a WorkError where a folder's disk has less free than is needed.

    Args:
        folder: a folder that is there.
        needed: in bytes.
        what: is to be written, for the message: `data/cats: 800 images of 64x64x3`.
        mend: what would help, as a sentence.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WorkError(f"{what} need {size(needed)} in {folder}, where {size(free)} are free. {mend}")
