"""Several objectives with the command: the front, the knee, a limit."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from terminal import convsearch

from convsearch.search.study.home import Home

TWO = ("--objective", "val_accuracy", "--objective", "parameters")
QUICK = ("--space", "tiny", "--epochs", 3, "--seed", 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of accuracy and parameters, `pair`."""
    found = tmp_path_factory.mktemp("objectives") / "home"
    done = convsearch("run", *QUICK, *TWO, "--algorithm", "nsga2", "--trials", 7, "--study", "pair", "--home", found)
    assert done.returncode == 0, done.stderr
    assert "objectives val_accuracy, parameters; in the end the knee of the front is named" in done.stderr
    return found


def shown(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(convsearch("show", name, "--json", "--home", home).stdout)
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
    table = convsearch("show", "pair", "--home", home).stdout
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
    assert "Objectives: val_accuracy, parameters. Named was the knee of the front" in card


def test_any_trial_of_the_front_can_be_exported_by_a_limit(home: Path, tmp_path: Path) -> None:
    front = shown(home, "pair")["front"]
    small = min(front, key=lambda one: one["parameters"])
    done = convsearch(
        "export", "pair", "--under", f"parameters={small['parameters']}", "--to", tmp_path / "small", "--home", home
    )
    assert done.returncode == 0, done.stderr
    architecture = json.loads((tmp_path / "small" / "architecture.json").read_text(encoding="utf-8"))
    best = Home(home).study("pair").record().trials[small["number"]]
    assert architecture["architecture"] == best.candidate.architecture.model_dump(mode="json")
    for limit, said in (("parameters=5", "no trial keeps that; the least is"), ("macs=5", "no cost of this study")):
        refused = convsearch("export", "pair", "--under", limit, "--to", tmp_path / "none", "--home", home)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert not (tmp_path / "none").exists()
    both = convsearch("export", "pair:0", "--under", "parameters=9999", "--to", tmp_path / "none", "--home", home)
    assert both.returncode == 2
    assert "names a trial already" in both.stderr


def test_a_resumed_study_keeps_its_objectives_and_may_be_given_a_limit(home: Path) -> None:
    resume = ("run", "--resume", "--study", "pair", "--home", home)
    other = convsearch(*resume, "--objective", "val_accuracy", "--objective", "macs")
    assert other.returncode == 2
    assert "has --objective val_accuracy --objective parameters" in other.stderr
    least = min(one["parameters"] for one in shown(home, "pair")["front"])
    done = convsearch(*resume, "--trials", 7, "--under", f"parameters={least}")
    assert done.returncode == 0, done.stderr
    study = shown(home, "pair")
    assert len(study["trials"]) == 7
    winner = next(trial for trial in study["trials"] if trial["number"] == study["winner"]["number"])
    assert winner["parameters"] <= least
    assert f"up to {least:,.0f}" in study["winner"]["chosen"]


def test_a_limit_that_no_trial_keeps_ends_a_search_with_all_kept_and_one_that_some_keep_names_the_best_of_these(
    home: Path,
) -> None:
    search = ("run", *QUICK, "--objective", "val_accuracy", "--objective", "latency_ms", "--trials", 2, "--repeats", 0)
    done = convsearch(*search, "--under", "latency_ms=0.0001", "--study", "limit", "--home", home)
    assert done.returncode == 1
    assert "--under latency_ms=0.0001: no trial keeps that; the least is" in done.stderr
    assert "All trials are kept: --resume with another --under names one of them" in done.stderr
    assert "Traceback" not in done.stderr
    assert shown(home, "limit")["counts"]["complete"] == 2
    assert shown(home, "limit")["winner"] is None
    done = convsearch(*search, "--under", "latency_ms=1000", "--study", "kept", "--home", home)
    assert done.returncode == 0, done.stderr
    study = shown(home, "kept")
    values = {trial["number"]: trial["value"] for trial in study["trials"]}
    assert values[study["winner"]["number"]] == max(values.values())
    assert study["winner"]["chosen"] == "the most accurate with latency_ms up to 1000.00"


def test_latency_and_size_are_measured_where_they_count(home: Path) -> None:
    objectives = ("--objective", "val_accuracy", "--objective", "latency_ms", "--objective", "size_kb")
    done = convsearch("run", *QUICK, *objectives, "--trials", 2, "--repeats", 0, "--study", "quick", "--home", home)
    assert done.returncode == 0, done.stderr
    for trial in shown(home, "quick")["trials"]:
        assert 0 < trial["latency_ms"] < 1000
        assert trial["size_kb"] == 4 * trial["parameters"] / 1000
    card = (home / "quick" / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "One image took" in card
    assert all(trial["latency_ms"] is None for trial in shown(home, "pair")["trials"])
