"""Delivery to MLflow and `optuna.db`: in order, nothing lost, nothing twice, whatever is killed or out of reach."""

import gc
import json
import multiprocessing
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import psutil
import pytest
from descriptors import MANY, only_large_descriptors
from mlflow.entities import Run
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from mlflow_server import Server
from samples import a_study, completed, write_result
from terminal import PATIENCE, begun, convsearch, environment, wait_until

from benchmarks.ports import free_port
from convsearch.search.delivery.optuna_file import FILE
from convsearch.search.delivery.outbox import Outbox
from convsearch.search.delivery.program import Follower, ToMlflow
from convsearch.search.delivery.tracking import UNTIL_TAG
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.record import FILE as RECORD
from convsearch.search.study.record import Record
from convsearch.search.study.runs import Runs
from convsearch.search.study.trial import Trial
from convsearch.search.values.limits import Limits
from convsearch.search.winner.result import is_published
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.errors import WorkError
from convsearch.spaces.space import SearchSpace

SPACE = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def without_trials(home: Path, name: str) -> StudyFolder:
    """A study without trials."""
    made = StudyFolder(home / name)
    with made.create(a_study(name=name), presets()["tiny"].read_text(encoding="utf-8")):
        pass
    return made


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return without_trials(tmp_path / "home", "mine")


class Search:
    """Adds trials to a study's record, as the loop does."""

    def __init__(self, folder: StudyFolder) -> None:
        self.record = Record(folder.path)
        self.engine = OptunaEngine("random", "none", 2, 0, Proposals(SPACE, 0))

    def trials(self, count: int) -> None:
        for _ in range(count):
            proposal = self.engine.ask()
            assert proposal is not None
            trial = Trial.begin(proposal)
            self.record.add(trial)
            self.record.add(completed(trial))
            self.engine.tell(trial.number, "complete", 0.75)


def delivered(uri: str, study: str) -> list[Run]:
    """The runs of all trials, in the order in which they were begun."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'trial'", order_by=["attributes.start_time"])
    return list(runs)


def require_all_once(folder: StudyFolder, uri: str, count: int) -> None:
    """MLflow, `optuna.db` and the record agree, trial by trial."""
    runs = delivered(uri, folder.name)
    assert [run.data.tags["number"] for run in runs] == [str(number) for number in range(count)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    known, client = Runs(folder.path), MlflowClient(uri)
    for run in runs:
        assert known.of(int(run.data.tags["number"])) == run.info.run_id
        history = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert [(metric.step, metric.value) for metric in history] == [(1, 0.5), (2, 0.75)]
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{folder.path / FILE}").get_trials()
    assert [trial.number for trial in trials] == list(range(count))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    record = folder.record().trials
    assert [trial.user_attrs["hash"] for trial in trials] == [record[number].hash for number in range(count)]


def store(folder: StudyFolder) -> str:
    return f"sqlite:///{folder.path.parent / 'mlflow.db'}"


def test_what_is_in_the_record_before_and_after_the_begin_is_delivered_with_what_the_launch_goes_on_for(
    folder: StudyFolder,
) -> None:
    search, limits = Search(folder), Limits(7, datetime.now(UTC) + timedelta(minutes=3))
    search.trials(2)
    with closing(Outbox(folder, limits)) as outbox:
        outbox.wait_until_ready()
        search.trials(3)
        outbox.deliver_rest(True)
    require_all_once(folder, store(folder), 5)
    assert outbox.process.returncode is not None
    launch = MlflowClient(store(folder)).get_run(outbox.parent)
    assert launch.info.status == "FINISHED"
    assert launch.data.params["trials"] == "7"  # whatever its study was begun with
    assert datetime.fromisoformat(launch.data.tags[UNTIL_TAG]) == limits.until


def test_however_often_the_delivery_is_killed_and_when_the_search_is_over_too_nothing_is_lost_or_there_twice(
    folder: StudyFolder,
) -> None:
    search = Search(folder)
    search.trials(12)
    with closing(Outbox(folder)) as outbox:
        outbox.wait_until_ready()
        for number in (0, 6):
            wait_until(lambda number=number: Runs(folder.path).of(number) is not None, "it was at its work")  # type: ignore[misc]
            outbox.process.kill()
            outbox.process.wait()
            outbox.parent = ""
            outbox.tick()  # the loop sees it, and begins another one
            outbox.wait_until_ready()
        search.trials(2)
        outbox.process.kill()
        outbox.process.wait()
        outbox.deliver_rest(True)
    require_all_once(folder, store(folder), 14)
    assert MlflowClient(store(folder)).get_run(outbox.parent).info.status == "FINISHED"


def in_a_process(work: Callable[..., object], *arguments: object) -> None:
    """Do some work in a process of its own, with which MLflow's open files go."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def deliver(folder: StudyFolder) -> None:
    """Deliver whatever the record has, as a launch does."""
    with closing(Outbox(folder, Limits())) as outbox:
        outbox.wait_until_ready()
        outbox.deliver_rest(True)


@pytest.mark.parametrize("by_an_earlier_version", [False, True])
def test_a_store_that_was_deleted_gets_everything_again(folder: StudyFolder, by_an_earlier_version: bool) -> None:
    search = Search(folder)
    search.trials(2)
    deliver(folder)
    noted = folder.path / "delivered.json"
    if by_an_earlier_version:
        noted.write_text(json.dumps({"mlflow": json.loads(noted.read_text())["mlflow"]}))
    for file in folder.path.parent.glob("mlflow.db*"):
        file.unlink()
    search.trials(1)
    deliver(folder)
    require_all_once(folder, store(folder), 3)


def step_through(folder: StudyFolder, lines: int | None = None) -> ToMlflow:
    """Deliver so many lines of the record to MLflow, or all, and end without a word, as if killed."""
    deliver = ToMlflow(folder, Limits())
    follower = Follower(folder.path / RECORD, deliver, deliver.offset, delivered=deliver.note)
    while lines != 0 and follower.step():
        lines = None if lines is None else lines - 1
    assert follower.trouble is None
    return deliver


def copy_store(file: Path, to: Path) -> None:
    """Copy an SQLite file as SQLite does it, whatever connections either of them has."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


@pytest.mark.usefixtures("blank_main")
@pytest.mark.parametrize(
    ("of_the_backup", "killed"), [("one trial", False), ("one trial", True), ("all but the end of the last", False)]
)
def test_a_store_that_was_restored_from_a_backup_gets_what_it_lacks(
    folder: StudyFolder, of_the_backup: str, killed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    search, file, backup = Search(folder), folder.path.parent / "mlflow.db", folder.path / "backup.db"
    search.trials(1)
    if of_the_backup == "one trial":
        deliver(folder)
        copy_store(file, backup)
        search.trials(2)
        deliver(folder)
    else:
        search.trials(2)
        in_a_process(step_through, folder, 5)
        copy_store(file, backup)
        in_a_process(step_through, folder)
    first = Runs(folder.path).of(0)
    copy_store(backup, file)
    search.trials(1)
    if killed:
        in_a_process(step_through, folder, 3)
    caplog.clear()
    deliver(folder)
    require_all_once(folder, store(folder), 4)
    assert Runs(folder.path).of(0) == first
    assert killed or "lacks trials that it had, as if it were restored from a backup" in caplog.text


def test_a_model_that_a_backup_lacks_is_not_taken_for_published_and_a_deleted_run_is_no_loss(
    folder: StudyFolder,
) -> None:
    Search(folder).trials(1)
    delivery = step_through(folder)
    client = MlflowClient(delivery.uri)
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    model = client.create_logged_model(experiment.experiment_id, "model")
    write_result(folder, model_uri=f"models:/{model.model_id}", store=delivery.store)
    again = ToMlflow(folder, Limits())
    assert is_published(folder, again.store, again.model)
    run = Runs(folder.path).of(0)
    assert run is not None
    client.delete_run(run)
    write_result(folder, model_uri=f"models:/m-{'0' * 32}", store=delivery.store)
    again = ToMlflow(folder, Limits())
    assert not is_published(folder, again.store, again.model)
    assert again.offset == (folder.path / RECORD).stat().st_size
    assert client.get_run(run).info.lifecycle_stage == "deleted"


@pytest.mark.parametrize("for_good", [False, True])
def test_a_trial_whose_run_was_deleted_while_it_ran_is_delivered_and_so_are_all_after_it(
    folder: StudyFolder, for_good: bool
) -> None:
    search = Search(folder)
    search.trials(1)
    proposal = search.engine.ask()
    assert proposal is not None
    running = Trial.begin(proposal)
    search.record.add(running)
    deliver = ToMlflow(folder, Limits())
    follower = Follower(folder.path / RECORD, deliver)
    while follower.step():
        pass
    run, client = Runs(folder.path).of(running.number), MlflowClient(deliver.uri)
    assert run is not None
    client.delete_run(run)
    if for_good:
        SqlAlchemyStore(deliver.uri, "mlruns")._hard_delete_run(run)  # as `mlflow gc` does
    search.record.add(completed(running))
    search.trials(1)
    while follower.step():
        pass
    assert (follower.trouble, follower.behind) == (None, False)
    runs = delivered(deliver.uri, folder.name)
    assert [run.data.tags["number"] for run in runs] == ["0", "1", "2"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert (runs[1].info.run_id == run) is not for_good
    assert Runs(folder.path).of(running.number) == runs[1].info.run_id


@pytest.mark.parametrize("damage", ["runs", "ids", "offset", "both"])
def test_what_is_noted_of_the_delivery_may_be_damaged(folder: StudyFolder, damage: str) -> None:
    search = Search(folder)
    search.trials(3)
    deliver(folder)
    if damage == "ids":  # which MLflow refuses to look for, as has to be done where the store is not noted
        (folder.path / "delivered.json").unlink()
        rows = [(0, ""), (1, "a!b"), (2, "x" * 300)]
        (folder.path / "runs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif damage != "offset":
        runs = folder.path / "runs.jsonl"
        lines = runs.read_text().splitlines()
        runs.write_text("\n".join([lines[0], "[1, {", "17", lines[2], ""]))
    if damage not in ("runs", "ids"):
        noted = json.loads((folder.path / "delivered.json").read_text())
        (folder.path / "delivered.json").write_text(json.dumps({**noted, "mlflow": noted["mlflow"] + 1000}))
    search.trials(1)
    deliver(folder)
    require_all_once(folder, store(folder), 4)


@pytest.mark.parametrize("left", [None, 1, "damaged"])
def test_a_list_of_runs_that_was_lost_is_written_anew_and_a_kill_meanwhile_leaves_no_trial_twice(
    folder: StudyFolder, left: int | str | None
) -> None:
    Search(folder).trials(3)
    deliver(folder)
    runs = folder.path / "runs.jsonl"
    before = runs.read_bytes()
    if left is None:
        runs.unlink()
    else:
        runs.write_bytes(b"[0, {\n" if left == "damaged" else before.splitlines(True)[0])
    step_through(folder, 2)
    deliver(folder)
    assert runs.read_bytes() == before
    require_all_once(folder, store(folder), 3)


def test_a_delivery_whose_loop_is_killed_ends(folder: StudyFolder) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from convsearch.search.study.folder import StudyFolder; from convsearch.search.delivery.outbox import Outbox\n"
        "outbox = Outbox(StudyFolder(Path(sys.argv[1]))); outbox.wait_until_ready()\n"
        "print(outbox.process.pid, flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as loop:
        assert loop.stdout is not None
        delivery = psutil.Process(int(loop.stdout.readline()))
        assert delivery.is_running()
        loop.kill()
    wait_until(lambda: not delivery.is_running(), "the delivery ended")


def test_databases_that_another_program_locks_are_waited_for(folder: StudyFolder) -> None:
    search = Search(folder)
    search.trials(1)
    places = (folder.path.parent / "mlflow.db", folder.path / FILE)
    with closing(Outbox(folder)) as outbox, ExitStack() as held:
        outbox.wait_until_ready()
        wait_until(lambda: places[1].exists() and Runs(folder.path).of(0), "a first trial was delivered")
        for seconds, place in enumerate(places, start=2):  # that one lets go while the other one is waited for
            other = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=PATIENCE)
            held.enter_context(closing(other))
            other.execute("begin exclusive")
            release = threading.Timer(seconds, other.rollback)
            held.callback(release.join)
            release.start()
        search.trials(3)
        outbox.deliver_rest(True)
    require_all_once(folder, store(folder), 4)


def test_an_address_at_which_nothing_answers_is_named_before_all_work(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with (
        closing(Outbox(folder)) as outbox,
        pytest.raises(WorkError, match=rf"MLflow at {address}: "),
    ):
        outbox.wait_until_ready()


def test_a_delivery_that_dies_before_mlflow_has_answered_is_told_with_its_last_words_and_where_all_of_them_are(
    folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path" / "mlflow").mkdir(parents=True)
    (tmp_path / "path" / "mlflow" / "__init__.py").write_text("raise ImportError('libcrypto.so.3: not found')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    log = folder.logs / "delivery.log"
    expected = (
        f"the delivery to MLflow ended with exit code 1 (ImportError: libcrypto.so.3: not found); its log is {log}"
    )
    with closing(Outbox(folder)) as outbox, pytest.raises(WorkError) as refused:
        outbox.wait_until_ready()
    assert str(refused.value) == expected
    assert "Traceback" in log.read_text()


def test_a_delivery_that_hangs_is_given_up(folder: StudyFolder) -> None:
    with closing(Outbox(folder)) as outbox:
        outbox.process.send_signal(signal.SIGSTOP)
        with pytest.raises(WorkError, match=r"was not ready after 1 s; its log is .*delivery\.log"):
            outbox.wait_until_ready(patience=1)
        with pytest.raises(WorkError, match="not all trials are delivered yet"):
            outbox.deliver_rest(True, hung=1)


def test_a_delivery_is_followed_with_any_number_of_open_files(folder: StudyFolder) -> None:
    search = Search(folder)
    search.trials(1)
    gc.collect()  # what earlier tests have left open would be closed meanwhile
    with only_large_descriptors(), closing(Outbox(folder)) as outbox:
        assert outbox.process.stdout is not None
        assert outbox.process.stdout.fileno() >= MANY
        outbox.wait_until_ready()
        outbox.deliver_rest(True)
    require_all_once(folder, store(folder), 1)


def test_a_study_that_was_logged_through_a_server_on_the_homes_own_file_says_which_address_it_needs(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = without_trials(tmp_path / "home", "served")
    (tmp_path / "home" / "mlflow.db").symlink_to(server.store.removeprefix("sqlite:///"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    deliver(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    told = (
        f"MLflow at {store(folder)}: the experiment 'served' was made through a server, which keeps its artifacts: "
        "start that server, as `mlflow server` or `mlflow ui` was started then, and set MLFLOW_TRACKING_URI to its "
        "address, http://HOST:PORT"
    )
    with closing(Outbox(folder)) as outbox, pytest.raises(WorkError, match=re.escape(told)):
        outbox.wait_until_ready()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    Search(folder).trials(1)
    deliver(folder)
    require_all_once(folder, server.store, 1)


def wait_until_told(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """Look after the delivery, as the loop does, until the user knows that it is held up."""

    def reported() -> bool:
        outbox.tick()
        return "Trials are kept and will be delivered later" in caplog.text

    wait_until(reported, "it was reported")


def test_trials_that_end_while_mlflow_cannot_be_reached_are_delivered_in_order_when_it_can(
    folder: StudyFolder, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    search = Search(folder)
    with closing(Outbox(folder)) as outbox:
        outbox.wait_until_ready()
        search.trials(2)
        wait_until(lambda: Runs(folder.path).of(1), "the first trials were delivered")
        server.stop()
        search.trials(4)
        wait_until_told(outbox, caplog)
        with pytest.raises(WorkError, match=f"MLflow at {server.address}"):
            outbox.deliver_rest(True, patience=2)  # whoever cannot wait gets an error, and loses nothing
        server.start()
        outbox.deliver_rest(True, patience=PATIENCE)
    assert f"MLflow at {server.address}: " in caplog.text
    assert "MLflow is reachable again" in caplog.text
    require_all_once(folder, server.store, 6)


def test_a_delivery_that_is_killed_while_mlflow_cannot_be_reached_goes_on_when_it_can(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    folder = without_trials(tmp_path / "home", "another")
    search = Search(folder)
    with closing(Outbox(folder)) as outbox:
        outbox.wait_until_ready()
        search.trials(1)
        server.stop()
        outbox.process.kill()
        outbox.process.wait()
        search.trials(2)
        wait_until_told(outbox, caplog)
        server.start()
        outbox.deliver_rest(True, patience=PATIENCE)
    assert "MLflow is reachable again" in caplog.text
    require_all_once(folder, server.store, 3)


def test_where_mlflow_stays_away_until_the_end_the_bundle_is_complete_and_resuming_delivers_the_rest(
    tmp_path: Path, server: Server
) -> None:
    words = ("run", "--study", "away", "--home", tmp_path, "--repeats", 0)
    new = ("--space", "tiny", "--epochs", 2, "--trials", 3, "--workers", 1)
    folder = StudyFolder(tmp_path / "away")
    with begun(*words, *new, MLFLOW_TRACKING_URI=server.address, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1") as run:
        wait_until(lambda: (folder.path / FILE).exists() and Runs(folder.path).of(0), "the first trial was delivered")
        server.stop()
        _, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1
    assert f"MLflow at {server.address}: " in errors
    assert f"The bundle is in {folder.bundle}; what could not be delivered is kept" in errors
    assert f"`convsearch run --study away --resume --home {tmp_path}` tries again" in errors
    assert folder.result() is not None
    assert (folder.bundle / "model.keras").is_file()
    server.start()
    resumed = convsearch(*words, "--resume", MLFLOW_TRACKING_URI=server.address)
    assert resumed.returncode == 0, resumed.stderr
    assert [run.data.tags["number"] for run in delivered(server.store, "away")] == ["0", "1", "2"]
    assert {run.info.status for run in delivered(server.store, "away")} == {"FINISHED"}
