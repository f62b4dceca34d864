"""Stores that are damaged, that others write to, or that vanish while they are shown; names that are markup."""

import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from half_written import half_written
from mlflow.entities import RunTag
from mlflow.tracking import MlflowClient
from playwright.sync_api import Browser, Page
from samples import a_study
from stores import Written
from streamlit.testing.v1 import AppTest
from terminal import PATIENCE, wait_until
from test_pages import opened, said

from benchmarks.browser import chromium, new_page, served, wait
from convsearch.dashboard.navigation import PAGES
from convsearch.dashboard.reading.bundle import BundleError, folder_of
from convsearch.dashboard.reading.progress import progress_of
from convsearch.dashboard.reading.reader import Reader, StoreError
from convsearch.dashboard.reading.store import Store
from convsearch.dashboard.views.study import VIEWS
from convsearch.search.delivery.tracking import ARCHITECTURE_FILE, TEST_FILE
from convsearch.search.study.home import Home
from convsearch.search.system.lock import alone
from convsearch.search.values.limits import Limits

EVIL = (
    '<img src="x" onerror="alert(1)"> <b>bold</b> **bold** [here](javascript:alert(1)) `code` $x$ :red[red] '
    ":material/bolt: :streamlit: http://evil.example/ www.evil.example me@evil.example %{x} a -- b\n\n    code\n==="
)
NOT_HERE = "The file was deleted, its store cannot be read from here, the trial is still running, or "


def client(written: Written) -> MlflowClient:
    return MlflowClient(written.tracker.uri)


def artifact(home: Path, run: str, name: str) -> Path:
    (found,) = home.rglob(f"{run}/artifacts/{name}")
    return found


def everything(app: AppTest) -> str:
    return "\n".join([said(app), *(str(element.value) for element in [*app.markdown, *app.text])])


# ---------------------------------------------------------------------- damage


def test_a_run_without_a_number_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9, 0.7])
    for trial, number in ((0, "many"), (2, "-1")):
        client(written).set_tag(written.trials[trial][1], "number", number)
    app = opened(tmp_path, "study", study="birds")
    assert app.dataframe[0].value["trial"].tolist() == [1]


def test_of_two_runs_with_one_number_the_later_one_is_shown(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    client(written).set_tag(written.trials[1][1], "number", "0")
    table = opened(tmp_path, "study", study="birds").dataframe[0].value
    assert table["trial"].tolist() == [0]
    assert table["validation"].tolist() == [0.9]


@pytest.mark.parametrize("text", ["", "{", '{"architecture": 1}', "\0"])
def test_a_damaged_architecture_is_told_and_the_rest_of_the_page_is_there(text: str, tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    artifact(tmp_path, written.trials[0][1], ARCHITECTURE_FILE).write_text(text)
    app = opened(tmp_path, "trial", study="birds", trial="0")
    assert "It is damaged, or of another version." in said(app)
    assert "Learning" in [header.value for header in app.subheader]
    both = opened(tmp_path, "compare", study="birds", trials=["0", "1"])
    assert "It is damaged, or of another version." in said(both)
    assert "validation" in both.dataframe[0].value.iloc[:, 0].tolist()


def test_a_deleted_architecture_is_told(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5])
    shutil.rmtree(artifact(tmp_path, written.trials[0][1], ARCHITECTURE_FILE).parent)
    app = opened(tmp_path, "trial", study="birds", trial="0")
    (told,) = (warning.value for warning in app.warning)
    assert told.startswith(NOT_HERE)


def test_an_architecture_that_only_a_server_can_find_is_told_with_what_to_set(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5])
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store, store:  # as a server has it
        store.execute("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/1/' || run_uuid || '/artifacts'")
    app = opened(tmp_path, "trial", study="birds", trial="0")
    (told,) = (warning.value for warning in app.warning)
    assert "or a server through which it was logged keeps the file: then set `MLFLOW_TRACKING_URI`" in told
    assert "Learning" in [header.value for header in app.subheader]


@pytest.mark.parametrize("place", ["sftp://127.0.0.1/run/artifacts", "b2://no.region/run"])
def test_files_of_runs_in_stores_that_this_machine_cannot_read_are_told(place: str, tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5])
    client(written).log_metric(written.parent, "test_accuracy", 0.5)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("update runs set artifact_uri = ?", (place,))
    app = opened(tmp_path, "trial", study="birds", trial="0")
    (told,) = (warning.value for warning in app.warning)
    assert told.startswith(NOT_HERE)
    assert "Learning" in [header.value for header in app.subheader]


def parts() -> None:
    """Draw one part that its data break and one that they do not; runs inside Streamlit."""
    import streamlit as st

    from convsearch.dashboard.figures.trial.confusion import confusion
    from convsearch.dashboard.page import live

    live.part("The test", confusion, [[1], [1, 2]], ["a", "b"])
    live.part("The rest", st.subheader, "Learning")


def test_a_part_that_damaged_data_break_says_so_and_the_rest_goes_on() -> None:
    app = AppTest.from_function(parts, default_timeout=PATIENCE)
    app.run()
    assert not app.exception
    assert [error.proto.title for error in app.error] == ["The test cannot be shown"]
    assert "Learning" in [header.value for header in app.subheader]


def test_a_store_that_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database at all" * 100)
    assert "MLflow cannot be read" in said(opened(tmp_path, "studies"))


def test_a_store_that_another_program_locks_is_told_and_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    written = Written(tmp_path)
    reader = Reader(written.tracker.uri, patience=0)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(StoreError, match="database is locked") as refused:
            reader.experiments()
    assert refused.value.remedy == "Another program is writing to it; this page tries again."
    assert [experiment.name for experiment in reader.experiments()] == ["birds"]


def test_a_store_that_a_killed_search_has_left_half_written_is_read(tmp_path: Path) -> None:
    written = Written(tmp_path)
    half_written(tmp_path / "mlflow.db")
    assert [experiment.name for experiment in Reader(written.tracker.uri).experiments()] == ["birds"]


def test_a_damaged_or_lost_list_of_runs_is_told_and_the_study_is_not_taken_for_another_one(tmp_path: Path) -> None:
    folder = Home(tmp_path).study("birds")
    study = a_study(name="birds")
    with folder.create(study, ""):
        pass
    (folder.path / "runs.jsonl").write_text('[0, "first"]\n[1, "sec\n')
    assert folder_of(tmp_path, "birds", study.id, 0, "first").path == folder.path
    with pytest.raises(BundleError, match=r"runs\.jsonl is damaged: .*convsearch run --study birds --resume"):
        folder_of(tmp_path, "birds", study.id, 1, "second")
    with pytest.raises(BundleError, match="is another one"):
        folder_of(tmp_path, "birds", study.id, 0, "second")
    (folder.path / "runs.jsonl").unlink()
    with pytest.raises(BundleError, match=r"runs\.jsonl is missing: .*convsearch run --study birds --resume"):
        folder_of(tmp_path, "birds", study.id, 0, "first")


def test_a_home_that_was_deleted_and_made_anew_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Written(home).add([0.5])
    store = Store(home, fresh=0.0)
    assert store.names() == ["birds"]
    shutil.move(home, tmp_path / "old")
    shutil.copytree(tmp_path / "old", home)
    with pytest.raises(StoreError, match="was deleted and recreated"):
        store.names()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://secret@127.0.0.1:9", "http://127.0.0.1:9 does not answer"),
        ("http://me:secret@127.0.0.1:9?token=secret", "http://127.0.0.1:9?token=*** does not answer"),
        ("postgresql+psycopg2://me:secret@127.0.0.1:9/x", "postgresql+psycopg2://me:***@127.0.0.1:9/x"),
        (
            "postgresql+psycopg2://me@127.0.0.1:9/x?password=secret",
            "postgresql+psycopg2://me@127.0.0.1:9/x?password=***",
        ),
    ],
)
def test_a_password_is_told_to_nobody(uri: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreError) as refused:
        Reader(uri).experiments()
    assert f" at {shown}" in str(refused.value)
    assert "secret" not in str(refused.value) + refused.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"trial": "one"}',
        '{"trial": Infinity}',
        '{"trial": 0, "accuracy": "high"}',
        '{"trial": 0, "accuracy": 0.5, "interval_95": [0, 1], "count": 2, "confusion": [[1, 1], [0]]}',
        "[" * 100_000,
    ],
    ids=range(8),
)
def test_a_damaged_test_is_as_none(text: str, tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5])
    client(written).log_metric(written.parent, "test_accuracy", 0.5)
    client(written).log_text(written.parent, text, TEST_FILE)
    app = opened(tmp_path, "trial", study="birds", trial="0")
    assert "Test" not in [header.value for header in app.subheader]


def test_figures_that_are_no_numbers_are_shown_as_missing(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    client(written).log_metric(written.trials[0][1], "best_val_accuracy", float("nan"))
    client(written).set_tag(written.trials[1][1], "state", "confused")
    client(written).log_param(written.parent, "epochs_left", "many")
    for view in VIEWS:
        opened(tmp_path, "study", study="birds", view=view)


@pytest.mark.parametrize("at", [10**17, 10**14, -(10**15)])
def test_a_run_at_an_impossible_time_is_shown_without_it_and_takes_no_page_away(at: int, tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    made, experiment = client(written), written.tracker.experiment_id
    trial = made.create_run(experiment, at, {"kind": "trial", "number": "2", "state": "complete"})
    made.set_terminated(trial.info.run_id, "FINISHED", at)
    made.create_run(experiment, at, {"kind": "trial", "number": "1", "state": "complete"})  # there is one that began
    made.set_terminated(made.create_run(experiment, at, {"kind": "launch"}).info.run_id, "KILLED", at)
    table = opened(tmp_path, "studies").dataframe[0].value
    assert table["state"].tolist() == ["running: 3 trials"]
    for view in VIEWS:
        opened(tmp_path, "study", study="birds", view=view)
    found = Store(tmp_path).study("birds")
    assert found is not None
    assert found.trials["validation"].tolist()[:2] == [0.5, 0.9]
    assert found.trials["ended"].isna().tolist() == [False, False, True]


def test_a_run_that_ends_in_the_future_hides_none_that_ends_now(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    written.add([0.5])
    tomorrow = round(1000 * (datetime.now(UTC) + timedelta(days=1)).timestamp())
    client(written).set_terminated(written.trials[0][1], "FINISHED", tomorrow)
    found = store.study("birds")
    assert found is not None
    assert len(found.trials) == 1
    written.add([0.9])  # begins and ends between two looks
    found = store.study("birds")
    assert found is not None
    assert found.trials["validation"].tolist() == [0.5, 0.9]


def test_measures_that_cannot_be_are_missing(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9, 0.8, 0.7])
    made, runs = client(written), [run for _, run in written.trials]
    for metric in ("best_val_accuracy", "gap", "parameters", "macs", "seconds"):
        made.log_metric(runs[0], metric, math.inf)
        made.log_metric(runs[1], metric, math.nan)
        made.log_metric(runs[2], metric, -2.0)
    for step, value in enumerate([1.5, -0.5, math.inf, math.nan, 0.25], start=3):
        made.log_metric(runs[0], "val_accuracy", value, step=step)
    for metric in ("importance.a", "importance.b"):
        made.log_metric(written.parent, metric, math.inf if metric.endswith("a") else 0.5)
    store = Store(tmp_path)
    found = store.study("birds")
    assert found is not None
    for name in ("validation", "gap", "parameters", "MACs", "seconds"):
        assert found.trials[name].isna().tolist() == [True, True, True, False]
    assert found.best is not None
    assert found.best["trial"] == 3
    assert found.importances == {"b": 0.5}
    assert store.curves(found, [0])[0]["val_accuracy"].dropna().tolist() == [0.25, 0.5, 0.25]
    for number in range(3):
        app = opened(tmp_path, "trial", study="birds", trial=str(number))
        assert [metric.value for metric in app.metric] == ["complete", "–", "–", "–", "–"]
    assert opened(tmp_path, "studies").dataframe[0].value["best"].tolist() == [0.7]


def test_tags_without_a_value_are_as_none(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9, 0.7])
    made = client(written)
    made.log_batch(written.trials[0][1], tags=[RunTag("number", None)])
    made.log_batch(written.trials[1][1], tags=[RunTag(name, None) for name in ("state", "architecture", "worker")])
    made.log_batch(written.parent, tags=[RunTag(name, None) for name in ("engine", "until", "fingerprint")])
    assert opened(tmp_path, "study", study="birds").dataframe[0].value["trial"].tolist() == [1, 2]
    opened(tmp_path, "studies")


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "soon", ""])
@pytest.mark.parametrize("trials", ["9" * 4000, "9" * 9, "-5", "many", ""])
def test_limits_of_a_launch_that_cannot_be_are_as_none(until: str, trials: str, tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    made, experiment = client(written), written.tracker.experiment_id
    made.set_tag(written.parent, "kind", "another")
    run = made.create_run(experiment, 1, {"kind": "launch", "until": until}).info.run_id  # it has run since 1970
    made.log_param(run, "trials", trials)
    found = Store(tmp_path).study("birds")
    assert found is not None
    told = progress_of(found, tmp_path).text
    assert told.startswith("running: 2 of 999,999,999 trials, about " if trials == "9" * 9 else "running: 2 trials")


def test_a_trial_in_no_known_state_does_not_count_as_finished(tmp_path: Path) -> None:
    written = Written(tmp_path, limits=Limits(3))
    written.add([0.5, 0.9])
    client(written).delete_tag(written.trials[0][1], "state")
    found = Store(tmp_path).study("birds")
    assert found is not None
    assert progress_of(found, tmp_path).text.startswith("running: 1 of 3 trials, about ")


# ---------------------------------------------------------------------- what others do to it


def test_a_study_that_is_deleted_while_it_is_shown_is_told_and_others_go_on(tmp_path: Path) -> None:
    Written(tmp_path, "cats").add([0.25])
    written = Written(tmp_path, "birds")
    written.add([0.5])
    app = opened(tmp_path, "study", study="birds")
    client(written).delete_experiment(written.tracker.experiment_id)
    wait_until(
        lambda: "There is no study 'birds' here" in said(app.run()), "the page knew"
    )  # an answer is kept a while
    assert not app.exception
    assert not app.metric
    app = opened(tmp_path, "study")
    assert app.dataframe[0].value["validation"].tolist() == [0.25]


def test_experiments_that_are_no_studies_are_not_shown(tmp_path: Path) -> None:
    written = Written(tmp_path)
    client(written).create_experiment("somebody else's")
    store = Store(tmp_path)
    assert store.names() == ["birds"]
    assert store.study("somebody else's") is None
    assert store.study("Default") is None


def test_a_search_that_was_killed_is_interrupted_though_its_launch_is_open(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path)
    written.add([0.5])
    study = store.study("birds")
    assert study is not None
    assert progress_of(study, tmp_path).state == "running"  # the folder is not here: nobody knows
    folder = Home(tmp_path).study("birds")
    with folder.create(a_study(name="birds"), ""):
        pass
    assert progress_of(study, tmp_path).state == "interrupted"
    with alone(folder.path):
        assert progress_of(study, tmp_path).state == "running"
    written.finish()
    study = Store(tmp_path).study("birds")
    assert study is not None
    assert progress_of(study, tmp_path).state == "finished"


def test_parameters_with_the_names_of_columns_are_shown_beside_these(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    others = ("trial", "state", "seconds", "validation", "option.seconds")
    for name in others:
        for number, (_, run) in enumerate(written.trials):
            client(written).log_param(run, name, f"{name} of {number}")
    called = [f"option.{name}" for name in others]
    app = opened(tmp_path, "study", study="birds", columns=["seconds", *called], sorted="option.validation")
    table = app.dataframe[0].value
    assert table["option.validation"].tolist() == ["validation of 1", "validation of 0"]
    assert table["validation"].tolist() == [0.9, 0.5]
    assert table["seconds"].notna().all()
    assert table["option.option.seconds"].tolist() == ["option.seconds of 1", "option.seconds of 0"]
    table = opened(tmp_path, "compare", study="birds", trials=["0", "1"]).dataframe[0].value
    rows = table.set_index(table.columns[0])
    assert rows.loc["option.validation"].tolist() == ["validation of 0", "validation of 1"]
    assert rows.loc["validation"].tolist() == ["50.00%", "90.00%"]


# ---------------------------------------------------------------------- words are text


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, all of whose words are markup."""
    home = tmp_path_factory.mktemp("evil")
    written = Written(home)
    written.add([0.5, 0.9, None, 0.7])
    made = client(written)
    for number, (_, run) in enumerate(written.trials):
        for tag in ("architecture", "worker", "error"):
            made.set_tag(run, tag, EVIL)
        made.log_param(run, "evil", f'<a href="http://evil.example/">click</a> <b>{number % 2}</b>')
    made.set_experiment_tag(written.tracker.experiment_id, "convsearch.data", EVIL)
    for tag in ("engine", "algorithm"):
        made.set_tag(written.parent, tag, EVIL)
    made.log_metric(written.parent, "importance.a", 1.0)
    made.rename_experiment(written.tracker.experiment_id, EVIL)
    return home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_names_tags_and_messages_are_text_and_never_markup(evil: Path, browser: Browser) -> None:
    page: Page = new_page(browser)
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    with served(evil) as (address, _):
        views = [f"study?view={view}" for view in VIEWS]
        for place in [
            *PAGES,
            *views,
            "study?view=Slice&option=layers&against=evil",
            "compare?what=Studies",
            "trial?trial=2",
        ]:
            page.goto(f"{address}/{place}".replace("/studies", "/"))
            wait(page, "h1")
            page.wait_for_timeout(300)
            main = page.locator('[data-testid="stMain"]')
            assert main.locator('img[src="x"], a[href^="javascript"], b').count() == 0, place
            assert main.locator('.main-svg a, .main-svg tspan[style*="bold"]').count() == 0, place
            assert main.locator('strong:text-is("bold"), code:text-is("code"), .katex').count() == 0, place
            assert (
                main.locator('a[href*="evil.example"], [aria-label="bolt icon"], [alt="Streamlit logo"]').count() == 0
            ), place
            assert "a — b" not in main.inner_text(), place
            assert "&quot;" not in main.inner_text(), place
            assert page.locator('[data-testid="stException"]').count() == 0, place
    assert said == []
