"""The tracker alone: where it writes, that nothing is there twice, and what an earlier launch left open."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from samples import a_study, completed

from convsearch.dashboard.reading.reader import Reader
from convsearch.search.delivery.optuna_file import OptunaFile
from convsearch.search.delivery.tracking import Tracker, tracking_uri
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.values.limits import Limits
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.errors import WorkError
from convsearch.spaces.space import SearchSpace

SPACE = "layers: [1]\n"
STUDY = a_study()


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def begun(number: int) -> Trial:
    architecture = Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4 + number),), classes=2)
    return Trial.begin(Proposal(number, {}, Candidate(architecture=architecture)))


def test_the_default_store_is_sqlite_in_the_home_wherever_the_command_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(Home(Path("studies"))) == f"sqlite:///{tmp_path / 'studies' / 'mlflow.db'}"


def test_the_users_own_tracking_server_is_used_and_nothing_is_written_to_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # artifacts of a store that says nothing else go to the current folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    home = Home(tmp_path / "home")
    home.prepare()
    tracker = Tracker(home, STUDY)
    parent = tracker.launch(SPACE, Limits())
    tracker.ended(completed(begun(0)), tracker.began(begun(0), parent))
    tracker.end_launch(parent, finished=True)
    assert list(home.path.iterdir()) == []
    client = MlflowClient(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 2


def test_a_store_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_text("no database, " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(WorkError, match=r"MLflow at sqlite:///.*/mlflow\.db: file is not a database"):
        Tracker(Home(tmp_path / "home"), STUDY)


@pytest.mark.parametrize("uri", ["postgresql+psycopg2://me:to%40secret@127.0.0.1:9/x", "http://me:secret@127.0.0.1:9"])
def test_a_store_that_cannot_be_reached_is_named_without_its_password(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)  # of ten, which take two minutes
    shown = "postgresql+psycopg2://me:***@127.0.0.1:9/x" if uri.startswith("postgresql") else "http://127.0.0.1:9"
    with pytest.raises(WorkError, match=f"MLflow at {re.escape(shown)}: ") as refused:
        Tracker(Home(tmp_path / "home"), STUDY)
    assert "secret" not in str(refused.value)


def test_an_empty_address_of_the_users_own_server_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    home = Home(tmp_path / "home")
    home.prepare()
    tracker = Tracker(home, STUDY)
    tracker.launch(SPACE, Limits())
    experiment = MlflowClient(tracker.uri).get_experiment(tracker.experiment_id)
    assert Path(experiment.artifact_location) == home.artifacts / "mine"
    assert not os.environ.get("MLFLOW_TRACKING_URI")  # another home would take it for the user's own


@pytest.mark.parametrize("name", ["what?", "a%20b", "a#b", "50 %", 'it\'s "quoted"', "Vögel", "a?mode=ro&b@c:d"])
def test_a_home_of_any_name_keeps_its_runs_and_their_files(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / name)
    home.prepare()
    tracker = Tracker(home, STUDY)
    parent = tracker.launch(SPACE, Limits())
    with closing(sqlite3.connect(home.path / "mlflow.db")) as database:
        assert database.execute("select run_uuid from runs").fetchall() == [(parent,)]
    (file,) = tmp_path.rglob("space.yaml")
    assert file == home.artifacts / "mine" / parent / "artifacts" / "space.yaml"
    read = Reader(tracking_uri(home))
    assert [run.info.run_id for run in read.runs([tracker.experiment_id], "")] == [parent]
    assert read.text(parent, "space.yaml") == SPACE
    folder = home.study("mine")
    folder.path.mkdir()
    OptunaFile(folder.path, SearchSpace(load("tiny"), Volume(8, 8, 1), 10), ("val_accuracy",)).close()
    assert (folder.path / "optuna.db").is_file()


def test_a_trial_written_twice_is_there_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    tracker = Tracker(home, STUDY)
    parent = tracker.launch(SPACE, Limits())
    trial = begun(0)
    assert tracker.find(0) is None
    run = tracker.began(trial, parent)
    assert tracker.find(0) == run
    done = completed(trial)
    for _ in range(2):  # as after a kill that came before the delivery was noted
        tracker.ended(done, run)
    client = MlflowClient(tracker.uri)
    history = client.get_metric_history(run, "val_accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.5), (2, 0.75)]
    assert len(client.get_metric_history(run, "seconds")) == 1
    found = client.get_run(run)
    assert (found.info.status, found.data.tags["state"]) == ("FINISHED", "complete")


def test_a_run_that_was_created_and_no_more_is_completed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    tracker = Tracker(home, STUDY)
    parent, client = tracker.launch(SPACE, Limits()), MlflowClient(tracker.uri)
    left = client.create_run(tracker.experiment_id, tags={"kind": "trial", "number": "0"}).info.run_id
    trial = begun(0)
    assert tracker.began(trial, parent, tracker.find(0)) == left
    expected = {name: str(value) for name, value in trial.candidate.flat().items()}
    assert client.get_run(left).data.params == expected
    assert len(client.search_runs([tracker.experiment_id], "tags.kind = 'trial'")) == 1


def test_a_launch_that_an_earlier_one_left_open_is_closed_as_killed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    killed = Tracker(home, STUDY).launch(SPACE, Limits())
    tracker = Tracker(home, STUDY)
    parent = tracker.launch(SPACE, Limits())
    client = MlflowClient(tracker.uri)
    assert [client.get_run(run).info.status for run in (killed, parent)] == ["KILLED", "RUNNING"]
    tracker.end_launch(parent, finished=False)
    assert client.get_run(parent).info.status == "KILLED"


def test_both_launches_of_a_study_are_in_one_experiment_even_if_it_was_deleted_in_between(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    first = Tracker(home, STUDY)
    first.end_launch(first.launch(SPACE, Limits()), finished=True)
    MlflowClient(first.uri).delete_experiment(first.experiment_id)
    second = Tracker(home, STUDY)
    second.launch(SPACE, Limits())
    assert second.experiment_id == first.experiment_id
    assert len(MlflowClient(first.uri).search_runs([first.experiment_id])) == 2
