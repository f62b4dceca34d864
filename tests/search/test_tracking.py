"""The tracker alone: where it writes, and what it does with runs that an earlier launch left open."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from convsearch.search.engines.protocol import Proposal
from convsearch.search.home import DataFacts, Home, StudyFile
from convsearch.search.job import Outcome, Seconds
from convsearch.search.record import Record, Trial
from convsearch.search.tracking import Tracker, tracking_uri
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.errors import WorkError

STUDY = StudyFile(
    name="mine",
    created_at="2026-01-01T00:00:00+00:00",
    space="mine",
    data=DataFacts(
        name="digits",
        source="digits",
        fingerprint="f" * 64,
        input=Volume(8, 8, 1),
        classes=("0", "1"),
        folder="ffff-8x8x1",
        image_size=None,
        train=3,
        val=2,
        test=1,
    ),
    engine="optuna",
    algorithm="tpe",
    pruner="none",
    epochs=2,
    trials=None,
    seed=0,
    class_weights=False,
    versions={"python": "3.11.0"},
)


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def begun(number: int) -> Trial:
    architecture = Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4 + number),), classes=2)
    return Trial.begin(Proposal(number, {}, Candidate(architecture=architecture)))


def completed(trial: Trial) -> Trial:
    outcome = Outcome(
        number=trial.number,
        ended="complete",
        value=0.75,
        best_epoch=2,
        epochs=2,
        gap=0.0,
        loss=(2.0, 1.0),
        accuracy=(0.5, 0.75),
        val_loss=(2.0, 1.5),
        val_accuracy=(0.5, 0.75),
        seconds=Seconds(training=1.0),
    )
    return trial.end("complete", outcome, waited=0.0)


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
    tracker = Tracker(home, STUDY, "layers: [1]\n")
    tracker.ended(completed(tracker.began(begun(0))))
    tracker.finished = True
    tracker.close()
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
        Tracker(Home(tmp_path / "home"), STUDY, "layers: [1]\n")


def test_runs_that_an_earlier_launch_left_open_are_closed_as_the_record_knows_their_end(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    folder = tmp_path / "study"
    folder.mkdir()
    record = Record(folder)
    killed = Tracker(home, STUDY, "layers: [1]\n")
    ended, interrupted, unknown = (killed.began(begun(number)) for number in range(3))
    record.add(completed(ended))  # the kill came after the record and before MLflow
    record.add(interrupted.lose("interrupted", "the search was ended while the trial ran"))

    tracker = Tracker(home, STUDY, "layers: [1]\n")
    tracker.reconcile(record)
    client = MlflowClient(tracker.uri)
    states = {}
    for trial in (ended, interrupted, unknown):
        assert trial.mlflow_run_id is not None
        run = client.get_run(trial.mlflow_run_id)
        states[trial.number] = (run.info.status, run.data.tags["state"])
    assert states == {0: ("FINISHED", "complete"), 1: ("KILLED", "interrupted"), 2: ("KILLED", "interrupted")}
    history = client.get_metric_history(ended.mlflow_run_id, "val_accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.5), (2, 0.75)]
    assert client.get_run(killed.parent_id).info.status == "KILLED"
    assert client.get_run(tracker.parent_id).info.status == "RUNNING"
    tracker.close()
    assert client.get_run(tracker.parent_id).info.status == "KILLED"  # nobody has said that it finished


def test_both_launches_of_a_study_are_in_one_experiment_even_if_it_was_deleted_in_between(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    first = Tracker(home, STUDY, "layers: [1]\n")
    first.close()
    MlflowClient(first.uri).delete_experiment(first.experiment_id)
    second = Tracker(home, STUDY, "layers: [1]\n")
    second.close()
    assert second.experiment_id == first.experiment_id
    assert len(MlflowClient(first.uri).search_runs([first.experiment_id])) == 2
