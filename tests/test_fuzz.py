"""The fuzz in its short form: damage of every kind to every file that comes from outside, always the same."""

import pytest

from benchmarks.fuzz import TARGETS, fuzz

CASES = 15  # of each: the command `python -m benchmarks fuzz` tries them for an hour


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused_in_words(name: str) -> None:
    assert fuzz(name, TARGETS[name], CASES, 0) >= CASES
