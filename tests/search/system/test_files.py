"""Files are whole or not there."""

import shutil
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from convsearch.search.system.files import (
    PARTIAL,
    copy_folder,
    partial_folder,
    publish,
    replacing_folder,
    settle_replacement,
    write_text,
)
from convsearch.search.system.lock import alone, is_held
from convsearch.spaces.errors import InputError


class ExpectedError(Exception):
    """Goes wrong on purpose."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_replaces_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "study.yaml", "old")
    write_text(tmp_path / "study.yaml", "größer")
    assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "größer"
    assert names(tmp_path) == ["study.yaml"]


def test_a_text_that_cannot_be_written_leaves_the_old_one_and_nothing_half_made(tmp_path: Path) -> None:
    write_text(tmp_path / "study.yaml", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "study.yaml", "half of it, then \ud800")
    assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["study.yaml"]


def test_a_text_is_not_written_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").mkdir()
    with pytest.raises(OSError, match=r"study\.yaml"):
        write_text(tmp_path / "study.yaml", "text")
    assert names(tmp_path) == ["study.yaml"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    name = "n" * 255
    write_text(tmp_path / name, "text")
    assert (tmp_path / name).read_text() == "text"
    (tmp_path / name).unlink()
    with partial_folder(tmp_path) as partial:
        (partial / "model").touch()
        publish(partial, tmp_path / name)
    assert names(tmp_path / name) == ["model"]


# ---------------------------------------------------------------------- folders


def test_a_folder_appears_when_it_is_published_and_vanishes_when_it_is_not(tmp_path: Path) -> None:
    with partial_folder(tmp_path / "deep") as partial:
        (partial / "model").write_text("whole")
        publish(partial, tmp_path / "deep" / "bundle")
        assert names(tmp_path / "deep") == ["bundle"]

    def fail() -> None:
        with partial_folder(tmp_path / "deep") as partial:
            (partial / "model").write_text("half")
            raise ExpectedError

    with pytest.raises(ExpectedError):
        fail()
    assert names(tmp_path / "deep") == ["bundle"]
    assert (tmp_path / "deep" / "bundle" / "model").read_text() == "whole"


def test_the_lock_of_a_folder_lasts_when_it_has_got_its_name(tmp_path: Path) -> None:
    with partial_folder(tmp_path) as partial:
        publish(partial, tmp_path / "study")
        assert is_held(tmp_path / "study")
        with pytest.raises(InputError, match="is being searched"), alone(tmp_path / "study"):
            pass
    with alone(tmp_path / "study"):
        pass


@pytest.mark.parametrize("what", ["file", "folder", "link to a folder", "link to nothing"])
def test_what_is_there_already_is_never_replaced(tmp_path: Path, what: str) -> None:
    path, other = tmp_path / "bundle", tmp_path / "other"
    match what:
        case "file":
            path.write_text("mine")
        case "folder":
            path.mkdir()
            (path / "mine").touch()
        case "link to a folder":
            other.mkdir()
            path.symlink_to(other)
        case "link to nothing":
            path.symlink_to(other)
    before = path.lstat()
    with partial_folder(tmp_path) as partial:
        (partial / "model").touch()
        with pytest.raises(FileExistsError, match=str(path)):
            publish(partial, path)
    assert path.lstat() == before
    assert names(tmp_path) == sorted({"bundle", *(["other"] if other.exists() else [])})


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with partial_folder(tmp_path) as partial:
        (partial / "model").touch()
        publish(partial, tmp_path / "bundle")
    assert names(tmp_path / "bundle") == ["model"]


def test_what_a_kill_has_left_behind_is_removed_and_what_another_process_is_making_is_not(tmp_path: Path) -> None:
    left, file, link = (tmp_path / PARTIAL.format(name) for name in ("left", "file", "link"))
    stranger = tmp_path / ".c.foo.partial"
    for folder in (left, stranger):
        folder.mkdir()
        (folder / "model").touch()
    file.touch()  # perhaps being written
    link.symlink_to(stranger)
    with partial_folder(tmp_path) as ours:  # a lock is of an open descriptor, not of a process
        assert names(tmp_path) == sorted(path.name for path in (file, link, stranger, ours))
        with partial_folder(tmp_path) as theirs:
            assert ours.exists()
            assert theirs != ours
        assert ours.exists()
    assert names(stranger) == ["model"]


def make_folders(place: Path, number: int, start: Barrier) -> None:
    """Make folders one after another, each of which looks for what others have left."""
    start.wait(60)
    for count in range(20):
        with partial_folder(place) as partial:
            (partial / "by").write_text(f"{number} {count}")
            publish(partial, place / f"{number}-{count}")


@pytest.mark.usefixtures("blank_main")
def test_of_many_that_make_folders_at_once_none_removes_anothers(tmp_path: Path) -> None:
    processes = get_context("forkserver")
    start = processes.Barrier(8)
    makers = [processes.Process(target=make_folders, args=(tmp_path, number, start)) for number in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
        assert maker.exitcode == 0
    found = {path.name: (path / "by").read_text() for path in tmp_path.iterdir()}
    assert found == {f"{number}-{count}": f"{number} {count}" for number in range(8) for count in range(20)}


def test_a_folder_that_is_there_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "bundle") as partial:
        (partial / "old").touch()
    with pytest.raises(ExpectedError), replacing_folder(tmp_path / "bundle"):
        raise ExpectedError
    assert names(tmp_path / "bundle") == ["old"]
    with replacing_folder(tmp_path / "bundle") as partial:
        (partial / "new").touch()
    assert names(tmp_path / "bundle") == ["new"]
    assert names(tmp_path) == ["bundle"]


def test_a_folder_that_is_replaced_while_it_is_copied_is_copied_again_and_nothing_of_it_is_left(
    tmp_path: Path,
) -> None:
    bundle, to = tmp_path / "bundle", tmp_path / "copy"
    names = ("card", "labels", "model")
    (bundle / "pictures").mkdir(parents=True)
    for name in (*names, "notes", "pictures/one"):
        (bundle / name).write_text("old")
    to.mkdir()
    copied = []

    def copy_file(source: str, target: str) -> None:
        copied.append(shutil.copyfile(source, target))
        if len(copied) == 2:
            with replacing_folder(bundle) as place:
                for name in names:
                    (place / name).write_text("new")

    copy_folder(bundle, to, copy_file)
    assert {path.name: path.read_text() for path in to.iterdir()} == dict.fromkeys(names, "new")


def test_a_folder_that_is_between_the_two_renames_of_its_replacement_is_copied_as_it_was(tmp_path: Path) -> None:
    (tmp_path / ".bundle.replaced").mkdir()
    (tmp_path / ".bundle.replaced" / "model").write_text("old")
    (tmp_path / "copy").mkdir()
    copy_folder(tmp_path / "bundle", tmp_path / "copy")
    assert {path.name: path.read_text() for path in (tmp_path / "copy").iterdir()} == {"model": "old"}


def test_a_folder_whose_replacement_goes_on_step_by_step_while_it_is_copied_is_copied_whole(tmp_path: Path) -> None:
    bundle, to, new = tmp_path / "bundle", tmp_path / "copy", tmp_path / "new"
    names = ("card", "labels", "model")
    for folder in (bundle, new):
        folder.mkdir()
        for name in (*names, *(["notes"] if folder == bundle else [])):
            (folder / name).write_text(folder.name)
    to.mkdir()
    copied = []

    def copy_file(source: str, target: str) -> None:
        copied.append(Path(shutil.copyfile(source, target)).name)
        match len(copied):
            case 2:
                bundle.rename(tmp_path / ".bundle.replaced")
            case 4:  # from there, now
                publish(new, bundle)
                settle_replacement(bundle)

    copy_folder(bundle, to, copy_file)
    assert {path.name: path.read_text() for path in to.iterdir()} == dict.fromkeys(names, "new")


def test_a_folder_that_cannot_be_copied_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model").symlink_to("nowhere")
    (tmp_path / "copy").mkdir()
    with pytest.raises(OSError, match="model"):
        copy_folder(tmp_path / "bundle", tmp_path / "copy")
    with pytest.raises(FileNotFoundError):
        copy_folder(tmp_path / "nothing", tmp_path / "copy")


@pytest.mark.parametrize(
    ("there", "expected"), [([".bundle.replaced"], "old"), ([".bundle.replaced", "bundle"], "new")]
)
def test_a_replacement_that_was_killed_half_way_is_undone_or_finished(
    tmp_path: Path, there: list[str], expected: str
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
        (tmp_path / name / ("new" if name == "bundle" else "old")).touch()
    settle_replacement(tmp_path / "bundle")
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == [expected]
