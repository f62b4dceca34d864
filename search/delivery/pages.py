"""Answers of MLflow that come in pages: a server returns a thousand at a time, however many there are."""

from collections.abc import Callable, Iterator
from typing import Any


def every(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield what a search finds, page by page.

    Args:
        search: returns the page of a token as one of MLflow's `PagedList`; None is the first one's.
    """
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return
