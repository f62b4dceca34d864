"""What many tests share: the digits as arrays, and one search that is done once and read by all."""

import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from postgres import Server, server
from terminal import SAME, Finished, convsearch

from convsearch.search.data import Dataset, Split, split
from convsearch.search.executors.local import starter_for
from convsearch.search.executors.shares import shares
from convsearch.search.sources import open_data
from convsearch.search.system.machine import this_machine
from convsearch.search.system.programs import Starter

settings.register_profile("unhurried", deadline=None)  # machines are of all speeds, and tests run side by side
settings.load_profile("unhurried")
# A shell has what it begins in the background ignore Ctrl-C, and commands that are to obey it would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Make a folder of this run of the tests, once for all processes of pytest-xdist that they are divided between."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    place, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not done.exists():
            shutil.rmtree(place, ignore_errors=True)  # of a process that did not come to the end
            place.mkdir()
            make(place)
            done.touch()
    return place


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out each test that comes to need what takes seconds")


def pytest_collection(session: pytest.Session) -> None:
    if session.config.getoption("quick"):
        sys.addaudithook(leave_out)


LONG_TO_IMPORT = {"keras", "keras_tuner", "mlflow", "playwright", "ray", "streamlit", "tensorflow"}


def leave_out(event: str, arguments: tuple[object, ...]) -> None:
    """End a test, as skipped, that is about to start a process or to import what takes long; Python tells of both."""
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        pytest.skip("not quick: it starts a process", allow_module_level=True)
    if event == "import" and str(arguments[0]) in LONG_TO_IMPORT:
        pytest.skip(f"not quick: it imports {arguments[0]}", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def what_earlier_files_left_is_scanned_no_more() -> Iterator[None]:
    """Keep collections short: Keras collects before each network, and libraries leave millions of objects."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Seven trials on the digits, by the command, in a folder that is no git checkout; only to be read."""

    def make(place: Path) -> None:
        said = convsearch("run", *SAME, "--trials", 7, "--study", "first", "--home", "home", cwd=place)
        assert said.returncode == 0, said.stderr
        (place / "stdout").write_text(said.stdout, encoding="utf-8")
        (place / "stderr").write_text(said.stderr, encoding="utf-8")

    place = made_once(tmp_path_factory, "finished", make)
    stdout, stderr = ((place / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return Finished(place / "home", "first", subprocess.CompletedProcess((), 0, stdout, stderr))


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Finished:
    """That study in a home of its own, to be gone on with or damaged."""
    return finished.copied(tmp_path / "moved")


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
def starter() -> Iterator[Starter]:
    """What starts workers as a search does: where it can, from a process that has imported Keras once for all tests."""
    with closing(starter_for(shares(this_machine(), 1))) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; whoever stops it starts it again."""
    with server() as running:
        yield running
