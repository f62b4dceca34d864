"""Both engines, with the command: every preset to a bundle, rungs that go on after a kill, studies side by side."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import optuna
import pytest
from mlflow.tracking import MlflowClient
from samples import completed
from searches import prepared, search
from terminal import Finished, begun, convsearch, typed, wait_until, workers_of

from convsearch.search.executors.local import LocalExecutor
from convsearch.search.loop.budget import Budget
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.runs import Runs
from convsearch.search.study.trial import Trial
from convsearch.search.system.programs import Starter
from convsearch.search.values.proposal import Proposal
from convsearch.search.values.words import counted
from convsearch.search.winner.long_training import train_best
from convsearch.search.winner.result import export_winner
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.definition import presets

RUNGS = ("--engine", "keras-tuner", "--space", "tiny", "--epochs", 9, "--seed", 3)


def record(home: Path, name: str) -> Record:
    return Home(home).study(name).record()


@pytest.fixture(scope="module")
def home(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has the study `first` already, by Optuna in the preset `tiny`; those of this file come to it."""
    return finished.copied(tmp_path_factory.mktemp("engines") / "home").home


# ---------------------------------------------------------------------- every preset

MATTERED = "textbook"  # the preset that is searched for so long that it can be said what mattered


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and light images, so few that every network is soon trained."""
    labels = np.arange(100) % 2
    images = np.random.default_rng(0).normal(90 + 90 * labels[:, None, None], 20, (100, 8, 8))
    np.savez(path := tmp_path_factory.mktemp("few") / "few.npz", x=np.clip(images, 0, 255).astype("uint8"), y=labels)
    return path


def assert_searched_to_a_bundle(home: Path, name: str, trials: int) -> None:
    study = json.loads(typed("show", name, "--json", "--home", home).stdout)
    counts = study["counts"]
    assert counts["complete"] + counts["pruned"] == len(study["trials"]) == trials
    assert sum(study["test"]["interval_95"]) > 0
    files = {path.name for path in (home / name / "bundle").iterdir()}
    assert {"model.keras", "model.py", "predict.py", "MODEL_CARD.md"} <= files


@pytest.mark.parametrize("preset", [name for name in presets() if name not in ("tiny", MATTERED)])
def test_every_preset_is_searched_to_a_bundle(preset: str, few: Path, starter: Starter, tmp_path: Path) -> None:
    """By the parts of `convsearch run`; the command itself, which knows no presets, searches `tiny` and MATTERED."""
    home, budget = Home(tmp_path / "home"), Budget(2, None)  # what is drawn at random is built in tests/spaces
    study = prepared(home, data=str(few), space=preset, epochs=1, repeats=0)
    with closing(LocalExecutor(study.folder.logs, starter=starter)) as executor:
        search(study, executor, budget)
        winner = train_best(study, executor, budget, lambda text: None)
    export_winner(study, winner, budget, starter)
    assert_searched_to_a_bundle(home.path, "mine", 2)


@contextmanager
def one_core() -> Iterator[None]:
    """Have what is started in the block run on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def mattered(home: Path, few: Path) -> CompletedProcess[str]:
    """What was said when the preset MATTERED was searched, by two workers on one core."""
    options = ("--data", few, "--space", MATTERED, "--algorithm", "random", "--trials", 10, "--epochs", 1)
    with one_core():
        done = convsearch("run", *options, "--repeats", 0, "--workers", 2, "--study", MATTERED, "--home", home)
    assert done.returncode == 0, done.stderr
    return done


def test_more_workers_than_cores_are_allowed_and_warned_of(mattered: CompletedProcess[str], home: Path) -> None:
    assert "note: 2 workers on 1 core" in mattered.stderr
    assert_searched_to_a_bundle(home, MATTERED, 10)


def test_what_mattered_is_shown_in_json_and_in_mlflow(mattered: CompletedProcess[str], home: Path) -> None:
    assert "what mattered (PED-ANOVA over 10 trials):" in mattered.stdout
    found = json.loads(typed("show", MATTERED, "--json", "--home", home).stdout)["importances"]
    assert (found["method"], found["trials"]) == ("PED-ANOVA", 10)
    assert sum(found["dimensions"].values()) == pytest.approx(1)
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(MATTERED)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (launch,) = [run for run in runs if run.data.tags["kind"] == "launch"]
    assert launch.data.metrics["importance_trials"] == 10
    most = max(found["dimensions"], key=found["dimensions"].get)
    assert launch.data.metrics[f"importance.{most}"] == pytest.approx(found["dimensions"][most])
    trials = record(home, MATTERED).trials
    by_number = {int(run.data.tags["number"]): run for run in runs if run.data.tags["kind"] == "trial"}
    known = Runs(home / MATTERED)
    assert {number: run.info.run_id for number, run in by_number.items()} == {n: known.of(n) for n in trials}
    assert all(by_number[n].data.metrics["best_val_accuracy"] == trial.value for n, trial in trials.items())


def test_gp_searches_where_pytorch_is_installed_and_says_what_to_install_where_it_is_not(tmp_path: Path) -> None:
    options = ("--algorithm", "gp", "--space", "tiny", "--trials", 12, "--epochs", 1, "--repeats", 0)
    search = ("run", *options, "--study", "gp", "--home", tmp_path / "home")
    if find_spec("torch") is None:
        done = typed(*search)
        assert done.returncode == 2
        assert "pip install 'convsearch[gp]'" in done.stderr
        assert not (tmp_path / "home" / "gp").exists()
    else:
        done = convsearch(*search)
        assert done.returncode == 0, done.stderr
        trials = record(tmp_path / "home", "gp").trials.values()
        assert [trial.state for trial in trials] == ["complete"] * 12
        assert len({trial.hash for trial in trials}) == 12


# ---------------------------------------------------------------------- rungs, and what another study found


@pytest.fixture(scope="module")
def killed(home: Path) -> tuple[str, dict[int, Trial]]:
    """Hyperband of KerasTuner, which begins with the best of `first` on images of another size.

    Its loop was killed while a trial went on from its rung. What was said until then, and the record.
    """
    warm = ("--warm-start", "first", "--image-size", "12x12")
    with begun("run", *RUNGS, *warm, "--trials", 9, "--study", "rungs", "--home", home) as process:

        def one_goes_on() -> bool:
            path = home / "rungs" / "trials.jsonl"
            lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            last = [Trial.model_validate_json(line) for line in lines[-2:] if line.endswith(b"\n")][-1:]
            return any(trial.state == "running" and trial.epochs for trial in last)

        wait_until(one_goes_on, "a trial went on from its rung")
        process.kill()
        _, told = process.communicate()
        wait_until(lambda: not workers_of(home), "the worker ended")
    return told, dict(record(home, "rungs").trials)


@pytest.fixture(scope="module")
def resumed(killed: tuple[str, dict[int, Trial]], home: Path) -> Record:
    done = convsearch("run", "--resume", "--study", "rungs", "--trials", 9, "--home", home)
    assert done.returncode == 0, done.stderr
    return record(home, "rungs")


def test_the_best_third_went_on_under_their_own_numbers(resumed: Record) -> None:
    trials = list(resumed.trials.values())
    assert sorted(trial.number for trial in trials) == list(range(9))
    assert sorted(trial.epochs for trial in trials) == [1] * 6 + [3] * 2 + [9]
    (top,) = (trial for trial in trials if trial.epochs == 9)
    assert top.state == "complete"
    assert {trial.state for trial in trials if trial is not top} == {"pruned"}
    after_one = sorted(trials, key=lambda trial: -trial.val_accuracy[0])
    assert {trial.number for trial in after_one[:3]} == {trial.number for trial in trials if trial.epochs > 1}


def test_a_killed_trial_went_on_from_its_rung_after_the_kill(
    killed: tuple[str, dict[int, Trial]], resumed: Record
) -> None:
    (open_one,) = (trial for trial in killed[1].values() if trial.state == "running")
    again = resumed.trials[open_one.number]
    assert again.epochs > open_one.epochs > 0
    assert again.val_accuracy[: open_one.epochs] == open_one.val_accuracy  # not trained a second time
    assert len({trial.hash for trial in resumed.trials.values()}) == 9


def test_of_a_search_that_is_over_no_state_is_left_but_of_those_that_could_go_on(resumed: Record, home: Path) -> None:
    weights = home / "rungs" / "weights"
    states = {int(path.name.partition(".")[0]) for path in weights.glob("*.state.npz")}
    waiting = {number for number, trial in resumed.trials.items() if trial.state == "pruned"}
    assert states <= waiting
    assert not list(weights.glob("*.partial"))


def test_a_warm_start_begins_with_the_best_of_another_study_on_another_input(
    killed: tuple[str, dict[int, Trial]], resumed: Record, finished: Finished, home: Path
) -> None:
    study, first = Home(home).study("rungs").read(), resumed.trials[0].candidate
    taken = len(study.warm_values)  # kept, so that it goes on when the other one is gone
    assert 1 <= taken <= 3  # on larger images some of the best may be too large for the space
    assert f"starts with the best of study first: {counted(taken, 'network')}, fitted" in killed[0]
    assert known_by(first) in [known_by(trial.candidate) for trial in finished.record.best(3)]
    assert str(first.architecture.input) == "12x12x1"
    bundled = json.loads((home / "rungs" / "bundle" / "architecture.json").read_text())
    assert bundled["architecture"]["input"] == [12, 12, 1]


@pytest.mark.parametrize("another_seed", [False, True])
def test_a_warm_start_says_if_the_other_study_knows_the_images_of_the_new_ones_test(
    another_seed: bool, finished: Finished, tmp_path: Path
) -> None:
    first = finished.copied(tmp_path / "home")
    other = first.folder.read()
    earlier = other.model_copy(update={"data": other.data.model_copy(update={"rows": None})})
    first.folder.write(earlier)  # as an earlier version left it
    options = {"data": other.data.source, "space": "tiny", "seed": other.seed + another_seed}
    study = prepared(Home(first.home), **options, warm_start=first.name)
    notes = [note for note in study.study.warm_notes if "the test may flatter it" in note]
    assert len(notes) == another_seed
    assert all(f"--seed {other.seed} divides the images as there" in note for note in notes)
    study.record.add(completed(Trial.begin(Proposal(0, {}, first.record.best(1)[0].candidate))))
    study.folder.path.rename(first.home / "second")

    def notes_on_first() -> list[str]:
        third = prepared(Home(first.home), **options, warm_start="second")
        shutil.rmtree(third.folder.path)
        return [note for note in third.study.warm_notes if "study first" in note]

    notes = notes_on_first()
    assert len(notes) == another_seed
    assert all(note.startswith("study first chose its best") and "by way of second" in note for note in notes)
    first.folder.write(earlier.model_copy(update={"id": "0" * 32}))
    assert not notes_on_first()  # another study, of a name that was free again
    first.folder.file.write_text("format: [")
    (note,) = notes_on_first()
    assert note.startswith("what study first, with whose best networks this one starts by way of second, knows of")
    assert str(first.folder.file) in note


def known_by(candidate: Candidate) -> tuple[list[int], float]:
    """What a candidate keeps when it is fitted to images of another size."""
    return [layer.filters for layer in candidate.architecture.layers], candidate.recipe.learning_rate


def test_a_warm_start_from_a_study_that_cannot_be_fitted_is_refused(
    finished: Finished, home: Path, tmp_path: Path
) -> None:
    space = tmp_path / "narrow.yaml"
    # One filter keeps the limit; the number that is nearest to what the others had does not.
    filters = min(trial.candidate.architecture.layers[0].filters for trial in finished.record.best(3))
    text = f"layers: 1\neach_layer: {{filters: [1, {filters}], kernel_size: 3}}\nlimits: {{max_parameters: 40}}\n"
    space.write_text(text)
    done = typed("run", "--space", space, "--warm-start", "first", "--study", "narrow", "--home", home)
    assert done.returncode == 2
    assert "--warm-start first: none of its best networks" in done.stderr
    assert "is within the limits of this space on 8x8x1" in done.stderr
    assert not (home / "narrow").exists()


# ---------------------------------------------------------------------- side by side


def test_compare_sets_studies_of_both_engines_side_by_side(resumed: Record, home: Path) -> None:
    table = typed("compare", "rungs", "first", "--home", home).stdout
    for part in ("keras-tuner hyperband", "optuna tpe", "best validation", "1 complete, 8 pruned", "best after 10 s"):
        assert part in table
    facts = json.loads(typed("compare", "rungs", "first", "--json", "--home", home).stdout)["studies"]
    assert [fact["study"] for fact in facts] == ["rungs", "first"]
    assert facts[0]["course"][-1][1] == max(trial.value or 0 for trial in resumed.trials.values())
    assert facts[0]["epochs"] == 6 + 2 * 3 + 9


def test_compare_names_a_study_that_is_not_there(finished: Finished) -> None:
    done = typed("compare", "first", "frist", "--home", finished.home)
    assert done.returncode == 2
    assert "no study 'frist'" in done.stderr


# ---------------------------------------------------------------------- a damaged storage


def test_a_damaged_storage_of_keras_tuner_is_refused_and_made_anew_where_it_was_moved_away(
    resumed: Record, home: Path, tmp_path: Path
) -> None:
    folder = Home(shutil.copytree(home, tmp_path / "home")).study("rungs")
    (folder.path / "keras_tuner" / "oracle.json").write_bytes(b"{ damaged " * 200)
    resume = ("run", "--resume", "--study", "rungs", "--home", folder.path.parent)
    before = (folder.path / "trials.jsonl").read_bytes()
    refused = typed(*resume)
    assert refused.returncode == 2
    assert "storage is damaged or of another version" in refused.stderr
    assert "move it away" in refused.stderr
    assert (folder.path / "trials.jsonl").read_bytes() == before
    (folder.path / "keras_tuner").rename(tmp_path / "away")
    done = typed(*resume)
    assert done.returncode == 0, done.stderr
    assert len(list((folder.path / "keras_tuner").glob("trial_*"))) == len(resumed.trials)
    assert (folder.path / "trials.jsonl").read_bytes() == before


def test_a_damaged_optuna_db_is_put_aside_and_made_anew_from_the_record(copied: Finished) -> None:
    file, damaged = copied.folder.path / "optuna.db", b"{ damaged " * 200
    file.write_bytes(damaged)
    done = typed("run", "--resume", "--study", "first", "--home", copied.home)
    assert done.returncode == 0, done.stderr
    assert "moved to optuna.db.damaged and rebuilt" in done.stderr
    assert file.with_name("optuna.db.damaged").read_bytes() == damaged
    stored = optuna.load_study(study_name=None, storage=f"sqlite:///{file}").get_trials()
    trials = copied.record.trials
    assert {trial.number: trial.user_attrs["hash"] for trial in stored} == {n: t.hash for n, t in trials.items()}
    assert len(trials) == 7
