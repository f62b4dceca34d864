"""How long a worker may be silent, and what memory counts as its own."""

import mmap
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from convsearch.search.executors.watch import Patience, Silence
from convsearch.search.system.memory import own_memory


@dataclass
class Clock:
    """A clock that a test sets."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_before_the_first_heartbeat_a_job_has_the_time_that_tracing_takes() -> None:
    clock = Clock()
    silence = Silence(Patience(first=200, least=10, times=1), clock)
    assert silence.allowed == 200
    clock.seconds = 200
    assert not silence.too_long
    clock.seconds = 201
    assert silence.too_long


def test_after_it_the_longest_silence_so_far_counts_but_never_less_than_the_least() -> None:
    clock = Clock()
    silence = Silence(Patience(first=600, least=5, times=3), clock)
    silence.heard()
    assert silence.allowed == 5
    clock.seconds = 10
    silence.heard()
    assert silence.allowed == 30
    clock.seconds = 11
    silence.heard()
    assert silence.allowed == 30  # a short one in between makes it no shorter


def test_waiting_for_an_answer_is_no_silence() -> None:
    clock = Clock()
    silence = Silence(Patience(first=5, least=5, times=1), clock)
    silence.heard(waits=True)
    clock.seconds = 1000
    assert not silence.too_long
    silence.answered()
    assert not silence.too_long
    silence.heard()
    assert silence.allowed == 5  # nor was it one when it is over
    clock.seconds = 1006
    assert silence.too_long


def test_a_file_that_is_mapped_is_nobodys_own_memory(tmp_path: Path) -> None:
    size = 64 * 2**20
    (tmp_path / "images").write_bytes(os.urandom(size))
    process = psutil.Process()
    before = own_memory(process)
    with (tmp_path / "images").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) > 0  # every page is there
        assert own_memory(process) - before < size / 4
    taken = os.urandom(size)
    assert own_memory(process) - before > size / 2
    assert len(taken) == size
