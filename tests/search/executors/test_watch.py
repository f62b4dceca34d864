"""How long a worker may be silent, and what memory counts as its own."""

import mmap
import os
import time
from pathlib import Path

import psutil

from convsearch.search.executors.watch import Patience, Silence
from convsearch.search.system.memory import own_memory


def test_before_the_first_heartbeat_a_job_has_the_time_that_tracing_takes() -> None:
    silence = Silence(Patience(first=0.2, least=0.01, times=1))
    assert silence.allowed == 0.2
    assert not silence.too_long
    time.sleep(0.25)
    assert silence.too_long


def test_after_it_the_longest_silence_so_far_counts_but_never_less_than_the_least() -> None:
    silence = Silence(Patience(first=60, least=0.05, times=3))
    time.sleep(0.1)
    silence.heard()
    assert 0.3 <= silence.allowed < 60
    for _ in range(3):
        silence.heard()
    assert 0.3 <= silence.allowed < 60  # short ones in between make it no shorter
    quick = Silence(Patience(first=60, least=5, times=3))
    quick.heard()
    assert quick.allowed == 5


def test_waiting_for_an_answer_is_no_silence() -> None:
    silence = Silence(Patience(first=0.05, least=0.05, times=1))
    silence.heard(waits=True)
    time.sleep(0.1)
    assert not silence.too_long
    silence.answered()
    assert not silence.too_long
    silence.heard()
    assert silence.allowed < 0.1  # nor was it one when it is over
    time.sleep(0.1)
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
