"""From one command to a network that ships: what the search of the digits left, and every verb that reads it."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from terminal import PATIENCE, Finished, convsearch, environment, typed

from convsearch.search.data import Dataset, Split
from convsearch.search.loop.time_used import time_used
from convsearch.search.study.repeats import DEFAULT_REPEATS
from convsearch.search.study.result import Result
from convsearch.search.system.backend import import_keras
from convsearch.search.values.proposal import State
from convsearch.spaces.architecture import Architecture, Candidate

STATES: tuple[State, ...] = ("complete", "pruned", "failed", "interrupted", "running")
BUNDLE = [
    "MODEL_CARD.md",
    "architecture.json",
    "labels.txt",
    "model.keras",
    "model.py",
    "predict.py",
    "preprocessing.json",
]


@pytest.fixture(scope="module")
def shown(finished: Finished) -> dict[str, Any]:
    """The document of `show --json`, asked for from another folder than the search was begun in."""
    done = typed("show", finished.name, "--json", "--home", finished.home, cwd=Path("/"))
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def result(finished: Finished) -> Result:
    found = finished.folder.result()
    assert found is not None
    return found


# ---------------------------------------------------------------------- what `run` says


def test_run_says_the_table_of_the_best_the_test_with_its_interval_and_what_to_type_next(
    finished: Finished, result: Result
) -> None:
    said = finished.said.stdout
    assert "the best trials" in said
    for trial in finished.record.best(10):
        assert str(trial.candidate.architecture) in said
    low, high = result.test.interval_95
    assert f"test accuracy {result.test.accuracy:.1%}, 95 % interval {low:.1%} to {high:.1%} (359 images)" in said
    following = said.partition("next:")[2].split("\n  ")[1:]
    verbs = ["convsearch predict", "convsearch show", "convsearch explain", "convsearch export", "convsearch dashboard"]
    assert [line.partition(" home")[0].partition(" first")[0].partition(" --")[0] for line in following[:5]] == verbs
    assert following[5].startswith("mlflow ui --backend-store-uri sqlite:///")
    assert following[6].startswith("optuna-dashboard sqlite:///")


def test_progress_goes_to_standard_error_a_plain_line_for_each_trial(finished: Finished) -> None:
    lines = [line for line in finished.said.stderr.splitlines() if re.match(r"trial \d+:", line)]
    assert len(lines) == 7
    for line, trial in zip(lines, finished.record.trials.values(), strict=True):
        assert line.startswith(f"trial {trial.number}: {trial.state}, validation {trial.value:.1%}")
        assert str(trial.candidate.architecture) in line
    assert "\x1b" not in finished.said.stderr
    assert not re.search(r"^trial \d+:", finished.said.stdout, re.MULTILINE)


def test_the_data_and_the_space_are_announced_before_the_first_trial(finished: Finished) -> None:
    announced = finished.said.stderr.partition("trial 0:")[0]
    assert "digits: 8x8x1, 10 classes ('0', '1', '2', '3', '4' and 5 more) with from 174 ('8') to 183" in announced
    assert "1,150 train, 288 validation, 359 test" in announced
    assert "space tiny" in announced
    assert "optuna tpe, pruner hyperband, up to 2 epochs a trial; 7 trials" in announced


def test_logs_of_tensorflow_and_others_do_not_drown_ours(finished: Finished) -> None:
    for noise in ("oneDNN", "cuda", "TF-TRT", "WARNING", "Warning", "INFO", "alembic", "I0000", "Registered model"):
        assert noise not in finished.said.stderr
        assert noise not in finished.said.stdout


def test_no_traceback_is_shown(finished: Finished) -> None:
    assert "Traceback" not in finished.said.stderr + finished.said.stdout


def test_nothing_half_made_is_left(finished: Finished) -> None:
    assert [path for path in finished.home.rglob("*") if "partial" in path.name or path.name.startswith(".")] == []
    assert finished.record.counts()["running"] == 0


def test_nothing_of_what_keras_says_while_it_works_is_shown(finished: Finished) -> None:
    assert "/step" not in finished.said.stdout + finished.said.stderr


def test_only_the_weights_of_the_best_few_trials_are_kept(finished: Finished) -> None:
    kept = {int(path.name.partition(".")[0]) for path in (finished.folder.path / "weights").iterdir()}
    assert kept == {trial.number for trial in finished.record.best(5)}


# ---------------------------------------------------------------------- show --json


def test_show_json_has_the_keys_of_the_contract(shown: dict[str, Any]) -> None:
    assert list(shown) == [
        "study",
        "engine",
        "algorithm",
        "objective",
        "direction",
        "objectives",
        "data",
        "seconds",
        "counts",
        "trials",
        "best",
        "front",
        "winner",
        "repeats",
        "lead",
        "importances",
        "test",
        "bundle",
    ]
    assert list(shown["data"]) == ["name", "fingerprint", "input", "input_sizes", "classes", "train", "val", "test"]
    trial_keys = {
        "number",
        "state",
        "value",
        "epochs",
        "seconds",
        "started_at",
        "candidate",
        "hash",
        "parameters",
        "macs",
        "worker",
        "error",
        "mlflow_run_id",
    }
    for trial in shown["trials"]:
        assert trial_keys <= trial.keys()


def test_show_json_says_what_was_searched(shown: dict[str, Any]) -> None:
    assert (shown["study"], shown["engine"], shown["algorithm"]) == ("first", "optuna", "tpe")
    assert (shown["objective"], shown["direction"]) == ("val_accuracy", "maximize")
    data = shown["data"]
    assert (data["name"], data["input"], data["classes"]) == ("digits", [8, 8, 1], 10)
    assert (data["train"], data["val"], data["test"]) == (1150, 288, 359)
    assert re.fullmatch(r"[0-9a-f]{64}", data["fingerprint"])


def test_counts_and_times_of_show_json_agree_with_its_trials(shown: dict[str, Any]) -> None:
    trials = shown["trials"]
    assert [trial["number"] for trial in trials] == list(range(7))
    states = [trial["state"] for trial in trials]
    assert shown["counts"] == {state: states.count(state) for state in STATES}
    assert shown["counts"]["complete"] > 0
    assert shown["counts"]["pruned"] > 0  # two epochs are enough for a rung
    assert shown["seconds"] == pytest.approx(sum(trial["seconds"] for trial in trials))
    for trial in trials:
        assert trial["seconds"] > 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", trial["started_at"])
        assert trial["worker"] == "worker-0"


def test_the_best_of_show_json_is_the_complete_trial_of_the_highest_value(shown: dict[str, Any]) -> None:
    complete = [trial for trial in shown["trials"] if trial["state"] == "complete"]
    best = max(complete, key=lambda trial: trial["value"])
    assert shown["best"] == {"number": best["number"], "value": best["value"]}


def test_the_best_were_trained_again_and_the_best_on_average_is_named_with_its_mean_spread_and_lead(
    shown: dict[str, Any], finished: Finished
) -> None:
    again = shown["repeats"]
    assert len(again) == 3
    trials = {trial["number"]: trial for trial in shown["trials"]}
    for one in again:
        own, other = one["values"]
        assert own == trials[one["number"]]["value"]
        assert one["mean"] == pytest.approx((own + other) / 2)
    means = [one["mean"] for one in again]
    assert means == sorted(means, reverse=True)
    winner, lead = shown["winner"], shown["lead"]
    assert (winner["number"], winner["mean"], winner["spread"]) == (
        again[0]["number"],
        again[0]["mean"],
        again[0]["spread"],
    )
    once = [trial["value"] for trial in shown["trials"] if trial["state"] == "complete"]
    once = sorted(once, reverse=True)[3:]  # the best three were trained again
    assert lead["first"] == again[0]["number"]
    assert lead["difference"] == pytest.approx(means[0] - max([means[1], *once]))
    assert lead["difference"] >= 0
    table = typed("show", finished.name, "--home", finished.home).stdout
    verdict = "which is within the noise" if lead["within_noise"] else "more than the noise"
    assert f"trials {lead['first']} and {lead['second']} differ by {lead['difference']:.1%}, {verdict}" in table
    told = f"mean of 2 seeds {winner['mean']:.1%}, standard deviation {winner['spread']:.1%}"
    assert told in table
    assert told in (finished.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_test_and_the_bundle_of_show_json_are_those_of_the_winner(
    shown: dict[str, Any], finished: Finished, result: Result
) -> None:
    assert shown["test"]["accuracy"] == result.test.accuracy
    low, high = shown["test"]["interval_95"]
    assert low < shown["test"]["accuracy"] < high
    assert Path(shown["bundle"]).samefile(finished.bundle)


def test_a_candidate_of_show_json_loads_as_it_was_and_its_figures_are_its_own(shown: dict[str, Any]) -> None:
    for trial in shown["trials"]:
        candidate = Candidate.model_validate(trial["candidate"])
        assert candidate.hash == trial["hash"]
        assert candidate.architecture.parameters == trial["parameters"] <= 20_000  # the limit of the space
        assert candidate.architecture.macs == trial["macs"]
    assert len({trial["hash"] for trial in shown["trials"]}) == 7


# ---------------------------------------------------------------------- studies, show, explain, check


def test_studies_lists_the_study_with_its_winner_and_its_test(finished: Finished, shown: dict[str, Any]) -> None:
    (winner,) = [trial for trial in shown["trials"] if trial["number"] == shown["winner"]["number"]]
    done = typed("studies", "--home", finished.home)
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if "first" in line]
    for word in ("digits", "optuna tpe", " 7 ", f"{winner['value']:.1%}", f"{shown['test']['accuracy']:.1%}"):
        assert word in line


def test_studies_of_an_empty_home_says_how_to_make_one_and_makes_nothing(tmp_path: Path) -> None:
    done = typed("studies", "--home", tmp_path / "nothing here")
    assert done.returncode == 0
    assert f"`convsearch run --home '{tmp_path}/nothing here'` creates one" in done.stdout
    assert not (tmp_path / "nothing here").exists()


def test_show_prints_the_same_table_as_run(finished: Finished, result: Result) -> None:
    done = typed("show", finished.name, "--home", finished.home)
    assert (done.returncode, done.stderr) == (0, "")
    table = finished.said.stdout.partition("the best trials")[2].partition("winner:")[0]
    assert table
    assert table in done.stdout
    assert f"winner: trial {result.best}" in done.stdout


def test_explain_of_a_study_shows_its_winner_with_the_arithmetic_filled_in(finished: Finished, result: Result) -> None:
    done = typed("explain", finished.name, "--home", finished.home)
    assert done.returncode == 0
    winner = finished.record.trials[result.best].candidate.architecture
    assert str(winner) in done.stdout
    first = winner.layers[0]
    zeros = first.kernel_size - 1
    assert f"(8 - {first.kernel_size} + {zeros}) / {first.stride} + 1 = " in done.stdout
    assert f"{winner.parameters:,}" in done.stdout
    assert f"{winner.macs:,}" in done.stdout


def test_explain_shows_any_trial_by_its_number(finished: Finished) -> None:
    done = typed("explain", "first:0", "--home", finished.home)
    assert done.returncode == 0
    assert str(finished.record.trials[0].candidate.architecture) in done.stdout


def test_explain_of_the_bundles_file_in_json_has_every_step_and_its_figures(finished: Finished, result: Result) -> None:
    done = typed("explain", finished.bundle / "architecture.json", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    winner = finished.record.trials[result.best].candidate.architecture
    assert found["architecture"] == str(winner)
    assert (found["parameters"], found["macs"]) == (winner.parameters, winner.macs)
    assert [step["name"] for step in found["steps"]] == [step.name for step in winner.steps]
    assert sum(step["parameters"] for step in found["steps"]) == winner.parameters
    assert found["steps"][0]["before"] == [8, 8, 1]
    assert found["steps"][-1]["after"] == [1, 1, 10]


def test_explain_reads_an_architecture_without_a_recipe_too(finished: Finished, tmp_path: Path) -> None:
    architecture = json.loads((finished.bundle / "architecture.json").read_text())["architecture"]
    (tmp_path / "mine.json").write_text(json.dumps(architecture))
    done = typed("explain", tmp_path / "mine.json")
    assert done.returncode == 0
    assert str(Architecture.model_validate(architecture)) in done.stdout


@pytest.mark.parametrize("space", ["all_convolutional", "classic", "network_in_network", "textbook", "tiny"])
def test_check_of_each_preset_says_how_large_it_is_and_what_its_candidates_cost(space: str) -> None:
    done = typed("check", space, "--input", "32x32x3", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert not [key for key in found if key.startswith("_")]
    assert found["input"] == [32, 32, 3]
    assert found["architectures"] > 100
    assert found["architectures_are"] == "at most"  # each preset has limits
    assert len(found["examples"]) == 3
    for name in ("parameters", "macs", "activation_mb"):
        spread = [found["spread"][name][key] for key in ("least", "5 %", "median", "95 %", "most")]
        assert spread == sorted(spread)
        assert spread[0] > 0


def test_check_draws_three_examples_and_says_the_size_for_people() -> None:
    done = typed("check", "tiny", "--input", "8x8x1", "--set", "layers=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid: it can be built on 8x8x1" in done.stdout
    assert re.search(r"\d+ dimensions; at most [\d,]+ architectures \(before the limits\)", done.stdout)
    assert "continuous, counted as one value: learning_rate" in done.stdout
    examples = json.loads(typed("check", "tiny", "--input", "8x8x1", "--set", "layers=2", "--json").stdout)
    for example in examples["examples"]:
        assert example in done.stdout


def test_check_says_what_can_be_trained_in_the_memory_of_a_worker() -> None:
    volume = ("--input", "128x128x3", "--set", "batch_size=64")
    ample = json.loads(typed("check", "classic", *volume, "--memory", "1TB", "--json").stdout)["memory"]
    assert ample == {"gb": 1000.0, "as_they_are": 1.0, "in_smaller_batches": 0.0}
    scarce = json.loads(typed("check", "classic", *volume, "--memory", "1GB", "--json").stdout)["memory"]
    assert scarce["as_they_are"] < 1
    assert scarce["in_smaller_batches"] > 0
    said = typed("check", "classic", *volume, "--memory", "1GB").stdout
    assert f"{scarce['as_they_are']:.0%} of those can be trained in the 1 GB of a worker, and " in said


@pytest.mark.parametrize(
    "words",
    [("show", "first"), ("studies",), ("compare", "first", "--json"), ("explain", "first:0"), ("check", "tiny")],
    ids=lambda words: words[0],
)
def test_a_shell_gets_the_same_as_the_tests_that_type_in_their_own_process(
    finished: Finished, words: tuple[str, ...]
) -> None:
    options = ("--input", "8x8x1") if words[0] == "check" else ("--home", finished.home)
    done, here = convsearch(*words, *options), typed(*words, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert (here.returncode, here.stdout, here.stderr) == (0, done.stdout, "")


def test_the_help_names_every_verb() -> None:
    done = typed("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for verb in [
        "run",
        "studies",
        "show",
        "compare",
        "check",
        "explain",
        "export",
        "predict",
        "dashboard",
        "clean",
        "doctor",
    ]:
        assert re.search(rf"\b{verb}\b", done.stdout)


# ---------------------------------------------------------------------- the bundle


def test_the_bundle_is_complete_and_holds_nothing_else(finished: Finished) -> None:
    assert sorted(path.name for path in finished.bundle.iterdir()) == BUNDLE


def test_the_bundle_holds_no_pickle(finished: Finished) -> None:
    with zipfile.ZipFile(finished.bundle / "model.keras") as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        config = archive.read("config.json").decode()
    # Stock layers only: nothing that would have to be unpickled or registered.
    assert "Lambda" not in config
    modules = set(re.findall(r'"module": "([^"]+)"', config))
    assert all(module.split(".")[0] == "keras" for module in modules)
    assert '"registered_name": null' in config
    assert not re.search(r'"registered_name": "(?!Functional|DTypePolicy)', config)


def test_labels_and_architecture_of_the_bundle_are_those_of_the_winner(finished: Finished, result: Result) -> None:
    assert (finished.bundle / "labels.txt").read_text() == "".join(f"{label}\n" for label in range(10))
    loaded = Candidate.model_validate_json((finished.bundle / "architecture.json").read_text())
    assert loaded == finished.record.trials[result.best].candidate


def test_the_model_reaches_on_the_test_images_what_the_result_says(
    finished: Finished, result: Result, digits: Dataset, parts: Split
) -> None:
    keras = import_keras()
    kept = Split.load(finished.folder.split)
    assert not set(kept.test) & (set(kept.train) | set(kept.val))
    model = keras.saving.load_model(finished.bundle / "model.keras", safe_mode=True)
    guesses = model.predict(digits.images()[kept.test], verbose=0).argmax(axis=1)
    assert (guesses == digits.labels()[kept.test]).mean() == pytest.approx(result.test.accuracy)
    confusion = np.array(result.test.confusion)
    assert confusion.sum() == result.test.count == len(kept.test)
    assert confusion.sum(axis=1).tolist() == np.bincount(digits.labels()[kept.test]).tolist()


def test_the_model_card_tells_the_numbers_of_the_result(finished: Finished, result: Result) -> None:
    card = (finished.bundle / "MODEL_CARD.md").read_text()
    test = result.test
    low, high = test.interval_95
    assert f"**Test accuracy {test.accuracy:.1%}**, 95 % interval {low:.1%} to {high:.1%} (359 images)" in card
    assert f"Validation accuracy {result.val_accuracy:.1%}" in card
    assert result.with_validation == ("on the validation images too: only the test shows" in card)
    for label, row in enumerate(test.confusion):
        assert f"| **{label}** | " + " | ".join(str(n) if n else "" for n in row) + " |" in card
        precision = row[label] / max(1, sum(other[label] for other in test.confusion))
        assert f"| {label} | {precision:.1%} | {row[label] / sum(row):.1%} | {sum(row)} |" in card
    trial = finished.record.trials[result.best]
    assert f"{trial.parameters:,} parameters" in card
    assert f"{trial.macs:,} multiply-accumulates" in card
    assert "1,150 for training, 288 for validation, 359 for the test; seed 3" in card
    for name, version in finished.folder.read().versions.items():
        assert f"- {name} {version}" in card
    assert "loaded in a fresh process without Convsearch" in card


def test_model_py_stands_alone_and_builds_the_same_network(finished: Finished, digits: Dataset) -> None:
    keras = import_keras()
    text = (finished.bundle / "model.py").read_text()
    imported = {name.partition(".")[0] for name in re.findall(r"^(?:import|from) (\S+)", text, re.MULTILINE)}
    assert imported - sys.stdlib_module_names == {"keras"}
    namespace: dict[str, Any] = {"__name__": "model"}
    exec(compile(text, "model.py", "exec"), namespace)
    built = namespace["build_model"]()
    saved = keras.saving.load_model(finished.bundle / "model.keras", safe_mode=True)
    assert [type(layer).__name__ for layer in built.layers] == [type(layer).__name__ for layer in saved.layers]
    assert [layer.get_config() for layer in built.layers] == [layer.get_config() for layer in saved.layers]
    built.set_weights(saved.get_weights())
    images = np.array(digits.images()[:32])
    assert np.array_equal(built.predict(images, verbose=0), saved.predict(images, verbose=0))


# ---------------------------------------------------------------------- predict, here and elsewhere


@pytest.fixture(scope="module")
def images(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five digits, one of them larger and in colour."""
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for row in range(5):
        image = Image.fromarray(digits.images()[row, :, :, 0])
        if row == 4:
            image = image.convert("RGB").resize((40, 40), Image.Resampling.LANCZOS)
        paths.append(folder / f"digit {row}.png")
        image.save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def predicted(finished: Finished, images: list[Path]) -> list[dict[str, Any]]:
    done = convsearch("predict", finished.bundle, *images, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_predict_json_names_label_and_confidence_of_each_image_as_the_model_has_them(
    finished: Finished, predicted: list[dict[str, Any]], images: list[Path], digits: Dataset
) -> None:
    assert [row["image"] for row in predicted] == [str(path) for path in images]
    model = import_keras().saving.load_model(finished.bundle / "model.keras", safe_mode=True)
    shares = model.predict(np.array(digits.images()[:4]), verbose=0)
    for row, expected in zip(predicted[:4], shares, strict=True):
        assert row["label"] == str(expected.argmax())
        assert row["confidence"] == pytest.approx(float(expected.max()), abs=1e-5)


def test_predict_prints_a_table_for_people(
    finished: Finished, predicted: list[dict[str, Any]], images: list[Path]
) -> None:
    done = typed("predict", finished.bundle, *images[:2])
    assert (done.returncode, done.stderr) == (0, "")
    for row in predicted[:2]:
        (line,) = [line for line in done.stdout.splitlines() if Path(row["image"]).name in line]
        assert row["label"] in line
        assert f"{row['confidence']:.1%}" in line


WITHOUT_US = """
import runpy, sys
sys.modules["convsearch"] = None  # importing it is an error now
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_bundle_moved_elsewhere_answers_the_same_where_convsearch_cannot_be_imported(
    finished: Finished, predicted: list[dict[str, Any]], images: list[Path], tmp_path: Path
) -> None:
    moved = tmp_path / "shipped"
    shutil.copytree(finished.bundle, moved)
    command = [sys.executable, "-I", "-c", WITHOUT_US, str(moved / "predict.py"), *map(str, images)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows == [[row["image"], row["label"], f"{row['confidence']:.1%}"] for row in predicted]


# ---------------------------------------------------------------------- export


def test_export_writes_the_winners_bundle_to_a_new_folder(finished: Finished, tmp_path: Path) -> None:
    done = convsearch("export", finished.name, "--to", tmp_path / "a" / "winner", "--home", finished.home)
    assert done.returncode == 0, done.stderr
    assert "checked in a fresh process, largest difference" in done.stdout
    for name in BUNDLE:
        assert (tmp_path / "a" / "winner" / name).read_bytes() == (finished.bundle / name).read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["winner"]


def test_export_writes_any_trial_whose_weights_are_kept_and_says_that_it_was_not_tested(
    finished: Finished, result: Result, tmp_path: Path, digits: Dataset
) -> None:
    trial = finished.record.best(5)[1]
    done = typed("export", f"first:{trial.number}", "--to", tmp_path / "second", "--home", finished.home)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == BUNDLE
    loaded = Candidate.model_validate_json((tmp_path / "second" / "architecture.json").read_text())
    assert loaded == trial.candidate
    card = (tmp_path / "second" / "MODEL_CARD.md").read_text()
    assert "Test accuracy" not in card
    assert "The test split was not read for this model" in card
    kept = Split.load(finished.folder.split)
    model = import_keras().saving.load_model(tmp_path / "second" / "model.keras", safe_mode=True)
    guesses = model.predict(digits.images()[kept.val], verbose=0).argmax(axis=1)
    assert (guesses == digits.labels()[kept.val]).mean() == pytest.approx(trial.value)


def test_export_of_a_trial_whose_weights_are_not_kept_names_those_that_are(finished: Finished, tmp_path: Path) -> None:
    kept = sorted(trial.number for trial in finished.record.best(5))
    lost = next(number for number in range(7) if number not in kept)
    done = typed("export", f"first:{lost}", "--to", tmp_path / "lost", "--home", finished.home)
    assert done.returncode == 2
    assert f"its weights are not kept, only those of {', '.join(map(str, kept))}" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_does_not_write_into_a_folder_that_holds_something(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    done = typed("export", finished.name, "--to", tmp_path / "mine", "--home", finished.home)
    assert done.returncode == 2
    assert "already exists; choose a new folder" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_finished_study_that_goes_on_with_nothing_to_do_is_not_tested_again(copied: Finished) -> None:
    folder = copied.folder
    before = (folder.result_file.read_bytes(), (folder.bundle / "model.keras").stat().st_mtime_ns)
    done = typed("run", "--resume", "--study", copied.name, "--home", copied.home)
    assert done.returncode == 0, done.stderr
    assert "nothing left to do: the study is finished" in done.stderr
    assert before == (folder.result_file.read_bytes(), (folder.bundle / "model.keras").stat().st_mtime_ns)
    assert len(copied.record.trials) == 7


def test_repeats_that_a_finished_study_is_given_are_had_before_its_winner_is_named_anew(copied: Finished) -> None:
    folder, complete = copied.folder, len(copied.record.in_state("complete"))
    before = {repeat.number for repeat in folder.repeats().all}
    assert len(before) == DEFAULT_REPEATS < complete
    resume = ("run", "--resume", "--study", copied.name, "--home", copied.home)
    settings, used = folder.read(), time_used(folder.path)
    folder.write(settings.model_copy(update={"minutes": used / 60, "trials": None}))  # all of them are spent
    done = typed(*resume, "--repeats", complete)
    assert (done.returncode, folder.read().repeats) == (0, complete)
    assert f"nothing left to do: --repeats {complete} need more --minutes" in done.stderr
    folder.write(settings)
    done = convsearch(*resume, "--repeats", complete)
    assert done.returncode == 0, done.stderr
    repeats = [repeat.number for repeat in folder.repeats().all]
    assert sorted(repeats) == sorted(trial.number for trial in copied.record.best(complete))
    result = folder.result()
    assert result is not None
    assert (result.repeats, result.trials, result.tests) == (complete, 7, 2)
    done = typed(*resume)
    assert "nothing left to do: the study is finished" in done.stderr


def test_trials_that_came_after_the_result_and_before_a_kill_are_considered(copied: Finished) -> None:
    folder = copied.folder
    result = json.loads(folder.result_file.read_text())
    folder.result_file.write_text(json.dumps(result | {"trials": 5}))  # the last two were not there yet
    before = time_used(folder.path)
    done = convsearch("run", "--resume", "--study", copied.name, "--home", copied.home)
    assert done.returncode == 0, done.stderr
    again = json.loads(folder.result_file.read_text())
    assert (again["trials"], again["tests"]) == (7, 2)
    assert time_used(folder.path) > before
    card = (folder.bundle / "MODEL_CARD.md").read_text()
    assert "read 2 times, because the study continued after a winner had been tested" in card
    assert "read 2 times, because the study continued" in done.stdout


def test_entries_of_the_portfolio_that_the_space_does_not_allow_are_named(finished: Finished) -> None:
    skipped = r"note: the portfolio's 'paired' is skipped: it has 5 layers, the space allows \d to \d"
    assert re.search(skipped, finished.said.stderr)
