"""Sources that are refused."""

from pathlib import Path
from typing import Any

import pytest

from convsearch.search.sources import open_data
from convsearch.spaces.errors import InputError


def refused(path: Path, cache: Path, **options: Any) -> str:
    """Return the message that a source is refused with, having seen that nothing is left in the cache."""
    with pytest.raises(InputError) as error:
        open_data(str(path), cache, **options)
    assert not cache.exists() or not list(cache.iterdir())
    return str(error.value)
