"""Several objectives with the command: the front, the knee, a limit."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from terminal import convsearch, typed

from convsearch.search.study.home import Home

QUICK = ("--space", "tiny", "--epochs", 2, "--repeats", 0, "--seed", 1)
TWO = ("--objective", "val_accuracy", "--objective", "parameters")
MEASURED = ("--objective", "val_accuracy", "--objective", "latency_ms", "--objective", "size_kb")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of accuracy and parameters, `pair`."""
    found = tmp_path_factory.mktemp("objectives") / "home"
    done = convsearch("run", *QUICK, *TWO, "--algorithm", "nsga2", "--trials", 5, "--study", "pair", "--home", found)
    assert done.returncode == 0, done.stderr
    assert "objectives val_accuracy, parameters; the winner is the knee of the front" in done.stderr
    return found


def shown(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed("show", name, "--json", "--home", home).stdout)
    return found


def test_the_front_is_kept_shown_and_logged(home: Path) -> None:
    study = shown(home, "pair")
    assert [one["name"] for one in study["objectives"]] == ["val_accuracy", "parameters"]
    assert [one["direction"] for one in study["objectives"]] == ["maximize", "minimize"]
    values = {t["number"]: (t["value"], t["parameters"]) for t in study["trials"] if t["state"] == "complete"}
    front = study["front"]
    assert front
    for one in front:
        assert values[one["number"]] == (one["val_accuracy"], one["parameters"])
        others = [pair for number, pair in values.items() if number != one["number"]]
        assert not any(v >= one["val_accuracy"] and p < one["parameters"] for v, p in others)
    assert study["winner"]["number"] in {one["number"] for one in front}
    table = typed("show", "pair", "--home", home).stdout
    assert "the front" in table
    assert "the knee of the front" in table
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pair")
    assert experiment is not None
    (launch,) = client.search_runs([experiment.experiment_id], "tags.kind = 'launch'")
    assert launch.data.params["objectives"] == "val_accuracy, parameters"
    logged = Path(client.download_artifacts(launch.info.run_id, "front.json"))
    assert json.loads(logged.read_text(encoding="utf-8")) == front


def test_the_card_of_the_winner_says_what_was_weighed(home: Path) -> None:
    card = (home / "pair" / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Objectives: val_accuracy, parameters. Chosen: the knee of the front" in card


def test_any_trial_of_the_front_can_be_exported_by_a_limit(home: Path, tmp_path: Path) -> None:
    front = shown(home, "pair")["front"]
    small = min(front, key=lambda one: one["parameters"])
    limit = f"parameters={small['parameters']}"
    done = typed("export", "pair", "--under", limit, "--to", tmp_path / "small", "--home", home)
    assert done.returncode == 0, done.stderr
    architecture = json.loads((tmp_path / "small" / "architecture.json").read_text(encoding="utf-8"))
    best = Home(home).study("pair").record().trials[small["number"]]
    assert architecture["architecture"] == best.candidate.architecture.model_dump(mode="json")


@pytest.mark.parametrize(
    ("what", "limit", "said"),
    [
        ("pair", "parameters=5", "no trial is within that limit; the lowest is"),
        ("pair", "macs=5", "is not a cost of this study"),
        ("pair:0", "parameters=9999", "already names a trial"),
    ],
)
def test_a_limit_by_which_nothing_can_be_exported_is_refused(
    home: Path, tmp_path: Path, what: str, limit: str, said: str
) -> None:
    done = typed("export", what, "--under", limit, "--to", tmp_path / "none", "--home", home)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_resumed_study_keeps_its_objectives(home: Path) -> None:
    other = ("--objective", "val_accuracy", "--objective", "macs")
    done = typed("run", "--resume", "--study", "pair", *other, "--home", home)
    assert done.returncode == 2
    assert "has --objective val_accuracy --objective parameters" in done.stderr


# ---------------------------------------------------------------------- a limit, and what is measured


@pytest.fixture(scope="module")
def limited(home: Path) -> CompletedProcess[str]:
    """A search, `limit`, with a limit that nothing keeps."""
    options = (*QUICK, *MEASURED, "--trials", 2, "--under", "latency_ms=0.0001")
    return convsearch("run", *options, "--study", "limit", "--home", home)


@pytest.fixture(scope="module")
def kept(limited: CompletedProcess[str], home: Path) -> dict[str, Any]:
    """The same when it went on under a limit that all of its trials keep."""
    before = shown(home, "limit")
    assert (before["counts"]["complete"], before["winner"]) == (2, None)
    done = convsearch("run", "--resume", "--study", "limit", "--under", "latency_ms=1000000", "--home", home)
    assert done.returncode == 0, done.stderr
    return shown(home, "limit")


def test_a_limit_that_no_trial_keeps_ends_a_search_with_all_kept(limited: CompletedProcess[str]) -> None:
    assert limited.returncode == 1
    assert "--under latency_ms=0.0001: no trial is within that limit; the lowest is" in limited.stderr
    assert "All trials are kept: --resume with another --under chooses one of them" in limited.stderr
    assert "Traceback" not in limited.stderr


def test_a_limit_that_some_trials_keep_names_the_best_of_these(kept: dict[str, Any]) -> None:
    values = {trial["number"]: trial["value"] for trial in kept["trials"]}
    assert len(values) == 2
    assert values[kept["winner"]["number"]] == max(values.values())
    assert kept["winner"]["chosen"] == "the most accurate with latency_ms up to 1000000.00"


def test_latency_and_size_are_measured_where_they_count(kept: dict[str, Any], home: Path) -> None:
    for trial in kept["trials"]:
        assert trial["latency_ms"] > 0
        assert trial["size_kb"] == 4 * trial["parameters"] / 1000
    card = (home / "limit" / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "One image took" in card
    assert all(trial["latency_ms"] is None for trial in shown(home, "pair")["trials"])
