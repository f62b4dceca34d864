"""Paths as they are typed: `~` is the user's home folder, also where no shell has replaced it."""

from pathlib import Path

import pytest
import typer
from terminal import understood
from typer.testing import CliRunner

from convsearch.search.launch.options import Options, command_of
from convsearch.search.values.text import expanded
from convsearch.spaces.definition import read


@pytest.fixture(autouse=True)
def home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CONVSEARCH_HOME", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["studies", "--home=~/all"], "home"),
        (["show", "birds", "--home=~/all"], "home"),
        (["explain", "birds", "--home=~/all"], "home"),
        (["compare", "birds", "beetles", "--home=~/all"], "home"),
        (["dashboard", "--home=~/all"], "home"),
        (["export", "birds", "--to=~/all"], "to"),
        (["predict", "~/all", "a.png"], "bundle"),
        (["predict", "bundle", "~/all"], "images"),
    ],
)
def test_every_path_may_begin_with_the_home_folder(words: list[str], name: str, home_folder: Path) -> None:
    found = understood(words)[name]
    assert found in (home_folder / "all", [home_folder / "all"])


def test_the_variable_of_the_home_too(home_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSEARCH_HOME", "~/all")
    assert understood(["show", "birds"])["home"] == home_folder / "all"


@pytest.mark.parametrize("words", [["--home=~/all"], []])
def test_a_search_too(words: list[str], home_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSEARCH_HOME", "~/all")
    found: list[Options] = []
    program = typer.Typer()
    program.command()(command_of(found.append))
    assert CliRunner().invoke(program, words, catch_exceptions=False).exit_code == 0
    assert found[0].home == home_folder / "all"


def test_a_space_too(home_folder: Path) -> None:
    (home_folder / "mine.yaml").write_text("layers: 1")
    assert read("~/mine.yaml") == "layers: 1"


@pytest.mark.parametrize("name", ["~no-such-user-here/all", "a/~", "plain"])
def test_other_paths_stay_as_they_are(name: str) -> None:
    assert expanded(name) == Path(name)
