"""What MLflow holds of a finished study, read by MLflow's own client, and the model served by MLflow's own server."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import requests
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from terminal import PATIENCE, Finished, environment, wait_until

from benchmarks.ports import free_port
from convsearch.search.data import Dataset, Split
from convsearch.search.study.runs import Runs
from convsearch.search.study.trial import CURVES, Trial
from convsearch.search.system.backend import import_keras
from convsearch.spaces.architecture import Candidate


@pytest.fixture(scope="module")
def uri(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the store: MLflow's client migrates and registers as it likes, and others read the original."""
    copy = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    shutil.copyfile(finished.home / "mlflow.db", copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def store(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has MLflow use that store; it notes it in the environment, where the next test would find it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)


@pytest.fixture(scope="module")
def client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


@pytest.fixture(scope="module")
def runs(client: MlflowClient) -> list[Run]:
    experiment = client.get_experiment_by_name("first")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"]))


@pytest.fixture(scope="module")
def launch_run(runs: list[Run]) -> Run:
    (found,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return found


@pytest.fixture(scope="module")
def trial_runs(runs: list[Run], finished: Finished) -> list[tuple[Run, Trial]]:
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    known = Runs(finished.folder.path)
    by_id = {known.of(trial.number): trial for trial in finished.record.trials.values()}
    return [(run, by_id[run.info.run_id]) for run in nested]


def test_a_study_is_one_experiment_whose_artifacts_are_in_the_home(client: MlflowClient, finished: Finished) -> None:
    experiments = [found for found in client.search_experiments() if found.name != "Default"]
    assert [found.name for found in experiments] == ["first"]
    assert Path(experiments[0].artifact_location).is_relative_to(finished.home)


def test_a_launch_is_a_run_and_its_trials_are_nested_in_it(
    launch_run: Run, trial_runs: list[tuple[Run, Trial]]
) -> None:
    assert len(trial_runs) == 7
    assert {run.data.tags["mlflow.parentRunId"] for run, _ in trial_runs} == {launch_run.info.run_id}
    assert launch_run.info.status == "FINISHED"
    assert {run.info.status for run, _ in trial_runs} == {"FINISHED"}


def test_the_launch_says_what_was_searched_and_with_which_versions(launch_run: Run, finished: Finished) -> None:
    study = finished.folder.read()
    tags = launch_run.data.tags
    assert (tags["engine"], tags["algorithm"], tags["pruner"]) == ("optuna", "tpe", "hyperband")
    assert tags["fingerprint"] == study.data.fingerprint
    for name, version in study.versions.items():
        assert tags[f"version.{name}"] == version
    assert launch_run.data.params == {
        "data": "digits",
        "space": "tiny",
        "objectives": "val_accuracy",
        "epochs": "2",
        "trials": str(study.trials),
        "seed": "3",
    }


def test_outside_a_git_checkout_no_commit_is_named(launch_run: Run) -> None:
    assert "mlflow.source.git.commit" not in launch_run.data.tags


def test_the_curves_of_a_trial_are_metrics_by_epoch_as_the_record_has_them(
    client: MlflowClient, trial_runs: list[tuple[Run, Trial]]
) -> None:
    for run, trial in trial_runs:
        for name in CURVES:
            history = client.get_metric_history(run.info.run_id, name)
            assert [metric.step for metric in history] == list(range(1, trial.epochs + 1))
            assert [metric.value for metric in history] == pytest.approx(list(getattr(trial, name)))
        assert run.data.metrics["best_val_accuracy"] == pytest.approx(trial.value)
        assert run.data.metrics["parameters"] == trial.parameters
        assert run.data.metrics["macs"] == trial.macs
        assert run.data.metrics["gap"] == pytest.approx(trial.gap)
        parts = ("waiting", "building", "tracing", "training", "evaluating")
        assert sum(run.data.metrics[f"seconds.{part}"] for part in parts) == pytest.approx(trial.seconds)


def test_the_choices_of_a_trial_are_parameters_under_their_dimensions_names(
    trial_runs: list[tuple[Run, Trial]],
) -> None:
    for run, trial in trial_runs:
        assert run.data.params == {name: str(value) for name, value in trial.candidate.flat().items()}
        first = trial.candidate.architecture.layers[0]
        assert run.data.params["layer1.kernel_size"] == str(first.kernel_size)
        assert float(run.data.params["learning_rate"]) == trial.candidate.recipe.learning_rate
        assert run.data.params["layers"] == str(len(trial.candidate.architecture.layers))


def test_tags_of_a_trial_name_state_engine_algorithm_and_hash(trial_runs: list[tuple[Run, Trial]]) -> None:
    for run, trial in trial_runs:
        tags = run.data.tags
        assert (tags["number"], tags["state"], tags["hash"]) == (str(trial.number), trial.state, trial.hash)
        assert (tags["engine"], tags["algorithm"], tags["worker"]) == ("optuna", "tpe", "worker-0")
        assert tags["architecture"] == str(trial.candidate.architecture)


def test_each_trial_has_its_architecture_as_an_artifact(
    client: MlflowClient, trial_runs: list[tuple[Run, Trial]]
) -> None:
    for run, trial in trial_runs:
        text = Path(client.download_artifacts(run.info.run_id, "architecture.json")).read_text()
        assert Candidate.model_validate_json(text) == trial.candidate


def test_the_space_is_an_artifact_of_the_launch(client: MlflowClient, launch_run: Run, finished: Finished) -> None:
    text = Path(client.download_artifacts(launch_run.info.run_id, "space.yaml")).read_text()
    assert text == finished.folder.space_file.read_text()


def test_the_test_of_the_winner_is_a_metric_of_the_launch(launch_run: Run, finished: Finished) -> None:
    result = finished.folder.result()
    assert result is not None
    metrics = launch_run.data.metrics
    assert metrics["test_accuracy"] == pytest.approx(result.test.accuracy)
    standing = finished.folder.repeats().standing(finished.record.trials[result.best])
    assert metrics["mean_val_accuracy"] == pytest.approx(standing.mean)
    assert metrics["val_accuracy_spread"] == pytest.approx(standing.spread)


@pytest.mark.usefixtures("store")
def test_the_final_model_is_registered_with_signature_and_input_example(client: MlflowClient, launch_run: Run) -> None:
    (version,) = client.search_model_versions("name = 'first'")
    assert version.run_id == launch_run.info.run_id
    found = mlflow.models.get_model_info("models:/first/1")
    assert found.signature is not None
    assert [spec.shape for spec in found.signature.inputs] == [(-1, 8, 8, 1)]
    assert [spec.shape for spec in found.signature.outputs] == [(-1, 10)]
    assert found.saved_input_example_info is not None
    assert {"tensorflow", "keras"} & found.flavors.keys()


@pytest.mark.usefixtures("store")
def test_the_registered_model_answers_images_as_the_bundle_does(finished: Finished, digits: Dataset) -> None:
    images = np.array(digits.images()[:8]).astype("float32")
    answers = np.asarray(mlflow.pyfunc.load_model("models:/first/1").predict(images))
    bundled = import_keras().saving.load_model(finished.bundle / "model.keras", safe_mode=True)
    assert np.allclose(answers, bundled.predict(images, verbose=0), atol=1e-6)


@pytest.mark.usefixtures("store")
def test_the_input_example_of_the_registered_model_is_training_images(finished: Finished, digits: Dataset) -> None:
    shown = np.asarray(mlflow.pyfunc.load_model("models:/first/1").input_example)
    first = Split.load(finished.folder.split).train[:2]
    assert first.tolist() != [0, 1], "so the first images of the data are not all for training"
    assert np.array_equal(shown, digits.images()[first])


# ---------------------------------------------------------------------- mlflow models serve


@pytest.fixture(scope="module")
def server(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which `mlflow models serve` answers, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/first/1"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("serve") / "log"
    variables = environment(MLFLOW_TRACKING_URI=uri, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=variables, start_new_session=True)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(f"{address}/ping", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    try:
        wait_until(answers, "the server answered")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_mlflow_serves_the_model_and_it_answers_an_image(server: str, finished: Finished, digits: Dataset) -> None:
    image = np.array(digits.images()[:1])
    answer = requests.post(f"{server}/invocations", json={"inputs": image.tolist()}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    shares = np.array(found["predictions"])
    bundled = import_keras().saving.load_model(finished.bundle / "model.keras", safe_mode=True)
    assert shares == pytest.approx(bundled.predict(image, verbose=0), abs=1e-5)
    assert shares.sum() == pytest.approx(1.0, abs=1e-4)
