"""Runs a function on many items in threads: in order, and with no more of it in memory at once than is allowed.

Decoding, resizing and hashing release the GIL: threads are as good as processes, and cheaper.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Condition
from typing import TypeVar

from ..data.source import BATCH_BYTES

THREADS = min(32, os.cpu_count() or 1)
"""How many threads read or resize images."""

BATCH = 128
"""The most items in a batch, unless the caller says otherwise: after each batch, progress is told."""

AHEAD_BYTES = 16 * BATCH_BYTES
"""About how many bytes of results may wait for an earlier one, beside those of two batches."""

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_threads(
    function: Callable[[_T], _R], items: Iterable[_T], size: int = 1, most: int = BATCH
) -> Generator[tuple[list[_T], list[_R]], None, None]:
    """Yield all items with their results, in order and in batches.

    The threads wait neither for the slowest item of a batch nor for what is done with it: they are already at the next
    ones, some two for each thread, unless so many results are too large. Where the caller stops early, or a call fails,
    those that have not begun never do.

    Args:
        function: what is called with each item, in any thread.
        items: what it is called with.
        size: the bytes of a result.
        most: of a batch.
    """
    count = max(1, min(most, BATCH_BYTES // size))
    ahead = max(1, min(2 * THREADS, AHEAD_BYTES // size))
    left = iter(items)
    pool = ThreadPoolExecutor(THREADS)
    begun: deque[tuple[_T, Future[_R]]] = deque()

    def begin(more: int) -> None:
        begun.extend((item, pool.submit(function, item)) for item in islice(left, more))

    try:
        begin(count + ahead)
        while begun:
            batch = [begun.popleft() for _ in range(min(count, len(begun)))]
            results = [call.result() for _, call in batch]
            begin(len(batch))
            yield [item for item, _ in batch], results
    finally:
        pool.shutdown(cancel_futures=True)


class Memory:
    """So many bytes of memory, of which threads take their shares: whoever finds too few left waits for the others."""

    def __init__(self, most: int) -> None:
        self._left = self._most = most
        self._changed = Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Take `size` bytes while the block runs; whoever needs more than there are at all, takes all."""
        share = min(size, self._most)
        with self._changed:
            self._changed.wait_for(lambda: share <= self._left)
            self._left -= share
        try:
            yield
        finally:
            with self._changed:
                self._left += share
                self._changed.notify_all()
