"""The dashboard's pages, run by Streamlit's own test harness on a real MLflow store."""

import random
import sys
from pathlib import Path

import pytest
from samples import a_study
from streamlit.testing.v1 import AppTest

import convsearch.dashboard
from convsearch.search.engines.protocol import Proposal
from convsearch.search.home import Home
from convsearch.search.job import Outcome
from convsearch.search.record import Trial
from convsearch.search.tracking import Tracker
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.space import SearchSpace

APP = Path(convsearch.dashboard.__file__).with_name("app.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose MLflow store holds one study of three trials, one of them failed."""
    home = Home(tmp_path_factory.mktemp("home"))
    space = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)
    study = a_study(name="birds")
    tracker = Tracker(home, study)
    parent = tracker.launch(presets()["tiny"].read_text(encoding="utf-8"))
    source = random.Random(0)
    for number, value in enumerate((0.5, 0.9, None)):
        values = space.draw(source)
        trial = Trial.begin(Proposal(number, values, space.candidate(values)))
        run = tracker.began(trial, parent)
        curve = () if value is None else (0.1, value)
        outcome = Outcome(
            number=number,
            ended="failed" if value is None else "complete",
            value=value,
            val_accuracy=curve,
            error="the loss became NaN in epoch 1" if value is None else None,
        )
        tracker.ended(trial.end("failed" if value is None else "complete", outcome, 0.0), run)
    tracker.end_launch(parent, finished=True)
    return home.path


def show_study(home: str) -> None:
    """Draw the study page; runs inside Streamlit."""
    from pathlib import Path

    from convsearch.dashboard.views import study

    study.page(Path(home))


def open_page(home: Path) -> AppTest:
    sys.argv = [str(APP), str(home)]
    return AppTest.from_file(str(APP), default_timeout=60).run()


def test_an_empty_home_says_how_to_make_a_study(tmp_path: Path) -> None:
    for app in (open_page(tmp_path), AppTest.from_function(show_study, args=(str(tmp_path),)).run()):
        assert not app.exception
        assert "convsearch run" in app.info[0].value


def test_the_studies_page_lists_each_study_with_its_best(home: Path) -> None:
    app = open_page(home)
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["study"]) == ["birds"]
    assert list(table["trials"]) == [3]
    assert table["best validation"].iloc[0] == pytest.approx(0.9)


def test_the_study_page_shows_every_trial_the_best_first(home: Path) -> None:
    app = AppTest.from_function(show_study, args=(str(home),), default_timeout=60).run()
    assert not app.exception
    rows = app.dataframe[0].value
    assert list(rows["trial"]) == [1, 0, 2]
    assert list(rows["state"]) == ["complete", "complete", "failed"]


def test_a_study_that_is_not_there_gives_way_to_one_that_is(home: Path) -> None:
    app = AppTest.from_function(show_study, args=(str(home),), default_timeout=60)
    app.query_params["study"] = "../birds"
    app.run()
    assert not app.exception
    assert app.query_params["study"] == "birds"
