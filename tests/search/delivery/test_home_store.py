"""A home's MLflow store: whole or absent, whatever is killed, and one for all launches that begin at once."""

import errno
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from samples import a_study
from sqlalchemy import Engine, event

from convsearch.search.delivery.home_store import ASIDE, make_whole
from convsearch.search.delivery.reach import FILE
from convsearch.search.delivery.tracking import Tracker
from convsearch.search.study.home import Home
from convsearch.search.study.settings import StudySettings
from convsearch.search.system.addresses import sqlite_url
from convsearch.search.values.limits import Limits
from convsearch.spaces.errors import WorkError

SPACE = "layers: [1]\n"
LAUNCHES = 3
STATEMENTS = (3, 60, 250)  # of the hundreds of SQL by which MLflow makes its tables


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def studies(number: int) -> list[StudySettings]:
    return [a_study(id=uuid4().hex, name=f"study-{index}") for index in range(number)]


def begun(work: Callable[[], object]) -> int:
    """Begin some work in a process of its own, and return its id; its exit status is 0 if the work succeeds."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def killed_at(statement: int, work: Callable[[], object]) -> None:
    """Have work done by a process that is killed before it executes a statement of SQL."""
    numbers = count(1)

    def kill(*_: object) -> None:
        if next(numbers) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def killed() -> None:
        event.listen(Engine, "before_cursor_execute", kill)
        work()

    _, status = os.waitpid(begun(killed), 0)
    assert os.WIFSIGNALED(status), "the work was done before the statement"


def require_whole(home: Home, note: str | None = None) -> None:
    """A study can be logged, and nothing half made is left."""
    tracker = Tracker(home, *studies(1))
    assert tracker.note == note
    tracker.end_launch(tracker.launch(SPACE, Limits()), finished=True)
    assert {path.name for path in home.path.iterdir()} - {ASIDE} == {FILE, "artifacts"}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_store_whose_making_was_killed_is_not_there_and_is_made_by_the_next_launch(
    statement: int, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    killed_at(statement, lambda: Tracker(home, *studies(1)))
    assert not (tmp_path / FILE).exists()
    require_whole(home)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_an_earlier_version_left_half_made_is_moved_aside_and_named(statement: int, tmp_path: Path) -> None:
    home, file = Home(tmp_path), tmp_path / FILE
    killed_at(statement, lambda: SqlAlchemyStore(sqlite_url(file), "mlruns"))
    assert file.exists()
    require_whole(home, f"{file} was left half made by a kill, without any run: moved to {ASIDE} and made anew")
    assert (tmp_path / ASIDE).is_file()


def test_what_is_moved_aside_replaces_nothing_that_is_there(tmp_path: Path) -> None:
    home, file = Home(tmp_path), tmp_path / FILE
    (tmp_path / ASIDE).mkdir()  # a study of that name, which an earlier version began
    for name in (f"{ASIDE}-2", f"{ASIDE}-3"):
        file.unlink(missing_ok=True)
        file.touch()
        note = make_whole(home)
        assert note == f"{file} was left half made by a kill, without any run: moved to {name} and made anew"
        assert (tmp_path / name).is_file()
    assert (tmp_path / ASIDE).is_dir()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_link_to_a_store_is_never_replaced(is_there: bool, tmp_path: Path) -> None:
    home, file = Home(tmp_path / "home"), tmp_path / "home" / FILE
    home.path.mkdir()
    if is_there:
        Tracker(Home(tmp_path), *studies(1))
        (tmp_path / FILE).rename(tmp_path / "elsewhere.db")
    file.symlink_to(tmp_path / "elsewhere.db")
    if is_there:
        assert Tracker(home, *studies(1)).note is None
    else:
        with pytest.raises(WorkError, match=f"it is a link to {tmp_path}/elsewhere.db, which is not there"):
            Tracker(home, *studies(1))
    assert file.is_symlink()
    assert (tmp_path / "elsewhere.db").exists() is is_there


def test_launches_that_begin_at_once_in_a_new_home_get_one_store_with_all_their_studies(tmp_path: Path) -> None:
    home, launches = Home(tmp_path), studies(LAUNCHES)
    waiting, go = os.pipe()

    def launch(study: StudySettings) -> None:
        os.close(go)
        os.read(waiting, 1)  # ends when nobody can write any more
        tracker = Tracker(home, study)
        tracker.end_launch(tracker.launch(SPACE, Limits()), finished=True)

    processes = [begun(lambda study=study: launch(study)) for study in launches]  # type: ignore[misc]
    os.close(go)
    assert [os.waitpid(process, 0)[1] for process in processes] == [0] * LAUNCHES
    os.close(waiting)
    found = {experiment.name for experiment in MlflowClient(sqlite_url(tmp_path / FILE)).search_experiments()}
    assert found == {"Default", *(study.name for study in launches)}
    assert not list(tmp_path.glob(".convsearch-*"))


def test_a_store_that_has_studies_or_is_another_programs_is_never_moved(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = Tracker(home, *studies(1))
    assert Tracker(home, *studies(1)).note is None
    assert MlflowClient(first.uri).get_experiment(first.experiment_id).name == "study-0"
    other = Home(tmp_path / "other")
    other.path.mkdir()
    with closing(sqlite3.connect(other.path / FILE)) as database:
        database.execute("CREATE TABLE birds (name TEXT)")
    assert Tracker(other, *studies(1)).note is None


@pytest.fixture(params=["links", "no links"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with hard links, and one that refuses them as FAT does, which nobody may mount for a test."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse_links)


@pytest.mark.usefixtures("disk")
def test_a_store_that_another_program_makes_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    home, file, others, statements = Home(tmp_path), tmp_path / FILE, [], count(1)

    def make_another(*_: object) -> None:
        if next(statements) == STATEMENTS[1]:
            other = sqlite3.connect(file, isolation_level=None)
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("CREATE TABLE birds (name TEXT)")
            other.execute("INSERT INTO birds VALUES ('wren')")  # is in the -wal alone while the program goes on
            others.append(other)

    event.listen(Engine, "before_cursor_execute", make_another)
    try:
        make_whole(home)
    finally:
        event.remove(Engine, "before_cursor_execute", make_another)
    (other,) = others
    assert file.with_name(f"{FILE}-wal").stat().st_size > 0
    other.execute("INSERT INTO birds VALUES ('robin')")
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT name FROM birds").fetchall() == [("wren",), ("robin",)]
    other.close()


@pytest.mark.usefixtures("disk")
def test_what_a_deleted_store_has_left_beside_it_is_no_part_of_the_new_one(tmp_path: Path) -> None:
    for end in ("-journal", "-wal", "-shm"):
        (tmp_path / f"{FILE}{end}").write_text("of another store")
    make_whole(Home(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("SELECT name FROM experiments").fetchall() == [("Default",)]


def refuse_links(*_: object, **__: object) -> None:
    """As a disk does that knows one name for a file."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
