"""What many tests share: the digits as arrays, and one search that is done once and read by all."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgres import Server, server
from terminal import SAME, Finished, convsearch

from convsearch.search.data import Dataset, Split, split
from convsearch.search.sources import open_data

settings.register_profile("unhurried", deadline=None)  # machines are of all speeds, and tests run side by side
settings.load_profile("unhurried")
# A shell has what it begins in the background ignore Ctrl-C, and commands that are to obey it would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Seven trials on the digits, by the command, in a folder that is no git checkout."""
    place = tmp_path_factory.mktemp("finished")
    said = convsearch("run", *SAME, "--trials", 7, "--study", "first", "--home", "home", cwd=place)
    assert said.returncode == 0, said.stderr
    return Finished(place / "home", "first", said)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The digits as arrays; not to be changed."""
    return open_data("digits", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def parts(digits: Dataset) -> Split:
    """How the digits are divided, saved beside them as `split.npz`."""
    found = split(digits, seed=0)
    found.save(digits.folder.parent / "split.npz")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; whoever stops it starts it again."""
    with server() as running:
        yield running
