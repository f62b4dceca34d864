"""Both engines, with the command: every preset to a bundle, rungs that go on after a kill, studies side by side."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import optuna
import pytest
import yaml
from mlflow.tracking import MlflowClient
from terminal import Terminal, begun, convsearch, wait_until, workers_of

from convsearch.search.engines.choice import ALGORITHMS
from convsearch.search.engines.optuna import STUDY
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.runs import Runs
from convsearch.search.study.trial import Trial
from convsearch.search.values.words import counted
from convsearch.spaces.definition import presets

RUNGS = ("--engine", "keras-tuner", "--space", "tiny", "--epochs", 9, "--seed", 3)


def record(home: Path, name: str) -> Record:
    return Home(home).study(name).record()


# ---------------------------------------------------------------------- every preset


@pytest.fixture(scope="module")
def all_presets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, str], CompletedProcess[str]]]:
    """Four trials of each engine in each preset, two commands at a time, in one home; the portfolio has three."""
    home = tmp_path_factory.mktemp("presets")
    convsearch("run", "--space", "tiny", "--trials", 1, "--epochs", 1, "--study", "warm", "--home", home)

    def run(pair: tuple[str, str]) -> CompletedProcess[str]:
        engine, space = pair
        options = ("--engine", engine, "--space", space, "--trials", 4, "--epochs", 1, "--repeats", 0)
        return convsearch("run", *options, "--study", f"{engine}-{space}", "--home", home)

    pairs = [(engine, space) for engine in ALGORITHMS for space in presets()]
    with ThreadPoolExecutor(2) as two:
        return home, dict(zip(pairs, two.map(run, pairs), strict=True))


@pytest.mark.parametrize("space", list(presets()))
@pytest.mark.parametrize("engine", list(ALGORITHMS))
def test_each_engine_runs_each_preset_to_a_bundle(
    all_presets: tuple[Path, dict[tuple[str, str], CompletedProcess[str]]], engine: str, space: str
) -> None:
    home, said = all_presets
    done = said[engine, space]
    assert done.returncode == 0, done.stderr
    bundle = home / f"{engine}-{space}" / "bundle"
    assert {"model.keras", "model.py", "predict.py", "MODEL_CARD.md"} <= {path.name for path in bundle.iterdir()}
    study = json.loads(convsearch("show", f"{engine}-{space}", "--json", "--home", home).stdout)
    counts = study["counts"]
    assert (study["engine"], counts["complete"] + counts["pruned"], counts["failed"]) == (engine, 4, 0)
    assert study["test"]["accuracy"] > 0


def test_gp_searches_where_pytorch_is_installed_and_says_what_to_install_where_it_is_not(tmp_path: Path) -> None:
    options = ("--algorithm", "gp", "--space", "tiny", "--trials", 12, "--epochs", 1, "--repeats", 0)
    done = convsearch("run", *options, "--study", "gp", "--home", tmp_path / "home")
    if find_spec("torch") is None:
        assert done.returncode == 2
        assert "pip install 'convsearch[gp]'" in done.stderr
        assert not (tmp_path / "home" / "gp").exists()
    else:
        assert done.returncode == 0, done.stderr
        trials = record(tmp_path / "home", "gp").trials.values()
        assert [trial.state for trial in trials] == ["complete"] * 12
        assert len({trial.hash for trial in trials}) == 12


# ---------------------------------------------------------------------- rungs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rungs")


@pytest.fixture(scope="module")
def killed(place: Path) -> dict[int, Trial]:
    """Hyperband of KerasTuner, whose loop is killed while a trial goes on from its rung."""
    home = place / "home"
    with begun("run", *RUNGS, "--trials", 9, "--study", "killed", "--home", "home", cwd=place) as process:

        def one_goes_on() -> bool:
            path = home / "killed" / "trials.jsonl"
            lines = (
                [Trial.model_validate_json(line) for line in path.open("rb") if line.endswith(b"\n")]
                if path.exists()
                else []
            )
            return bool(lines) and lines[-1].state == "running" and lines[-1].epochs == 3

        wait_until(one_goes_on, "a trial went on from the second rung")
        process.kill()
        process.wait()
        wait_until(lambda: not workers_of(home), "the worker ended")
    return dict(record(home, "killed").trials)


@pytest.fixture(scope="module")
def resumed(killed: dict[int, Trial], place: Path) -> Record:
    done = convsearch("run", "--resume", "--study", "killed", "--trials", 9, "--home", "home", cwd=place)
    assert done.returncode == 0, done.stderr
    return record(place / "home", "killed")


def test_the_best_third_went_on_under_their_own_numbers(resumed: Record) -> None:
    trials = list(resumed.trials.values())
    assert sorted(trial.number for trial in trials) == list(range(9))
    assert sorted(trial.epochs for trial in trials) == [1] * 6 + [3] * 2 + [9]
    (top,) = (trial for trial in trials if trial.epochs == 9)
    assert top.state == "complete"
    assert {trial.state for trial in trials if trial is not top} == {"pruned"}
    after_one = sorted(trials, key=lambda trial: -trial.val_accuracy[0])
    assert {trial.number for trial in after_one[:3]} == {trial.number for trial in trials if trial.epochs > 1}


def test_a_killed_trial_went_on_from_its_rung_after_the_kill(killed: dict[int, Trial], resumed: Record) -> None:
    (open_one,) = (trial for trial in killed.values() if trial.state == "running")
    assert open_one.epochs == 3
    again = resumed.trials[open_one.number]
    assert again.epochs == 9
    assert again.val_accuracy[:3] == open_one.val_accuracy  # not trained a second time
    assert len({trial.hash for trial in resumed.trials.values()}) == 9


def test_of_a_search_that_is_over_no_state_is_left_but_of_those_that_could_go_on(resumed: Record, place: Path) -> None:
    weights = place / "home" / "killed" / "weights"
    states = {int(path.name.partition(".")[0]) for path in weights.glob("*.state.npz")}
    waiting = {number for number, trial in resumed.trials.items() if trial.state == "pruned"}
    assert states <= waiting
    assert not list(weights.glob("*.partial"))


def test_a_grid_of_keras_tuner_whose_loop_was_killed_goes_on_to_each_candidate_once(tmp_path: Path) -> None:
    space = tmp_path / "grid.yaml"
    space.write_text("layers: 1\neach_layer: {filters: [4, 5, 6, 7], kernel_size: 3}\nrecipe: {batch_size: 64}\n")
    home = tmp_path / "home"
    grid = ("--engine", "keras-tuner", "--algorithm", "grid", "--space", space, "--epochs", 8, "--repeats", 0)
    with begun("run", *grid, "--study", "grid", "--home", home) as process:

        def second_runs() -> bool:
            trials = record(home, "grid").trials if (home / "grid" / "trials.jsonl").exists() else {}
            return 1 in trials and trials[1].state == "running"

        wait_until(second_runs, "a second trial ran")
        process.kill()
        process.wait()
        wait_until(lambda: not workers_of(home), "the worker ended")
    before = record(home, "grid").trials
    assert [trial.state for trial in before.values()] == ["complete", "running"]
    done = convsearch("run", "--resume", "--study", "grid", "--home", home)
    assert done.returncode == 0, done.stderr
    assert Home(home).study("grid").repeats().all == []  # as it was begun
    trials = record(home, "grid").trials
    assert trials[0] == before[0]
    assert [trials[number].values["layer1.filters"] for number in sorted(trials)] == [4, 5, 6, 7]
    assert {trial.state for trial in trials.values()} == {"complete"}
    assert trials[1].hash == before[1].hash


# ---------------------------------------------------------------------- side by side


def test_compare_sets_studies_of_both_engines_side_by_side(resumed: Record, place: Path) -> None:
    home = place / "home"
    done = convsearch("run", "--space", "tiny", "--trials", 1, "--epochs", 1, "--study", "plain", "--home", home)
    assert done.returncode == 0, done.stderr
    table = convsearch("compare", "killed", "plain", "--home", home).stdout
    for part in ("keras-tuner hyperband", "optuna tpe", "best validation", "1 complete, 8 pruned", "best after 10 s"):
        assert part in table
    facts = json.loads(convsearch("compare", "killed", "plain", "--json", "--home", home).stdout)["studies"]
    assert [fact["study"] for fact in facts] == ["killed", "plain"]
    assert facts[0]["course"][-1][1] == max(trial.value or 0 for trial in resumed.trials.values())
    assert facts[0]["epochs"] == 6 + 2 * 3 + 9


def test_compare_names_a_study_that_is_not_there(resumed: Record, place: Path) -> None:
    done = convsearch("compare", "killed", "plane", "--home", place / "home")
    assert done.returncode == 2
    assert "no study 'plane'" in done.stderr


# ---------------------------------------------------------------------- why it won


@pytest.mark.parametrize("engine", list(ALGORITHMS))
def test_what_mattered_is_shown_in_json_and_in_mlflow_for_each_engine(ten: Path, engine: str) -> None:
    shown = convsearch("show", engine, "--home", ten).stdout
    assert "what mattered (PED-ANOVA over 10 trials):" in shown
    found = json.loads(convsearch("show", engine, "--json", "--home", ten).stdout)["importances"]
    assert (found["method"], found["trials"]) == ("PED-ANOVA", 10)
    assert sum(found["dimensions"].values()) == pytest.approx(1)
    client = MlflowClient(f"sqlite:///{ten / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(engine)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (launch,) = [run for run in runs if run.data.tags["kind"] == "launch"]
    assert launch.data.metrics["importance_trials"] == 10
    most = max(found["dimensions"], key=found["dimensions"].get)
    assert launch.data.metrics[f"importance.{most}"] == pytest.approx(found["dimensions"][most])
    trials = record(ten, engine).trials
    by_number = {int(run.data.tags["number"]): run for run in runs if run.data.tags["kind"] == "trial"}
    known = Runs(ten / engine)
    assert {number: run.info.run_id for number, run in by_number.items()} == {n: known.of(n) for n in trials}
    assert all(by_number[n].data.metrics["best_val_accuracy"] == trial.value for n, trial in trials.items())


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten trials by each engine, two commands at a time."""
    home = tmp_path_factory.mktemp("ten")
    convsearch("run", "--space", "tiny", "--trials", 1, "--epochs", 1, "--study", "warm", "--home", home)

    def run(engine: str) -> None:
        algorithm = {"optuna": "random", "keras-tuner": "bayesian"}[engine]
        options = ("--algorithm", algorithm, "--space", "tiny", "--trials", 10, "--epochs", 1, "--repeats", 0)
        done = convsearch("run", "--engine", engine, *options, "--study", engine, "--home", home)
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor(2) as two:
        list(two.map(run, ALGORITHMS))
    return home


# ---------------------------------------------------------------------- Ctrl-C and KerasTuner


def test_after_ctrl_c_keras_tuner_goes_on_and_its_interrupted_trial_begins_again(tmp_path: Path) -> None:
    options = ("--engine", "keras-tuner", "--algorithm", "random", "--space", "tiny", "--epochs", 300, "--repeats", 0)
    home = tmp_path / "home"
    terminal = Terminal(tmp_path, "run", *options, "--trials", 1, "--study", "mine", "--home", home)
    try:
        wait_until(lambda: re.search(r"epoch \d+ of 300, validation", terminal.seen()), "an epoch was seen")
        terminal.press(b"\x03")
        terminal.end()
    finally:
        terminal.close()
    (cut,) = record(home, "mine").trials.values()
    assert cut.state == "interrupted"
    assert cut.epochs > 0
    study = yaml.safe_load((home / "mine" / "study.yaml").read_text())
    (home / "mine" / "study.yaml").write_text(yaml.safe_dump(study | {"epochs": 2}))  # soon done
    done = convsearch("run", "--resume", "--study", "mine", "--trials", 1, "--repeats", 0, "--home", home)
    assert done.returncode == 0, done.stderr
    (trial,) = record(home, "mine").trials.values()
    assert (trial.state, trial.epochs, len(trial.val_accuracy)) == ("complete", 2, 2)


# ---------------------------------------------------------------------- what another study found; a lost storage


@pytest.mark.parametrize("engine", list(ALGORITHMS))
def test_a_warm_start_begins_with_the_best_of_another_study_on_another_input(
    resumed: Record, place: Path, engine: str
) -> None:
    home, best, name = place / "home", resumed.best()[0], f"warmed-{engine}"
    options = ("--space", "tiny", "--image-size", "12x12", "--epochs", 1, "--trials", 1, "--repeats", 0)
    done = convsearch("run", "--engine", engine, *options, "--warm-start", "killed", "--study", name, "--home", home)
    assert done.returncode == 0, done.stderr
    assert f"begins with the best of study killed: {counted(len(resumed.best(3)), 'network')}, fitted" in done.stderr
    study, trials = Home(home).study(name).read(), record(home, name).trials
    assert len(study.warm_values) == len(resumed.best(3))  # kept, so that it goes on when the other one is gone
    first = trials[0].candidate
    assert [layer.filters for layer in first.architecture.layers] == [
        layer.filters for layer in best.candidate.architecture.layers
    ]
    assert first.recipe.learning_rate == best.candidate.recipe.learning_rate
    assert str(first.architecture.input) == "12x12x1"


def test_a_warm_start_from_a_study_that_cannot_be_fitted_is_refused(
    resumed: Record, place: Path, tmp_path: Path
) -> None:
    space = tmp_path / "narrow.yaml"
    # One filter keeps the limit; the number that is nearest to what the others had does not.
    filters = min(trial.candidate.architecture.layers[0].filters for trial in resumed.best(3))
    text = f"layers: 1\neach_layer: {{filters: [1, {filters}], kernel_size: 3}}\nlimits: {{max_parameters: 40}}\n"
    space.write_text(text)
    options = ("--space", space, "--warm-start", "killed", "--study", "narrow", "--home", place / "home")
    done = convsearch("run", *options)
    assert done.returncode == 2
    assert "--warm-start killed: none of its best networks" in done.stderr
    assert "keeps the limits of this space on 8x8x1" in done.stderr
    assert not (place / "home" / "narrow").exists()


def five_different(home: Path, name: str) -> bool:
    trials = record(home, name).trials
    return sorted(trials) == [0, 1, 2, 3, 4] and len({trial.hash for trial in trials.values()}) == 5


def test_a_damaged_storage_of_keras_tuner_is_refused_and_made_anew_where_it_was_moved_away(
    all_presets: tuple[Path, dict[tuple[str, str], CompletedProcess[str]]], tmp_path: Path
) -> None:
    home, name = tmp_path / "home", "keras-tuner-tiny"
    shutil.copytree(all_presets[0], home)
    (home / name / "keras_tuner" / "oracle.json").write_bytes(b"{ damaged " * 200)
    resume = ("run", "--resume", "--study", name, "--trials", 5, "--repeats", 0, "--home", home)
    before = (home / name / "trials.jsonl").read_bytes()
    refused = convsearch(*resume)
    assert refused.returncode == 2
    assert "storage is damaged or of another version" in refused.stderr
    assert "move it away" in refused.stderr
    assert (home / name / "trials.jsonl").read_bytes() == before
    (home / name / "keras_tuner").rename(tmp_path / "away")
    done = convsearch(*resume)
    assert done.returncode == 0, done.stderr
    assert five_different(home, name)


def test_a_damaged_optuna_db_is_put_aside_and_made_anew_from_the_record(
    all_presets: tuple[Path, dict[tuple[str, str], CompletedProcess[str]]], tmp_path: Path
) -> None:
    home, name = tmp_path / "home", "optuna-tiny"
    shutil.copytree(all_presets[0], home)
    damaged = b"{ damaged " * 200
    (home / name / "optuna.db").write_bytes(damaged)
    done = convsearch("run", "--resume", "--study", name, "--trials", 5, "--repeats", 0, "--home", home)
    assert done.returncode == 0, done.stderr
    assert "put aside as optuna.db.damaged, and made anew" in done.stderr
    assert (home / name / "optuna.db.damaged").read_bytes() == damaged
    assert five_different(home, name)
    stored = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{home / name / 'optuna.db'}").get_trials()
    trials = record(home, name).trials
    assert {trial.number: trial.user_attrs["hash"] for trial in stored} == {n: t.hash for n, t in trials.items()}
