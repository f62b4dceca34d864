"""Ctrl-C once, twice, and a kill: what was finished is kept, nothing is left running, and `--resume` goes on."""

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest
from mlflow.tracking import MlflowClient
from optuna.trial import TrialState
from PIL import Image
from terminal import PATIENCE, SAME, Finished, Terminal, begun, convsearch, typed, wait_until, workers_of

from convsearch.dashboard.reading.bundle import winner
from convsearch.search.delivery.optuna_file import FILE
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.result import Result
from convsearch.search.study.trial import Trial
from convsearch.search.winner.long_training import LONGER
from convsearch.search.winner.test import test_and_export as export_as_winner
from convsearch.search.winner.winner import Winner

FINISHED = ("complete", "pruned", "failed")


def record(home: Path, study: str) -> Record:
    return Home(home).study(study).record() if (home / study).is_dir() else Record(home)


def runs_while(home: Path, study: str, finished: int) -> bool:
    """Whether so many trials are finished and another one is running, both at one moment."""
    states = [trial.state for trial in record(home, study).trials.values()]
    return sum(state in FINISHED for state in states) >= finished and "running" in states


def mlflow_statuses(home: Path, study: str, copy: Path) -> Counter[str]:
    """How many of MLflow's runs are in which status, read from a copy of the store."""
    shutil.copyfile(home / "mlflow.db", copy)
    client = MlflowClient(f"sqlite:///{copy}")
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return Counter(run.info.status for run in client.search_runs([experiment.experiment_id]))


def optuna_states(home: Path, study: str) -> Counter[TrialState]:
    loaded = optuna.load_study(study_name=None, storage=f"sqlite:///{home / study / FILE}")
    return Counter(trial.state for trial in loaded.get_trials())


# ---------------------------------------------------------------------- Ctrl-C once


@dataclass(frozen=True)
class Interrupted:
    home: Path
    code: int
    said: str
    told: str
    trials: dict[int, Trial]
    result: Result

    @property
    def done(self) -> int:
        """How many trials were finished, which is also the number of the one that was interrupted."""
        return len(self.trials) - 1


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """The same search as `finished`, with Ctrl-C pressed while its third trial ran, or one soon after."""
    place = tmp_path_factory.mktemp("once")
    home = place / "home"
    options = (*SAME, "--trials", 7, "--repeats", 0, "--study", "first", "--home", home)
    with begun("run", *options, cwd=place) as process:
        wait_until(lambda: runs_while(home, "first", finished=2), "a third trial ran")
        os.killpg(process.pid, signal.SIGINT)
        said, told = process.communicate(timeout=PATIENCE)
    result = Home(home).study("first").result()
    assert result is not None, told
    return Interrupted(home, process.returncode, said, told, record(home, "first").trials, result)


def test_ctrl_c_ends_the_running_trial_and_goes_on_to_the_report_and_the_export(once: Interrupted) -> None:
    assert once.code == 0, once.told
    assert f"trial {once.done}: interrupted" in once.told
    assert "Traceback" not in once.told
    assert re.search(r"test accuracy \d+\.\d%, 95 % interval", once.said)
    assert (Home(once.home).study("first").bundle / "model.keras").exists()
    assert workers_of(once.home) == []


def test_the_interrupted_trial_is_noted_everywhere_and_counts_as_not_done(once: Interrupted, tmp_path: Path) -> None:
    *before, last = (trial.state for trial in once.trials.values())
    assert (set(before) <= set(FINISHED), last) == (True, "interrupted")
    states = optuna_states(once.home, "first")
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.FAIL] == 1  # as near as Optuna has it
    statuses = mlflow_statuses(once.home, "first", tmp_path / "mlflow.db")
    assert statuses == {"FINISHED": once.done + 1, "KILLED": 1}  # the trials and the launch; the interrupted one


def test_one_worker_and_a_seed_find_the_same_candidates_and_the_same_values(
    once: Interrupted, finished: Finished
) -> None:
    reference = finished.record.trials
    for number in range(once.done):
        mine, other = once.trials[number], reference[number]
        assert (mine.hash, mine.values, mine.state, mine.value) == (other.hash, other.values, other.state, other.value)
        assert (mine.loss, mine.accuracy) == (other.loss, other.accuracy)
        assert (mine.val_loss, mine.val_accuracy) == (other.val_loss, other.val_accuracy)
    assert once.trials[once.done].hash == reference[once.done].hash


def test_a_kill_after_the_bundle_of_another_winner_leaves_no_result_of_the_one_before(
    finished: Finished, tmp_path: Path
) -> None:
    folder = finished.copied(tmp_path / "home").folder
    before = folder.result()
    assert before is not None
    other = next(folder.record().trials[number] for number in folder.kept() if number != before.best)
    export_as_winner(folder, Winner.of_trial(other, folder.weights(other.number)))  # and here the loop is killed
    assert (folder.result(), winner(folder)) == (None, None)
    assert "winner: " not in typed("show", "first", "--home", folder.path.parent).stdout
    refused = typed("export", "first", "--home", folder.path.parent, "--to", tmp_path / "bundle")
    assert refused.returncode == 2
    assert "the study 'first' has no tested winner yet: --resume finishes it" in refused.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.fixture(scope="module")
def resumed(once: Interrupted) -> "subprocess.CompletedProcess[str]":
    """What was said when it went on, to two trials more than were finished."""
    resume = ("run", "--resume", "--study", "first", "--trials", once.done + 2, "--home", once.home)
    done = convsearch(*resume, cwd=once.home.parent)
    assert done.returncode == 0, done.stderr
    return done


def test_resume_runs_the_interrupted_candidate_again_and_goes_on_to_as_many_as_asked(
    once: Interrupted, resumed: "subprocess.CompletedProcess[str]", tmp_path: Path
) -> None:
    count = once.done
    assert f"{count} trials are already finished" in resumed.stderr
    found = record(once.home, "first")
    assert {number: found.trials[number] for number in once.trials} == once.trials
    assert list(found.trials) == list(range(count + 3))
    again = found.trials[count + 1]
    assert (again.hash, again.state in FINISHED) == (once.trials[count].hash, True)
    assert found.finished() == count + 2
    assert Home(once.home).study("first").read().trials == count + 2  # for the next --resume, too
    assert found.counts()["interrupted"] == 1
    states = optuna_states(once.home, "first")
    assert (sum(states.values()), states[TrialState.RUNNING], states[TrialState.FAIL]) == (count + 3, 0, 1)
    statuses = mlflow_statuses(once.home, "first", tmp_path / "mlflow.db")
    assert statuses == {"FINISHED": count + 4, "KILLED": 1}  # the trials and two launches; the interrupted one
    assert re.search(r"\d complete, (\d pruned, )?1 interrupted", resumed.stdout)


def test_the_winners_training_that_ctrl_c_took_is_had_when_the_study_goes_on(
    once: Interrupted, resumed: "subprocess.CompletedProcess[str]"
) -> None:
    assert (once.result.cut, once.result.final, once.result.tests) == (True, None, 1)
    again = Home(once.home).study("first").result()
    assert again is not None
    assert again.final is not None
    assert (again.cut, again.final.epochs, again.tests) == (False, 2 * LONGER, 2)


# ---------------------------------------------------------------------- a terminal, Ctrl-C twice, a kill, to the end

GRID = """\
layers: [1]
each_layer:
  filters: [4, 5, 6]
recipe:
  learning_rate: 0.01
  batch_size: 8
"""
EPOCHS = 40  # so many that one is seen, by whoever looks four times a second, long before the last one


@dataclass(frozen=True)
class Place:
    """A git checkout with images, a space, and modules whose names are those of ours and of Python's."""

    path: Path
    commit: str

    @property
    def home(self) -> Path:
        return self.path / "studies"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    path = tmp_path_factory.mktemp("checkout")
    random = np.random.default_rng(0)
    for name, count, top in (("day", 60, 256), ("night", 20, 100)):
        (path / "sky" / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, top, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / "sky" / name / f"{i}.png")
    (path / "sky" / "night" / "empty.png").touch()
    (path / "grid.yaml").write_text(GRID)
    for name in ("types.py", "json.py", "keras.py", "mlflow.py", "search/__init__.py", "convsearch/__init__.py"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("raise SystemExit('the wrong module was imported')\n")
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    for arguments in (["init", "--quiet"], ["add", "grid.yaml"], ["commit", "--quiet", "--message", "mine"]):
        subprocess.run([*git, *arguments], cwd=path, check=True)
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=path, check=True, capture_output=True, text=True)
    return Place(path, said.stdout.strip())


@dataclass(frozen=True)
class Stopped:
    code: int
    screen: str
    workers: list[psutil.Process]
    trials: dict[int, Trial]


@pytest.fixture(scope="module")
def twice(place: Place) -> Iterator[Stopped]:
    """A search in a terminal in which Ctrl-C was pressed twice while its second trial ran, or one soon after."""
    run = ("run", "--data", "sky", "--skip-bad", "--class-weights", "--space", "grid.yaml", "--algorithm", "grid")
    terminal = Terminal(place.path, *run, "--epochs", EPOCHS, "--repeats", 0, "--study", "sky")
    try:

        def shown() -> bool:
            assert terminal.process.poll() is None, terminal.seen()
            _, *later = re.split(r"trial [1-9] ", terminal.seen())
            told = bool(later) and re.search(r"best +\d", later[-1]) and f"of {EPOCHS}, validation" in later[-1]
            return runs_while(place.home, "sky", finished=1) and told

        wait_until(shown, "an epoch of a later trial was seen")
        terminal.press(b"\x03")
        # Signals of one kind that come together count once. When the first one was heard, there is a bundle to be made.
        wait_until(lambda: record(place.home, "sky").in_state("interrupted"), "the first one was heard")
        terminal.press(b"\x03")
        code = terminal.end()
        yield Stopped(code, terminal.seen(), workers_of(place.home), record(place.home, "sky").trials)
    finally:
        terminal.close()


def test_on_a_terminal_a_live_view_shows_trial_epoch_best_and_how_to_end(twice: Stopped) -> None:
    screen = twice.screen
    assert re.search(r"Convsearch", screen)
    assert re.search(r"\btrial 0 +\S*c\dv?-gap-2", screen)
    assert re.search(rf"epoch \d+ of {EPOCHS}, validation \d+\.\d%, loss \d\.\d{{3}}", screen)
    assert re.search(r"best +\d+\.\d% +\S*-gap-2", screen)
    assert re.search(r"1 trials, \d+\.\d trials a minute", screen)
    assert "Ctrl-C ends the search and exports the best so far" in screen
    assert not re.search(r"trial 0: complete", screen)  # the plain lines are for where there is no terminal


def test_what_is_odd_about_the_data_and_how_large_the_grid_is_are_said_before_the_search(twice: Stopped) -> None:
    assert "the grid holds 3 candidates" in twice.screen
    assert "until the space is exhausted" in twice.screen
    assert "from 20 ('night') to 60 ('day') images" in twice.screen
    assert "small: 80 images" in twice.screen
    assert re.search(r"left out|skipped", twice.screen)
    assert "night/empty.png: empty file" in twice.screen


def test_ctrl_c_twice_stops_at_once_and_leaves_nothing_running(twice: Stopped) -> None:
    assert twice.code == 1
    assert "stopped immediately; finished work is kept" in twice.screen
    assert "Traceback" not in twice.screen
    assert twice.workers == []
    *before, last = twice.trials.values()
    assert last.state == "interrupted"
    assert {trial.state for trial in before} == {"complete"}


@pytest.fixture(scope="module")
def killed(twice: Stopped, place: Place) -> dict[int, Trial]:
    """The record after the search went on and its loop was killed in the middle of a trial."""
    finished = len(twice.trials) - 1
    with begun("run", "--resume", "--study", "sky", "--skip-bad", cwd=place.path) as process:
        wait_until(lambda: runs_while(place.home, "sky", finished), "it went on to another trial")
        process.kill()
        process.wait()
        wait_until(lambda: not workers_of(place.home), "the worker ended")
    return record(place.home, "sky").trials


def test_a_killed_loop_leaves_no_worker_and_loses_no_finished_trial(
    killed: dict[int, Trial], twice: Stopped, place: Place
) -> None:
    assert workers_of(place.home) == []
    assert [trial.state for trial in killed.values()].count("running") == 1
    assert killed[0] == twice.trials[0]
    assert not (place.home / "sky" / "bundle").exists()


def test_export_of_a_study_without_a_winner_says_how_to_get_one(killed: dict[int, Trial], place: Place) -> None:
    done = typed("export", "sky", "--to", "out", cwd=place.path)
    assert done.returncode == 2
    assert "has no tested winner yet: --resume finishes it" in done.stderr
    assert not (place.path / "out").exists()


def test_resume_after_a_kill_goes_on_to_the_end_and_leaves_nothing_running(
    killed: dict[int, Trial], place: Place, tmp_path: Path
) -> None:
    done = convsearch("run", "--resume", "--study", "sky", "--skip-bad", cwd=place.path)
    assert done.returncode == 0, done.stderr
    found = record(place.home, "sky")
    for number, trial in killed.items():
        if trial.state != "running":
            assert found.trials[number] == trial
    # The grid is exhausted: each candidate was finished once, whatever was interrupted in between.
    assert found.counts()["running"] == 0
    hashes = [trial.hash for trial in found.trials.values() if trial.state in FINISHED]
    assert len(hashes) == len(set(hashes)) == 3
    assert {trial.values["layer1.filters"] for trial in found.trials.values()} == {4, 5, 6}
    assert sorted(found.trials) == list(range(len(found.trials)))
    assert optuna_states(place.home, "sky")[TrialState.RUNNING] == 0
    assert mlflow_statuses(place.home, "sky", tmp_path / "mlflow.db")["RUNNING"] == 0
    assert (place.home / "sky" / "bundle" / "labels.txt").read_text() == "day\nnight\n"
    assert "class weights: every class counts the same" in (place.home / "sky/bundle/MODEL_CARD.md").read_text()


def test_the_commit_of_the_users_checkout_is_a_tag_of_every_run(twice: Stopped, place: Place, tmp_path: Path) -> None:
    shutil.copyfile(place.home / "mlflow.db", tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sky")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["mlflow.source.git.commit"] for run in runs} == {place.commit}
