"""Commands that messages suggest: typed as they stand, they mean the study that they are about."""

import shlex
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from convsearch.search.values.commands import home_option, resume_command, typed

PATHS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(Path)


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVSEARCH_HOME", raising=False)


def understood(words: list[str]) -> tuple[Path, list[Path]]:
    """The home and the paths of a command, as typer understands them."""
    found: list[tuple[Path, list[Path]]] = []
    app = typer.Typer()

    @app.command()
    def command(paths: Annotated[list[Path] | None, typer.Argument()] = None, home: Path = Path("studies")) -> None:
        found.append((home, paths or []))

    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return found[0]


@given(PATHS, PATHS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_command_gets_the_home_and_the_path_that_it_is_about(home: Path, path: Path) -> None:
    words = shlex.split(f"predict {shlex.quote(typed(path))}{home_option(home)}")
    assert understood(words[1:]) == (home, [path])


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("studies/birds", "convsearch run --study birds --resume"),
        ("/data/studies/birds", "convsearch run --study birds --resume --home /data/studies"),
        ("my studies/birds", "convsearch run --study birds --resume --home 'my studies'"),
        ("-x/birds", "convsearch run --study birds --resume --home ./-x"),
        ("birds", "convsearch run --study birds --resume --home ."),
    ],
)
def test_how_to_go_on_names_the_study_and_its_home(folder: str, expected: str) -> None:
    assert resume_command(Path(folder)) == expected


def test_the_usual_home_is_named_where_the_variable_says_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert home_option(Path("studies")) == ""
    monkeypatch.setenv("CONVSEARCH_HOME", "/data")
    assert home_option(Path("studies")) == " --home studies"
