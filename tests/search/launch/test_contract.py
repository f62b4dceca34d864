"""What a study that goes on keeps of what it was begun with, and what a launch may change from then on."""

import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import searches
from rich.console import Console

from convsearch.search.launch.contract import joined_contract, resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.loop.time_used import FILE
from convsearch.search.study.folder import hash_of
from convsearch.search.study.home import Home
from convsearch.search.study.settings import StudySettings
from convsearch.search.study.shared import shared_of


@pytest.fixture
def begun(tmp_path: Path) -> Prepared:
    """A study of four trials and half an hour."""
    return searches.prepared(Home(tmp_path / "home"), space="tiny", trials=4, minutes=30)


def resumed(begun: Prepared, **given: Any) -> StudySettings:
    """Go on with it as far as the search; return what stands in its folder."""
    home = Home(begun.folder.path.parent)
    options = Options(home=home.path, study="mine", resume=True, **given)
    contract = resumed_contract(begun.folder, options)
    with ExitStack() as held:
        prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    return begun.folder.read()


def limits(study: StudySettings) -> tuple[int | None, float | None]:
    return study.trials, study.minutes


def test_limits_that_resume_gives_are_the_studys_from_then_on(begun: Prepared) -> None:
    assert limits(begun.folder.read()) == limits(resumed(begun)) == (4, 30)
    assert limits(resumed(begun, trials=9)) == (9, None)
    assert limits(resumed(begun)) == (9, None)
    (begun.folder.path / FILE).write_text("90.0\n")
    assert limits(resumed(begun, minutes=10)) == (None, 11.5)  # ten minutes from now on
    assert limits(resumed(begun)) == (None, 11.5)
    assert limits(resumed(begun, trials=12, minutes=0.5)) == (12, 2)
    assert begun.study.model_copy(update={"trials": 12, "minutes": 2}) == resumed(begun)


def test_a_loop_that_joins_has_limits_of_its_own_or_those_of_the_first(begun: Prepared) -> None:
    storage = "postgresql://me@host/x"
    shared = shared_of(begun.study, "layers: [1]\n", begun.split)

    def joined(**given: Any) -> tuple[int | None, float | None]:
        options = Options(home=begun.folder.path.parent, study="mine", storage=storage, **given)
        terms = joined_contract(begun.folder, options, shared).terms
        assert isinstance(terms, StudySettings)
        return limits(terms)

    assert joined() == (4, 30)
    assert joined(minutes=5) == (None, 5)
    assert joined(trials=40) == (40, None)


def test_a_new_study_knows_its_space_by_the_hash(begun: Prepared) -> None:
    assert begun.study.space_hash == hash_of(begun.folder.space_file.read_text(encoding="utf-8"))
    assert resumed(begun) == begun.study
