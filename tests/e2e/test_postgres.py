"""Several `convsearch run` on one study in a PostgreSQL database, as on several machines: each has its own home."""

import io
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial, TrialState
from postgres import PASSWORD, Server
from rich.console import Console
from terminal import COMMAND, PATIENCE, environment, typed, wait_until, workers_of

from convsearch.search.launch.contract import contract_of, resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.launch.wiring import database_of
from convsearch.search.loop.budget import Budget
from convsearch.search.shared.database import Database
from convsearch.search.study.home import Home
from convsearch.search.study.runs import Runs
from convsearch.search.system.addresses import checked_storage, mlflow_url, optuna_url

TRIALS = 8
OPTIONS = ("--space", "tiny", "--epochs", 2, "--trials", TRIALS, "--repeats", 1, "--workers", 1)


class Loop:
    """A `convsearch run` in a home of its own, whose words are read while it runs."""

    def __init__(self, home: Path, study: str, address: str, *options: object, **variables: str) -> None:
        self.home, self.folder = home, Home(home).study(study)
        self._said = home.with_suffix(".said").open("a+")
        self.process = subprocess.Popen(
            [COMMAND, "run", "--study", study, "--storage", address, "--home", str(home), *map(str, options)],
            stdout=self._said,
            stderr=subprocess.STDOUT,
            env=environment(**variables),
            start_new_session=True,
        )

    def said(self) -> str:
        """All that it has printed so far."""
        return Path(self._said.name).read_text()

    def end(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Have it end at once, with all that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def running(self) -> list[int]:
        """The numbers of the trials that run in it."""
        if not (self.folder.path / "trials.jsonl").exists():
            return []
        return [trial.number for trial in self.folder.record().in_state("running")]

    def delivered(self) -> bool:
        """Whether MLflow has a run of each trial that runs in it."""
        runs = Runs(self.folder.path)
        return all(runs.of(number) is not None for number in self.running())


def let_all_begin(loops: list[Loop]) -> dict[Loop, list[psutil.Process]]:
    """Wait until each of them runs a trial, and return their workers, which are stopped, lest some be done before."""
    stopped: dict[Loop, list[psutil.Process]] = {}

    def all_run() -> bool:
        for loop in loops:
            if loop not in stopped and loop.running() and (workers := workers_of(loop.home)):
                for worker in workers:
                    worker.suspend()
                stopped[loop] = workers
        return len(stopped) == len(loops)

    wait_until(all_run, "each of them ran a trial")
    return stopped


def stored(address: str, study: str) -> list[FrozenTrial]:
    """The trials as Optuna finds them in the database."""
    return optuna.load_study(study_name=study, storage=optuna_url(checked_storage(address))).get_trials()


def mlflow_runs(address: str, study: str) -> list[Run]:
    """The runs as MLflow finds them in the database."""
    client = MlflowClient(mlflow_url(checked_storage(address)))
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def numbers_of_runs(runs: list[Run]) -> list[int]:
    return sorted(int(run.data.tags["number"]) for run in runs if run.data.tags["kind"] == "trial")


@pytest.fixture(autouse=True, scope="module")
def password() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        yield


# ---------------------------------------------------------------------- four, of which one is killed


@dataclass(frozen=True)
class Four:
    """Four loops, of which `killed` was killed while it ran its trial number `lost`, after their ends."""

    place: Path
    address: str
    killed: Loop
    lost: int
    survivors: list[Loop]
    codes: list[int]

    @property
    def loops(self) -> list[Loop]:
        return [self.killed, *self.survivors]

    @property
    def last(self) -> Loop:
        """The one that exported the winner."""
        (found,) = [loop for loop in self.loops if loop.folder.bundle.exists()]
        return found

    @property
    def others(self) -> list[Loop]:
        return [loop for loop in self.survivors if loop is not self.last]


WAITS = "Running trials continue; results are written when the database is back"


@pytest.fixture(scope="module")
def four(postgres: Server, tmp_path_factory: pytest.TempPathFactory, password: None) -> Iterator[Four]:
    """Four loops that began at the same moment. While each ran a trial the server was restarted.

    Before it was back, one of them was killed, and the trials of the others ended.
    """
    place, address = tmp_path_factory.mktemp("four"), postgres.make("four")
    killed, *survivors = loops = [
        Loop(place / f"home{number}", "digits", address, *OPTIONS, CONVSEARCH_GRACE="20") for number in range(4)
    ]
    try:
        workers = let_all_begin(loops)
        wait_until(lambda: all(loop.delivered() for loop in loops), "MLflow had all trials")
        postgres.stop()
        for loop in loops:
            wait_until(lambda loop=loop: WAITS in loop.said(), "it noticed")  # type: ignore[misc]
        for loop in survivors:
            for worker in workers[loop]:
                worker.resume()
        for loop in survivors:
            wait_until(lambda loop=loop: loop.folder.record().finished(), "its trial ended")  # type: ignore[misc]
        (lost,) = killed.running()
        killed.kill()  # before there is a server again: a heartbeat after the others' last trial would keep its own
        postgres.start()
        yield Four(place, address, killed, lost, survivors, [loop.end() for loop in survivors])
    finally:
        for loop in loops:
            loop.kill()


def test_four_loops_run_every_trial_once_between_them(four: Four) -> None:
    assert four.codes == [0, 0, 0], [loop.said() for loop in four.loops]
    trials = stored(four.address, "digits")
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]
    done = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len({trial.user_attrs["hash"] for trial in done}) == len(done) == TRIALS
    assert {trial.user_attrs["loop"] for trial in done} == {loop.folder.read().loop for loop in four.survivors}
    records = [loop.folder.record().trials.values() for loop in four.survivors]
    ended_here = [trial.number for record in records for trial in record if trial.loop is None and trial.value]
    assert sorted(ended_here) == [trial.number for trial in done]


def test_a_server_that_is_restarted_costs_nothing_and_is_told_once(four: Four) -> None:
    for loop in four.loops:
        assert loop.said().count(WAITS) == 1
        assert loop.said().count("note: the database is back") == (loop is not four.killed)


def test_a_trial_of_a_loop_that_is_killed_is_given_up_and_its_candidate_tried_again_by_another(four: Four) -> None:
    lost = stored(four.address, "digits")[four.lost]
    assert (lost.state, lost.user_attrs["loop"]) == (TrialState.FAIL, four.killed.folder.read().loop)
    assert any("no heartbeat from" in loop.said() for loop in four.survivors)
    trials = four.last.folder.record().trials.values()
    (again,) = [trial for trial in trials if trial.hash == lost.user_attrs["hash"] and trial.value is not None]
    assert again.number > lost.number


def test_the_last_of_them_knows_all_trials_and_exports_the_one_bundle(four: Four) -> None:
    record = four.last.folder.record()
    assert sorted(record.trials) == [trial.number for trial in stored(four.address, "digits")]
    assert record.finished() == TRIALS
    result = four.last.folder.result()
    assert result is not None
    assert (result.trials, result.tests) == (TRIALS, 1)
    for loop in four.others:
        assert "nothing is left to do here: " in loop.said()
        assert "training the winner" not in loop.said()
        assert loop.folder.result() is None
        known = loop.folder.record().trials
        assert all(known[number].hash == record.trials[number].hash for number in known)


def test_a_loop_that_was_killed_learns_the_rest_when_it_goes_on_whatever_its_folder_is_called(four: Four) -> None:
    count = len(stored(four.address, "digits"))
    renamed = four.killed.folder.path.rename(four.killed.home / "renamed")
    try:
        done = typed("run", "--resume", "--study", "renamed", "--home", four.killed.home)
    finally:
        renamed.rename(four.killed.folder.path)
    assert done.returncode == 0, done.stderr
    told = f"nothing is left to do here: {four.last.folder.read().loop} has exported the winner of {TRIALS} trials"
    assert told in done.stderr
    found = four.killed.folder.record()
    assert (found.finished(), found.trials[four.lost].state) == (TRIALS, "interrupted")
    assert len(stored(four.address, "digits")) == count
    assert not four.killed.folder.bundle.exists()


def test_mlflow_has_a_run_for_each_trial_and_for_each_launch_and_none_is_left_open(four: Four) -> None:
    """After the killed loop has gone on, which delivers what it had not come to deliver."""
    runs = mlflow_runs(four.address, "digits")
    assert numbers_of_runs(runs) == [trial.number for trial in stored(four.address, "digits")]
    assert Counter(run.data.tags["kind"] for run in runs)["launch"] == 5
    assert {run.info.status for run in runs} == {"FINISHED", "KILLED"}


def test_each_loop_keeps_its_artifacts_in_its_own_home(four: Four) -> None:
    homes = {loop.folder.read().loop: loop.home for loop in four.loops}
    for run in mlflow_runs(four.address, "digits"):
        artifacts = Path(run.info.artifact_uri)
        assert artifacts.is_relative_to(homes[run.data.tags["loop"]])
        if run.info.status == "FINISHED":  # else it was killed, perhaps before it had written anything
            kind = "space.yaml" if run.data.tags["kind"] == "launch" else "architecture.json"
            assert (artifacts / kind).exists()
    assert four.last.folder.result().model_uri  # type: ignore[union-attr]
    assert len(list((four.last.home / "artifacts").rglob("*.keras"))) > 0
    assert not any((loop.home / "digits" / "optuna.db").exists() for loop in four.loops)


def test_no_password_is_said_or_kept_anywhere(four: Four) -> None:
    for loop in four.loops:
        assert PASSWORD not in loop.said()
        texts = (path for path in loop.home.rglob("*") if path.suffix in (".yaml", ".json", ".jsonl", ".log", ".txt"))
        assert not any(PASSWORD in path.read_text(errors="replace") for path in texts)
        storage = loop.folder.read().storage
        assert storage is not None
        assert storage.startswith("postgresql://tester@127.0.0.1:")


def test_a_trial_of_another_loop_is_exported_where_its_weights_are(four: Four) -> None:
    elsewhere = next(trial for trial in four.last.folder.record().trials.values() if trial.loop is not None)
    what = f"digits:{elsewhere.number}"
    done = typed("export", what, "--to", four.place / "out", "--home", four.last.home)
    assert done.returncode == 2
    assert f"ran in the loop {elsewhere.loop}: its weights are in that loop's home" in done.stderr


# ---------------------------------------------------------------------- what a loop that joins says


def test_a_loop_that_joins_need_not_repeat_the_objectives_to_name_their_limit(postgres: Server, tmp_path: Path) -> None:
    storage, limit = checked_storage(postgres.make("pair")), {"study": "pair", "under": "parameters=50000"}
    objectives = ("val_accuracy", "parameters")
    with closing(Database(storage, "pair")) as database:
        first, other = Home(tmp_path / "first"), Home(tmp_path / "other")
        options = Options(home=first.path, storage=storage, space="tiny", objectives=objectives, **limit)
        contract = contract_of(first, first.study("pair"), options, database)
        assert contract.existing is None
        with ExitStack() as held:
            assert prepare(first, contract, Budget(None, None), Console(file=io.StringIO()), held, database)
        joining = Options(home=other.path, storage=storage, **limit)
        joined = contract_of(other, other.study("pair"), joining, database)
    assert joined.existing is not None
    assert (joined.existing.objectives, joined.existing.under) == (objectives, limit["under"])


def test_a_study_whose_folder_was_renamed_is_found_in_its_database_by_its_identity(
    postgres: Server, tmp_path: Path
) -> None:
    storage, console = checked_storage(postgres.make("renamed")), Console(file=io.StringIO())
    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    for place, name in ((home, "first"), (other, "second")):
        with ExitStack() as held:
            database = database_of(place.study(name), storage, held)
            contract = contract_of(place, place.study(name), Options(home=place.path, space="tiny"), database)
            assert prepare(place, contract, Budget(None, None), console, held, database)
    identity = home.study("first").read().id
    (home.path / "first").rename(home.path / "second")  # as another study in the database is called
    with ExitStack() as held:
        contract = resumed_contract(home.study("second"), Options(home=home.path, study="second", resume=True))
        database = database_of(home.study("second"), storage, held, identity)
        found = prepare(home, contract, Budget(None, None), console, held, database)
        assert found is not None
        assert found.database is not None
        assert (found.study.name, found.database.name) == ("second", "first")
    assert home.study("second").read().id == identity  # also with the new name in it


# ---------------------------------------------------------------------- what is refused


def test_a_loop_with_other_options_data_or_engine_is_refused_with_both_values(four: Four, tmp_path: Path) -> None:
    for options, told in (
        (("--seed", 5), "--storage: the study 'digits' has --seed 0, not 5"),
        (("--space", "classic"), "--storage: the study 'digits' has a different space from classic:\n"),
        (("--image-size", "16x16"), "--storage: the study 'digits' takes its images at 8x8, not at 16x16"),
    ):
        done = typed("run", "--study", "digits", "--storage", four.address, *options, "--home", tmp_path / "home")
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
        assert not (tmp_path / "home" / "digits").exists()


def test_a_server_that_refuses_is_told_with_host_database_and_reason(postgres: Server, tmp_path: Path) -> None:
    postgres.make("closed")
    postgres.execute("CREATE ROLE poor LOGIN PASSWORD 'secret'")
    where = rf"on 127\.0\.0\.1:{postgres.port}"
    for address, told in (
        (postgres.url("closed", "secret"), rf"'closed' {where}: password authentication failed for user \"tester\""),
        (postgres.url("nowhere"), rf"'nowhere' {where}: database \"nowhere\" does not exist"),
        (postgres.url("closed", "secret", "poor"), rf"'closed' {where}: permission denied for database closed"),
        ("postgresql://me:secret@127.0.0.1:1/x", r"'x' on 127\.0\.0\.1:1: Connection refused"),
    ):
        done = typed("run", "--study", "new", "--storage", address, "--home", tmp_path / "home")
        assert done.returncode == 2
        assert re.fullmatch(rf"convsearch: --storage: database {told}\n", done.stderr), done.stderr
        assert not (tmp_path / "home" / "new").exists()


def test_what_cannot_be_shared_is_refused_before_anything_begins(tmp_path: Path) -> None:
    shared = ("--storage", "postgresql://me@host/x")
    for options, told in (
        (("--study", "new", *shared, "--engine", "keras-tuner"), "KerasTuner keeps its state in the files of one"),
        (shared, "--storage requires --study NAME"),
        (
            ("--study", "new", "--storage", "sqlite:///x.db"),
            "only one loop at a time can write to a file; write postgr",
        ),
    ):
        done = typed("run", *options, "--home", tmp_path / "home")
        assert done.returncode == 2
        assert told in done.stderr
    assert not (tmp_path / "home").exists()
