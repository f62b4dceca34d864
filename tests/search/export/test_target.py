"""Where `convsearch export` may write: what is refused, and that it is refused before any work."""

import random
from pathlib import Path

import pytest
from samples import a_study
from terminal import typed

from convsearch.search.export.target import checked_target, new_target
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a study of one trial, without images or weights: whatever begins to export it fails for that."""
    made = Home(tmp_path / "home")
    folder = made.study("mine")
    space = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)
    values = space.draw(random.Random(0))
    with folder.create(a_study(), ""):
        folder.record().add(Trial.begin(Proposal(0, values, space.candidate(values))))
    return made.path


BAD = {
    ".": "--to .: is the current folder; choose a new folder in it",
    "sub/..": "--to sub/..: is the current folder",
    "/": "--to /: is where a disk is mounted; choose a new folder in it",
    "/proc": "--to /proc: is where a disk is mounted",
    "file": "--to file: is a file; choose a new folder",
    "file/new": "--to file/new: {place}/file is a file; choose a new folder in a folder",
    "file/deep/new": "--to file/deep/new: {place}/file is a file",
    "full": "--to full: already exists; choose a new folder",
    "link": "--to link: is a link; name the folder itself",
    "link to nothing": "--to link to nothing: is a link",
    "circle/new": "--to circle/new: cannot be the new folder: ",
    "n" * 256: ": cannot be the new folder: File name too long; choose another",
    "home/mine": "--to home/mine: is in {place}/home/mine, which Convsearch writes itself; choose a folder outside it",
    "home/mine/bundle": "--to home/mine/bundle: is in {place}/home/mine, ",
    "home/data/new": "--to home/data/new: is in {place}/home/data, ",
    "home/artifacts": "--to home/artifacts: is in {place}/home/artifacts, ",
    "way/mine/new": "--to way/mine/new: is in {place}/home/mine, ",
}


@pytest.mark.parametrize(("to", "said"), BAD.items(), ids=[f"{name:.20}" for name in BAD])
def test_a_folder_that_cannot_be_the_new_one_is_refused_before_any_work(home: Path, to: str, said: str) -> None:
    place = home.parent
    (place / "file").touch()
    for folder in ("sub", "empty", "full/thesis"):
        (place / folder).mkdir(parents=True)
    for link, target in (("link", "empty"), ("link to nothing", "none"), ("circle", "circle"), ("way", "home")):
        (place / link).symlink_to(target)
    before = sorted(place.rglob("*"))
    done = typed("export", "mine:0", "--to", to, "--home", home, cwd=place)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said.format(place=place) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    "to", ["new", "deep/new", "empty", "home/new", "home/.hidden", "way/in/new", "full/new", "n" * 255]
)
def test_a_new_or_an_empty_folder_is_written_whole(home: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = home.parent
    (place / "empty").mkdir()
    (place / "full").mkdir()
    (place / "full" / "thesis").touch()
    (place / "way").symlink_to("full")
    monkeypatch.chdir(place)
    with new_target(Path(to), checked_target(Path(to), home)) as partial:
        (partial / "model").touch()
    assert [path.name for path in Path(to).iterdir()] == ["model"]
    assert list(place.rglob(".convsearch-*")) == []


def test_a_folder_that_takes_no_new_one_is_refused_when_it_is_tried(home: Path) -> None:
    to = Path("/proc/new")  # where even root makes no folder
    with pytest.raises(InputError, match=r"--to /proc/new: .*; choose another folder"), new_target(to, to):
        pytest.fail("the work has begun")


def test_what_has_been_put_there_during_the_work_is_left_as_it_is(home: Path) -> None:
    to = home.parent / "new"

    def export() -> None:
        with new_target(to, to) as partial:
            (partial / "model").touch()
            to.mkdir()
            (to / "thesis").touch()

    with pytest.raises(InputError, match="something has been put there meanwhile"):
        export()
    assert [path.name for path in to.iterdir()] == ["thesis"]
