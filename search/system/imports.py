"""Imports that leave out what a library would only import because it is installed."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def without(packages: Iterable[str]) -> Iterator[None]:
    """Have packages that nobody has imported yet appear not to be installed while the block runs."""
    absent = [name for name in packages if name not in sys.modules]
    # None stops an import (Python reference, "The import system").
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
