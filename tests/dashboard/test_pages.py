"""The dashboard's pages, run by Streamlit's own test harness on real MLflow stores: every view in every state."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from samples import a_study
from stores import Written
from streamlit.testing.v1 import AppTest
from terminal import PATIENCE

from convsearch.dashboard.views.study import VIEWS
from convsearch.search.data import Split
from convsearch.search.study.home import Home as StudyHome
from convsearch.search.values.evaluation import Evaluation
from convsearch.spaces.definition import presets

Home = Callable[[], Path]


def script(home: str, first: str) -> None:
    """Show a page; runs inside Streamlit."""
    from pathlib import Path

    from convsearch.dashboard.navigation import navigate

    navigate(Path(home), first)


def opened(home: Path, page: str, **address: str) -> AppTest:
    app = AppTest.from_function(script, args=(str(home), page), default_timeout=PATIENCE)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message if app.exception else ""
    broken = [f"{error.proto.title}: {error.value}" for error in app.error if "cannot be shown" in error.proto.title]
    assert not broken, broken
    return app


def said(app: AppTest) -> str:
    """Everything that is told in boxes and captions."""
    elements = [*app.info, *app.warning, *app.error, *app.success, *app.caption]
    return "\n".join(str(element.value) for element in elements)


def links(app: AppTest) -> list[str]:
    """The labels of all links to pages."""
    return [str(link.proto.label) for link in app.get("page_link")]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a dozen trials, two of them failed; it is finished."""
    home = tmp_path_factory.mktemp("several")
    written = Written(home)
    written.add([0.5, 0.9, None, 0.7, 0.6, 0.8, None, 0.4, 0.3, 0.75, 0.65, 0.55])
    written.finish()
    return home


@pytest.fixture(scope="module")
def homes(several: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Homes in all states."""
    made = {name: tmp_path_factory.mktemp(name) for name in ("none", "empty", "running", "one", "failed")}
    Written(made["empty"])
    Written(made["running"]).begin()
    Written(made["one"]).add([0.5])
    Written(made["failed"]).add([None, None])
    return {**made, "several": several}


@pytest.mark.parametrize("page", ["studies", "study", "trial", "compare"])
def test_a_home_without_a_study_says_how_to_make_one(page: str, tmp_path: Path) -> None:
    app = opened(tmp_path, page)
    assert app.code[0].value == f"convsearch run --home {tmp_path}"


@pytest.mark.parametrize("state", ["empty", "running", "one", "failed", "several"])
@pytest.mark.parametrize("view", list(VIEWS))
def test_every_view_of_a_study_in_every_state(view: str, state: str, homes: dict[str, Path]) -> None:
    app = opened(homes[state], "study", study="birds", view=view)
    told = said(app)
    if state == "empty":
        assert "The first trial is about to begin" in told
    elif view in ("Leaderboard", "Workers", "Failures"):
        assert "No trial has finished yet" not in told
    elif state == "running":
        assert "It will appear here" in told
    elif state == "failed":
        assert "Failures shows the reasons" in told


@pytest.mark.parametrize("page", ["trial", "compare"])
@pytest.mark.parametrize("state", ["empty", "running", "one", "failed", "several"])
def test_trials_in_every_state(page: str, state: str, homes: dict[str, Path]) -> None:
    app = opened(homes[state], page, study="birds")
    if state == "empty" or (page == "compare" and state in ("running", "one", "failed")):
        assert said(app)


def test_the_studies_page_lists_each_study_with_its_best(several: Path) -> None:
    table = opened(several, "studies").dataframe[0].value
    assert list(table["study"]) == ["/study?study=birds"]
    assert list(table["state"]) == ["finished"]
    assert list(table["trials"]) == ["10 complete, 2 failed"]
    assert table["best"].iloc[0] == pytest.approx(0.9)


def with_a_winner(home: Path) -> Written:
    """A study whose trial 2 has won and was tested, though trial 1 has the highest validation accuracy."""
    written = Written(home)
    written.add([0.5, 0.9, 0.8])
    test = Evaluation(accuracy=0.75, interval_95=(0.5, 0.875), count=20, confusion=((5, 5), (0, 10)))
    written.tracker.log_test(written.parent, 2, test)
    MlflowClient(f"sqlite:///{home}/mlflow.db").log_metric(written.parent, "test_accuracy", 0.75)
    return written


def test_a_finished_study_opens_with_its_result_and_keeps_its_other_views(tmp_path: Path) -> None:
    with_a_winner(tmp_path).finish()
    app = opened(tmp_path, "study", study="birds")
    assert (app.metric[0].label, app.metric[0].value) == ("Test accuracy", "75.0%")
    assert "Winner: trial 2, 75.0% of 20 test images" in links(app)
    assert "95 % interval 50.0% to 87.5%" in said(app).replace("\\", "")
    headings = ["Network", "Best over time", "What mattered", "Test"]
    assert [heading.value for heading in app.subheader][:4] == headings
    winner = opened(tmp_path, "trial", study="birds", trial="2")
    assert app.code[0].value == winner.code[0].value  # the network
    for view in VIEWS:
        assert not opened(tmp_path, "study", study="birds", view=view).subheader


def test_a_study_that_goes_on_after_its_test_opens_with_its_trials(tmp_path: Path) -> None:
    with_a_winner(tmp_path)
    app = opened(tmp_path, "study", study="birds")
    assert (app.metric[0].label, app.metric[0].value) == ("Best validation", "90.0%")
    assert not app.subheader
    assert len(app.dataframe[0].value) == 3


def test_the_studies_page_has_the_test_accuracy_of_each_that_has_one(tmp_path: Path) -> None:
    with_a_winner(tmp_path).finish()
    Written(tmp_path, "cats").add([0.25])
    table = opened(tmp_path, "studies").dataframe[0].value.set_index("study")
    assert table.loc["/study?study=birds", "test"] == pytest.approx(0.75)
    assert np.isnan(table.loc["/study?study=cats", "test"])


def test_the_leaderboard_has_the_best_first_and_the_columns_and_states_of_the_address(several: Path) -> None:
    app = opened(several, "study", study="birds", states="complete", columns="layers")
    table = app.dataframe[0].value
    assert list(table.columns) == ["trial", "state", "validation", "architecture", "layers"]
    assert table["validation"].iloc[0] == pytest.approx(0.9)
    assert list(table["validation"]) == sorted(table["validation"], reverse=True)
    assert set(table["state"]) == {"complete"}
    assert len(table) == 10


def test_the_leaderboard_is_sorted_as_the_address_says_or_by_hand(several: Path) -> None:
    app = opened(several, "study", study="birds", sorted="trial", order="lowest first", columns="parameters")
    assert list(app.dataframe[0].value["trial"]) == list(range(12))
    app.selectbox(key="sorted").set_value("parameters").run()
    assert app.dataframe[0].value["parameters"].is_monotonic_increasing
    app.selectbox(key="order").set_value("highest first").run()
    assert app.dataframe[0].value["parameters"].is_monotonic_decreasing


def test_failures_are_grouped_by_their_reason(several: Path) -> None:
    app = opened(several, "study", study="birds", view="Failures")
    assert [text.value for text in app.text] == ["the loss became NaN in epoch 1"]
    assert list(app.dataframe[0].value["trial"]) == [2, 6]


def test_a_trial_shows_its_arithmetic_and_a_failed_one_its_reason(several: Path) -> None:
    app = opened(several, "trial", study="birds", trial="1")
    layers = next(table.value for table in app.dataframe if "sees" in table.value.columns)
    assert layers["layer"].iloc[0] == "conv1"
    assert layers["parameters"].sum() == int(app.metric[3].value.replace(",", ""))
    assert layers["share of parameters"].sum() == pytest.approx(1)
    failed = opened(several, "trial", study="birds", trial="2")
    assert [error.value for error in failed.error] == ["the loss became NaN in epoch 1"]


def test_what_differs_between_compared_trials_is_shown_and_nothing_else(several: Path) -> None:
    app = opened(several, "compare", study="birds", trials=["1", "5"])
    table = app.dataframe[0].value
    rows = table.set_index(table.columns[0])
    assert (rows.nunique(axis=1) == 2).all()
    assert list(rows.loc["validation"]) == ["90.00%", "80.00%"]


def test_studies_are_compared_by_their_best_over_time(tmp_path: Path) -> None:
    Written(tmp_path, "birds").add([0.5, 0.9])
    Written(tmp_path, "cats").add([0.25])
    Written(tmp_path, "dogs")
    app = opened(tmp_path, "compare", what="Studies", studies=["birds", "cats", "dogs"])
    table = app.dataframe[0].value
    facts = table.set_index(table.columns[0])
    assert list(facts.loc["best validation"])[:2] == ["90.0%", "25.0%"]
    assert list(facts.loc["trials"]) == ["2 complete", "1 complete", "none"]
    drawn = [text.value for text in app.markdown if text.value.startswith("**")]
    assert drawn == [r"**birds\: trial 1**: 90.0%", r"**cats\: trial 0**: 25.0%"]
    assert "Choose two to four" in said(opened(tmp_path, "compare", what="Studies", studies=["birds"]))


def test_studies_whose_accuracies_cannot_be_compared_are_said_to_be_so(tmp_path: Path) -> None:
    folders = []
    for name in ("birds", "cats"):
        Written(tmp_path, name).add([0.5])
        folders.append(StudyHome(tmp_path).study(name))
        parts = Split(np.array([0, 1, 2]), np.array([3, 4]), np.array([5]))
        with folders[-1].create(a_study(name=name), presets()["tiny"].read_text(encoding="utf-8"), parts):
            pass
    both = {"what": "Studies", "studies": ["birds", "cats"]}
    assert "These studies" not in said(opened(tmp_path, "compare", **both))
    folders[1].split.unlink()
    Split(np.array([0, 1, 5]), np.array([3, 4]), np.array([2])).save(folders[1].split)
    assert "tested with different ones" in said(opened(tmp_path, "compare", **both))


@pytest.mark.parametrize("page", ["study", "trial", "compare"])
def test_a_study_that_is_not_there_is_named_and_no_other_one_is_shown(page: str, several: Path) -> None:
    app = opened(several, page, study="<b>other</b>")
    assert "There is no study" in said(app)
    assert "<b>" not in said(app).replace("\\<b\\>", "")
    assert not app.metric
    assert not app.dataframe


def test_a_trial_that_is_not_there_is_named_and_no_other_one_is_shown(several: Path) -> None:
    app = opened(several, "trial", study="birds", trial="999")
    assert "This study has no trial '999'" in said(app).replace("\\", "")
    assert not app.metric


@pytest.mark.parametrize("page", ["studies", "study", "trial", "compare"])
def test_a_server_that_does_not_answer_is_told_in_its_place(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    app = opened(tmp_path, page)
    assert "does not answer" in said(app)


def many(view: str) -> None:
    """Draw a view of very many trials, half of which have no gap and latency; runs inside Streamlit."""
    from datetime import UTC, datetime
    from pathlib import Path

    import pandas as pd

    from convsearch.dashboard.figures.thinned import MOST
    from convsearch.dashboard.reading.rows import MEASURES
    from convsearch.dashboard.reading.study import Study
    from convsearch.dashboard.views.study import VIEWS

    count = MOST + 1
    half = [0.5 if number % 2 else None for number in range(count)]
    values = {name: pd.Series([0.5] * count) for name in MEASURES.values()}
    values |= {"gap": pd.Series(half), "latency (ms)": pd.Series(half)}
    trials = pd.DataFrame({"trial": range(count), "state": "complete", "architecture": "gap-10", **values})
    VIEWS[view](Path(), Study("birds", "1", "", "", datetime.now(UTC), (), trials), trials)


@pytest.mark.parametrize(("view", "drawn"), [("Fit", "all"), ("Front", "some"), ("Latency", "all")])
def test_how_many_trials_are_drawn_is_told_of_those_that_have_what_is_drawn(view: str, drawn: str) -> None:
    app = AppTest.from_function(many, args=("Fit" if view == "Fit" else "Front",), default_timeout=PATIENCE)
    if view == "Latency":
        app.query_params["across"] = "latency (ms)"
    app.run()
    assert not app.exception
    told = "2,000 of 2,001 trials are drawn: the 1,000 most accurate, and 1,000 others at random."
    assert (told in said(app)) == (drawn == "some")
