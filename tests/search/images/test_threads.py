"""Items read by threads: in order, not all at once, and within memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier, Event, Lock

import pytest

from convsearch.search.images.threads import AHEAD_BYTES, BATCH, THREADS, Memory, in_threads

LIMIT = 60  # seconds, so that a test fails instead of hanging


def test_every_item_comes_once_in_order_with_its_result() -> None:
    found = list(in_threads(lambda n: n * n, range(1000)))
    assert [item for items, _ in found for item in items] == list(range(1000))
    assert [result for _, results in found for result in results] == [n * n for n in range(1000)]
    assert max(len(items) for items, _ in found) == BATCH


def test_of_nothing_nothing_comes() -> None:
    assert list(in_threads(str, [])) == []


def test_the_next_items_are_begun_while_the_slowest_of_a_batch_is_waited_for() -> None:
    later = Event()

    def work(item: int) -> bool:
        if item == 0:
            return later.wait(LIMIT)
        later.set()  # by one of the next batch
        return True

    items, results = next(in_threads(work, range(2), most=1))
    assert (items, results) == ([0], [True])


@pytest.mark.parametrize(
    ("size", "most"),
    [(1, 2 * BATCH + 2 * THREADS), (AHEAD_BYTES, 3)],
    ids=["small results", "results as large as all that may wait"],
)
def test_items_are_taken_only_as_far_ahead_as_their_results_may_wait(size: int, most: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    with closing(in_threads(str, items(), size)) as batches:
        next(batches)
        assert len(taken) == most


def test_what_has_not_begun_when_the_caller_stops_never_does() -> None:
    begun: list[int] = []
    batches = in_threads(begun.append, range(1000), most=1)
    next(batches)
    batches.close()
    assert len(begun) <= 2 + 2 * THREADS


def test_an_error_ends_it_with_that_error() -> None:
    def work(item: int) -> int:
        if item == 300:
            raise OSError("gone")
        return item

    batches = in_threads(work, range(1000))
    assert [next(batches)[0][0], next(batches)[0][0]] == [0, BATCH]
    with pytest.raises(OSError, match="gone"):
        next(batches)


def test_threads_never_hold_more_memory_than_there_is_together() -> None:
    memory, lock = Memory(10), Lock()
    held: list[int] = []
    most: list[int] = []

    def work(size: int) -> None:
        with memory.taken(size):
            with lock:
                held.append(size)
                most.append(sum(held))
            with lock:
                held.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 4, 7, 10] * 250))
    assert max(most) <= 10
    assert len(most) == 1000


def test_memory_for_two_is_held_by_two_at_once() -> None:
    memory, both = Memory(10), Barrier(2, timeout=LIMIT)

    def work(size: int) -> int:
        with memory.taken(size):
            return both.wait()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(work, [5, 5])) == [0, 1]


def test_what_needs_more_than_all_memory_gets_all_of_it() -> None:
    memory = Memory(10)
    with memory.taken(25):
        pass
    with memory.taken(10):  # and has given it back
        pass
