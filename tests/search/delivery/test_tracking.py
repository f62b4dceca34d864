"""The tracker alone: where it writes, that nothing is there twice, and what an earlier launch left open."""

import os
import re
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow.tracking import MlflowClient
from samples import a_study, completed

from convsearch.dashboard.reading.reader import Reader
from convsearch.search.delivery.experiment import STUDY_TAG, own_model, quoted
from convsearch.search.delivery.optuna_file import OptunaFile
from convsearch.search.delivery.pages import every
from convsearch.search.delivery.reach import tracking_uri
from convsearch.search.delivery.tracking import Tracker
from convsearch.search.study.home import Home
from convsearch.search.study.runs import Runs
from convsearch.search.study.settings import StudySettings
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


@pytest.mark.parametrize(
    "place",
    [
        "sqlite:///{}/mine/mlflow.db",
        "sqlite:///mine/mlflow.db",
        "sqlite:///link/mlflow.db",
        "sqlite+pysqlite:///{}/mine/mlflow.db",
        "sqlite:///file:{}/mine/mlflow.db?uri=true",
        "sqlite:///file:link/mlflow.db?mode=rwc&uri=true",
    ],
)
def test_an_address_that_names_the_homes_own_file_is_no_other_store(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("mine")
    given = place.format(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    home = Home(Path("mine"))
    home.prepare()
    tracker = Tracker(home, STUDY)
    parent = tracker.launch(SPACE, Limits())
    (file,) = tmp_path.rglob("space.yaml")
    assert file == tmp_path / "mine" / "artifacts" / "mine" / parent / "artifacts" / "space.yaml"
    assert os.environ["MLFLOW_TRACKING_URI"] == given
    assert Tracker(Home(tmp_path / "other"), STUDY).uri == given  # of another home it is the user's own


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


def test_a_launch_whose_run_was_deleted_is_closed_where_it_can_be_restored_and_ends_in_any_case(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    tracker = Tracker(home, STUDY)
    parent, client = tracker.launch(SPACE, Limits()), MlflowClient(tracker.uri)
    client.delete_run(parent)
    tracker.end_launch(parent, finished=True)
    found = client.get_run(parent).info
    assert (found.lifecycle_stage, found.status) == ("active", "FINISHED")
    tracker.end_launch("0" * 32, finished=True)  # of a run that does not exist any more


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


# ---------------------------------------------------------------------- whose an experiment is


def another(**more: Any) -> StudySettings:
    """Another study of the same name, begun later with other data."""
    facts = STUDY.data.model_copy(update={"fingerprint": "e" * 64})
    return a_study(id=uuid4().hex, created_at="2026-02-01T00:00:00+00:00", data=facts, **more)


def logged(home: Home, study: StudySettings) -> Tracker:
    """The tracker of a study that has one trial, whose run is noted in its folder."""
    tracker = Tracker(home, study)
    run = tracker.began(begun(0), tracker.launch(SPACE, Limits()))
    tracker.ended(completed(begun(0)), run)
    (home.path / study.name).mkdir(exist_ok=True)
    Runs(home.path / study.name).note(0, run)
    return tracker


def runs_of(client: MlflowClient, tracker: Tracker) -> dict[str, tuple[str, str]]:
    """Status and study of all runs of an experiment."""
    runs = client.search_runs([tracker.experiment_id])
    return {run.info.run_id: (run.info.status, run.data.tags.get(STUDY_TAG, "")) for run in runs}


def test_a_study_of_the_name_of_a_deleted_one_gets_an_experiment_of_its_own_and_changes_nothing_there(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    client = MlflowClient(tracking_uri(home))
    first = logged(home, STUDY)
    before = runs_of(client, first)
    shutil.rmtree(tmp_path / "mine")
    second = logged(home, another())
    assert second.experiment_id != first.experiment_id
    assert client.get_experiment(second.experiment_id).name == f"mine-{another_id(client, second)[:8]}"
    assert runs_of(client, first) == before
    assert second.find(0) not in before
    assert second.store != first.store


def another_id(client: MlflowClient, tracker: Tracker) -> str:
    """The identity that an experiment has."""
    return str(client.get_experiment(tracker.experiment_id).tags[STUDY_TAG])


def test_two_homes_on_one_server_with_one_name_leave_each_others_launches_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'server.db'}")
    one, other = (Home(tmp_path / name) for name in ("one", "other"))
    for home in (one, other):
        home.prepare()
    mine, theirs = logged(one, a_study(id=uuid4().hex)), logged(other, a_study(id=uuid4().hex))
    client = MlflowClient(f"sqlite:///{tmp_path / 'server.db'}")
    assert mine.experiment_id != theirs.experiment_id
    again = Tracker(one, mine._study)
    again.launch(SPACE, Limits())
    assert [status for status, _ in runs_of(client, theirs).values()].count("RUNNING") == 1
    assert [status for status, _ in runs_of(client, mine).values()].count("KILLED") == 1


def test_an_experiment_that_an_earlier_version_made_is_the_studys_if_a_run_that_it_noted_is_in_it(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    client = MlflowClient(tracking_uri(home))
    old = logged(home, STUDY)
    forget_identities(tmp_path / "mlflow.db")
    assert Tracker(home, STUDY).experiment_id == old.experiment_id
    assert another_id(client, old) == STUDY.id  # it has one from now on
    forget_identities(tmp_path / "mlflow.db")
    assert Tracker(home, another()).experiment_id != old.experiment_id  # a new study never takes one without
    shutil.rmtree(tmp_path / "mine")
    assert Tracker(home, STUDY).experiment_id != old.experiment_id  # nor does an old one that has noted no run of it


def forget_identities(store: Path) -> None:
    """Leave a store as an earlier version would have written it."""
    with closing(sqlite3.connect(store)) as database, database:
        for table in ("experiment_tags", "tags"):
            database.execute(f"DELETE FROM {table} WHERE key = ?", (STUDY_TAG,))


def test_an_experiment_that_was_renamed_or_deleted_is_found_by_the_studys_identity(tmp_path: Path) -> None:
    home = Home(tmp_path)
    client = MlflowClient(tracking_uri(home))
    first = logged(home, STUDY)
    client.rename_experiment(first.experiment_id, "a better name")
    client.delete_experiment(first.experiment_id)
    assert Tracker(home, STUDY).experiment_id == first.experiment_id
    assert client.get_experiment(first.experiment_id).lifecycle_stage == "active"


def test_a_deleted_experiment_of_another_study_stays_deleted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    client = MlflowClient(tracking_uri(home))
    first = logged(home, STUDY)
    client.delete_experiment(first.experiment_id)
    logged(home, another())
    assert client.get_experiment(first.experiment_id).lifecycle_stage == "deleted"


def test_a_registered_model_of_another_study_gets_no_version_of_this_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    client = MlflowClient(tracking_uri(home))
    own = logged(home, STUDY)
    experiment = client.get_experiment(own.experiment_id)
    assert own_model(client, STUDY, experiment) == "mine"
    assert own_model(client, STUDY, experiment) == "mine"
    client.set_registered_model_tag("mine", STUDY_TAG, another().id)
    assert own_model(client, STUDY, experiment) == f"mine-{STUDY.id[:8]}"
    client.delete_registered_model(f"mine-{STUDY.id[:8]}")
    client.delete_registered_model_tag("mine", STUDY_TAG)  # somebody else's: no version of it is a run of ours
    assert own_model(client, STUDY, experiment) == f"mine-{STUDY.id[:8]}"
    assert STUDY_TAG not in client.get_registered_model("mine").tags


def test_a_registered_model_that_an_earlier_version_made_is_the_studys_if_a_run_of_it_is_a_version(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    client, own = MlflowClient(tracking_uri(home)), logged(home, STUDY)
    run = Runs(tmp_path / "mine").of(0)
    client.create_registered_model("mine")
    client.create_model_version("mine", str(tmp_path / "model"), run)
    assert own_model(client, STUDY, client.get_experiment(own.experiment_id)) == "mine"
    assert client.get_registered_model("mine").tags[STUDY_TAG] == STUDY.id  # it has one from now on


def test_namesakes_that_publish_at_one_moment_have_a_registered_model_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'server.db'}")
    studies = [a_study(id=uuid4().hex) for _ in range(4)]
    client = MlflowClient(f"sqlite:///{tmp_path / 'server.db'}")
    places = [client.get_experiment(Tracker(Home(tmp_path / study.id), study).experiment_id) for study in studies]
    # Each has asked for its name before any of them has logged a model.
    with ThreadPoolExecutor(len(studies)) as at_once:
        names = list(at_once.map(own_model, [client] * len(studies), studies, places))
    assert sorted(len(name) for name in names) == [4, 13, 13, 13]  # `mine`, and three that are told apart
    for name, study in zip(names, studies, strict=True):
        assert client.get_registered_model(name).tags[STUDY_TAG] == study.id


@pytest.mark.parametrize("name", ["birds/2026", "a:b", "it's", 'it\'s "quoted" too', "x" * 300])
def test_a_model_has_its_studys_name_whatever_the_experiment_is_called_in_mlflow(name: str, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri(Home(tmp_path)))
    own = logged(Home(tmp_path), STUDY)
    client.rename_experiment(own.experiment_id, name)
    experiment = client.get_experiment(Tracker(Home(tmp_path), STUDY).experiment_id)
    assert experiment.name == name
    assert own_model(client, STUDY, experiment) == "mine"
    client.set_registered_model_tag("mine", STUDY_TAG, another().id)
    assert own_model(client, STUDY, experiment) == f"mine-{STUDY.id[:8]}"


def test_a_registered_model_that_was_renamed_gets_the_next_version_too(tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri(Home(tmp_path)))
    experiment = client.get_experiment(logged(Home(tmp_path), STUDY).experiment_id)
    client.create_registered_model("mine", {STUDY_TAG: STUDY.id})
    client.rename_registered_model("mine", "the best of birds")
    assert own_model(client, STUDY, experiment) == "the best of birds"


@pytest.mark.parametrize("text", ["plain", "it's", 'a "quoted" one', "", "a\\b", "a`b", "100 %", "a = 'b"])
def test_a_text_is_found_by_a_filter_whatever_quotes_it_has(text: str, tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'filters.db'}")
    for name in ("one", "other"):
        client.create_experiment(name, tags={"said": text if name == "one" else f"{text}?"})
    found = client.search_experiments(filter_string=f"tags.said = {quoted(text)}")
    assert [experiment.name for experiment in found] == ["one"]


def test_what_comes_in_pages_is_read_to_the_last(tmp_path: Path) -> None:
    client = MlflowClient(f"sqlite:///{tmp_path / 'pages.db'}")
    names = [f"experiment {number}" for number in range(5)]
    for name in names:
        client.create_experiment(name)
    found = every(lambda token: client.search_experiments(max_results=2, order_by=["name ASC"], page_token=token))
    assert [experiment.name for experiment in found] == ["Default", *names]


def test_a_text_with_both_kinds_of_quotes_cannot_be_searched_for() -> None:
    with pytest.raises(WorkError, match="both kinds of quotes"):
        quoted('it\'s "quoted"')
