"""File descriptors of the test's own process: none left, or only large ones."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

MANY = 1024  # select(2) takes only those below


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Leave so many descriptors, and no more, to what the block opens."""
    gc.collect()  # files of earlier tests would be closed in the block
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        for descriptor in _all_below(MANY):
            held.callback(os.close, descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (MANY + count, hard))
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        yield


def _all_below(highest: int) -> list[int]:
    """Open descriptors until none below `highest` is free."""
    taken = []
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) < highest:
        taken.append(descriptor)
    os.close(descriptor)
    return taken


@contextmanager
def only_large_descriptors() -> Iterator[None]:
    """Have whatever the block opens get descriptors that select(2) does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in _all_below(MANY):
            held.callback(os.close, descriptor)
        yield
