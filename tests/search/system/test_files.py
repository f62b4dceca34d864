"""Files are whole or not there."""

from pathlib import Path

import pytest

from convsearch.search.system.files import new_folder, write_text


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


def test_a_new_folder_appears_when_its_block_has_ended_well(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "bundle") as partial:
        (partial / "model").write_text("whole")
        assert not (tmp_path / "deep" / "bundle").exists()
    assert (tmp_path / "deep" / "bundle" / "model").read_text() == "whole"
    assert names(tmp_path / "deep") == ["bundle"]


def test_a_new_folder_vanishes_when_its_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "bundle") as partial:
            (partial / "model").write_text("half")
            raise ExpectedError

    with pytest.raises(ExpectedError):
        fail()
    assert names(tmp_path) == []


def test_a_folder_that_is_there_is_replaced_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "bundle") as partial:
        (partial / "old").touch()
    with pytest.raises(ExpectedError), new_folder(tmp_path / "bundle"):
        raise ExpectedError
    assert names(tmp_path / "bundle") == ["old"]
    with new_folder(tmp_path / "bundle") as partial:
        (partial / "new").touch()
    assert names(tmp_path / "bundle") == ["new"]
    assert names(tmp_path) == ["bundle"]
