"""What lies in a home, and how studies and data sets are deleted from it: with their MLflow runs, and nothing else."""

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient
from rich.console import Console
from samples import a_study
from stores import Written
from terminal import Finished, Terminal, typed

from convsearch.search.delivery import deletion
from convsearch.search.delivery.deletion import Plan, planned
from convsearch.search.delivery.experiment import own_experiment, own_model
from convsearch.search.launch.contract import new_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.loop.budget import Budget
from convsearch.search.sources import open_data
from convsearch.search.study.contents import ASIDE, contents_of
from convsearch.search.study.home import Home
from convsearch.search.study.settings import StudySettings
from convsearch.search.system.files import PARTIAL
from convsearch.search.system.lock import alone
from convsearch.search.values.words import size
from convsearch.spaces.errors import WorkError

ARRAYS, OTHERS = "ab" * 8 + "-8x8x1", "cd" * 8 + "-8x8x1"
BIRDS, BEES = "1" * 32, "2" * 32
Make = Callable[..., StudySettings]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def make(home: Home) -> Make:
    """Makes a study with a folder, and with a trial in MLflow and a version of a registered model if it is `logged`."""

    def make(name: str = "birds", identity: str = BIRDS, logged: bool = True, **more: Any) -> StudySettings:
        facts = a_study().data.model_copy(update={"folder": more.pop("arrays", ARRAYS)})
        study = a_study(name=name, id=identity, data=facts, **more)
        with home.study(name).create(study, "layers: [1]\n"):
            pass
        if logged:
            written = Written(home.path, name, id=identity, data=facts, **more)
            written.add([0.5])
            written.finish()
            register(written.tracker.uri, study, written.parent)
        return study

    return make


def register(uri: str, study: StudySettings, run: str) -> None:
    client = MlflowClient(uri)
    experiment = own_experiment(client, study, [])
    assert experiment is not None
    client.create_model_version(own_model(client, study, experiment), f"{experiment.artifact_location}/{run}", run)


def client_of(home: Home) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home.path / 'mlflow.db'}")


def write_arrays(home: Home, name: str) -> None:
    (home.data / name).mkdir(parents=True)
    np.save(home.data / name / "images.npy", np.zeros((9, 8, 8, 1), np.uint8))


def in_mlflow(home: Home) -> dict[str, int]:
    """The experiments of studies that are not deleted, with the number of their runs."""
    client = client_of(home)
    found = [one for one in client.search_experiments() if one.name != "Default"]
    return {one.name: len(client.search_runs([one.experiment_id])) for one in found}


def models(home: Home) -> dict[str, int]:
    client = client_of(home)
    names = [str(one.name) for one in client.search_registered_models()]
    return {name: len(client.search_model_versions(f"name = '{name}'")) for name in names}


def cleaned(home: Home, *words: object, **variables: str) -> str:
    done = typed("clean", *words, "--home", home.path, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(home: Home, *words: object, code: int = 2, **variables: str) -> str:
    """Type a command that must be refused, and must leave all studies and data as they are; return its message."""
    before = sorted(home.path.rglob("*"))
    done = typed("clean", *words, "--home", home.path, **variables)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(home.path.rglob("*")) == before
    return done.stderr.removeprefix("convsearch: ")


# ---------------------------------------------------------------------- what lies there


def test_studies_and_data_are_listed_with_their_sizes_and_what_uses_them(home: Home, make: Make) -> None:
    make("birds")
    make("bees", BEES, logged=False)
    write_arrays(home, ARRAYS)
    write_arrays(home, OTHERS)
    (home.path / "birds" / "weights" / "0.weights.h5").write_bytes(bytes(5_000_000))
    found = json.loads(cleaned(home, "--json"))
    assert [one["study"] for one in found["studies"]] == ["bees", "birds"]
    assert found["studies"][1]["bytes"] >= 5_000_000 > found["studies"][0]["bytes"] > 0
    assert [(one["data"], one["studies"]) for one in found["data"]] == [(ARRAYS, ["bees", "birds"]), (OTHERS, [])]
    assert found["data"][0]["bytes"] == (home.data / ARRAYS / "images.npy").stat().st_size
    assert found["mlflow_bytes"] >= (home.path / "mlflow.db").stat().st_size
    assert found["artifacts_bytes"] > 0
    said = cleaned(home)
    assert "5.0 MB" in said
    assert "no study" in said
    assert "convsearch clean --data" in said


def test_an_empty_home_is_listed_too(home: Home) -> None:
    assert json.loads(cleaned(home, "--json"))["studies"] == []
    assert "mlflow.db 0 B, artifacts 0 B" in cleaned(Home(home.path / "nothing here"))


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_960, "100 kB"), (999_600, "1.0 MB")]
)
def test_a_size_has_two_or_three_digits_and_its_unit(count: int, text: str) -> None:
    assert size(count) == text


# ---------------------------------------------------------------------- a study


def test_a_study_goes_with_its_runs_its_model_and_its_artifacts_and_no_other_does(home: Home, make: Make) -> None:
    make("birds")
    make("bees", BEES)
    said = cleaned(home, "birds", "--yes")
    assert "the experiment birds with 2 runs, and the registered model birds version 1" in said
    assert [one.name for one in home.studies()] == ["bees"]
    assert in_mlflow(home) == {"bees": 2}
    assert models(home) == {"bees": 1}
    assert sorted(path.name for path in home.artifacts.iterdir()) == ["bees"]
    assert not list(home.path.glob(".*"))


def test_a_namesake_in_the_same_store_keeps_its_runs_and_its_model(home: Home, make: Make) -> None:
    Written(home.path, "birds", id=BEES).add([0.5])
    theirs = a_study(name="birds", id=BEES)
    experiment = client_of(home).get_experiment_by_name("birds")
    (run, _) = client_of(home).search_runs([experiment.experiment_id])
    register(f"sqlite:///{home.path / 'mlflow.db'}", theirs, run.info.run_id)
    make("birds", BIRDS)
    assert in_mlflow(home) == {"birds": 2, "birds-11111111": 2}
    cleaned(home, "birds", "--yes")
    assert in_mlflow(home) == {"birds": 2}
    assert models(home) == {"birds": 1}
    assert (home.artifacts / "birds").is_dir()


def test_the_next_study_of_the_name_begins_anew_under_that_name(home: Home, make: Make) -> None:
    make("birds")
    cleaned(home, "birds", "--yes")
    make("birds", BEES)
    assert in_mlflow(home) == {"birds": 2}
    assert models(home) == {"birds": 1}
    cleaned(home, "birds", "--yes")
    assert (in_mlflow(home), models(home)) == ({}, {})


def test_the_version_that_somebody_added_to_a_studys_model_stays(home: Home, make: Make) -> None:
    make("birds")
    client_of(home).create_model_version("birds", str(home.path / "theirs"))
    cleaned(home, "birds", "--yes")
    assert models(home) == {"birds": 1}


def test_a_copy_of_a_study_leaves_the_runs_to_the_study_that_it_was_copied_from(home: Home, make: Make) -> None:
    make("birds")
    shutil.copytree(home.path / "birds", home.path / "again")
    assert "its runs in MLflow stay: they are those of its copy 'birds' too" in cleaned(home, "again", "--yes")
    assert in_mlflow(home) == {"birds": 2}


def test_a_dry_run_says_the_same_and_deletes_nothing(home: Home, make: Make) -> None:
    make("birds")
    write_arrays(home, OTHERS)
    before = sorted(home.path.rglob("*"))
    said = cleaned(home, "birds", "--data", "--dry-run")
    assert "study birds: " in said
    assert f"data {OTHERS}: " in said
    assert "nothing was deleted: --dry-run" in said
    assert sorted(home.path.rglob("*")) == before
    found = json.loads(cleaned(home, "birds", "--data", "--dry-run", "--json"))
    assert not found["deleted"]
    assert found["studies"][0]["mlflow"][0] | {"store": ""} == {
        "store": "",
        "experiment": "birds",
        "runs": 2,
        "models": ["birds/1"],
    }
    assert in_mlflow(home) == {"birds": 2}


def test_a_study_that_was_never_delivered_needs_no_store(home: Home, make: Make) -> None:
    make("birds", logged=False)
    assert json.loads(cleaned(home, "birds", "birds", "--yes", "--json"))["deleted"]
    assert list(home.path.iterdir()) == []


def test_a_shared_study_leaves_the_database_to_the_other_loops(home: Home, make: Make) -> None:
    make("birds", logged=False, storage="postgresql://me@nowhere.invalid/studies", loop="here-1")
    said = cleaned(home, "birds", "--yes")
    assert "postgresql://me@nowhere.invalid/studies keeps the study and its runs, for the other loops" in said
    assert home.studies() == []


def test_a_searched_study_is_deleted_whole(copied: Finished) -> None:
    home = Home(copied.home)
    cleaned(home, copied.name, "--data", "--yes")
    assert home.studies() == []
    assert list(home.data.iterdir()) == []
    assert (in_mlflow(home), models(home)) == ({}, {})
    assert [path for path in home.artifacts.rglob("*") if path.is_file()] == []


# ---------------------------------------------------------------------- data


def test_only_the_data_that_no_study_uses_is_deleted(home: Home, make: Make) -> None:
    make("birds", logged=False)
    for name in (ARRAYS, OTHERS, "of the user"):
        write_arrays(home, name)
    assert f"data {OTHERS}: " in cleaned(home, "--data", "--yes")
    assert sorted(path.name for path in home.data.iterdir()) == [ARRAYS, "of the user"]
    assert "nothing to delete" in cleaned(home, "--data", "--yes")


def test_decoded_images_are_known_by_their_folder(home: Home) -> None:
    open_data("digits", home.data)
    cleaned(home, "--data", "--yes")
    assert list(home.data.iterdir()) == []


def test_data_goes_with_the_last_study_that_uses_it(home: Home, make: Make) -> None:
    make("birds", logged=False)
    make("bees", BEES, logged=False)
    write_arrays(home, ARRAYS)
    cleaned(home, "bees", "--data", "--yes")
    assert (home.data / ARRAYS).is_dir()
    cleaned(home, "birds", "--data", "--yes")
    assert list(home.data.iterdir()) == []


def test_data_that_is_being_decoded_is_left_alone_and_what_a_kill_left_is_removed(home: Home) -> None:
    for name in ("running", "killed"):
        (home.data / PARTIAL.format(name)).mkdir(parents=True)
    with alone(home.data / PARTIAL.format("running")):
        cleaned(home, "--data", "--yes")
        assert [path.name for path in home.data.iterdir()] == [PARTIAL.format("running")]


def test_data_is_not_deleted_while_a_study_that_may_use_it_cannot_be_read(home: Home, make: Make) -> None:
    make("birds", logged=False)
    write_arrays(home, OTHERS)
    home.study("birds").file.write_text("{")
    said = refused(home, "--data", "--yes")
    assert str(home.path / "birds" / "study.yaml") in said
    assert "or delete the study 'birds' too" in said
    cleaned(home, "birds", "--data", "--yes")
    assert list(home.data.iterdir()) == []


# ---------------------------------------------------------------------- what is refused


def test_a_study_that_runs_is_not_deleted(home: Home, make: Make) -> None:
    make("birds", logged=False)
    with alone(home.path / "birds"):
        assert "the study 'birds' is being searched" in refused(home, "birds", "--yes")
        assert json.loads(cleaned(home, "--json"))["studies"][0]["running"]


@pytest.mark.parametrize("name", ["..", "../home", "birds/weights", "."])
def test_a_name_that_leads_elsewhere_is_refused(home: Home, make: Make, name: str) -> None:
    make("birds", logged=False)
    assert f"study name '{name}': letters, digits" in refused(home, name, "--yes")


def test_an_unknown_name_is_refused_with_the_nearest_and_no_other_study_is_deleted(home: Home, make: Make) -> None:
    make("birds", logged=False)
    assert "no study 'brids'" in (said := refused(home, "birds", "brids", "--yes"))
    assert "did you mean 'birds'?" in said


def test_a_link_to_a_study_elsewhere_is_not_followed(home: Home, make: Make, tmp_path: Path) -> None:
    make("birds", logged=False)
    elsewhere = (home.path / "birds").rename(tmp_path / "elsewhere")
    (home.path / "birds").symlink_to(elsewhere)
    assert f"a link to {elsewhere}" in refused(home, "birds", "--yes")


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_an_option_without_anything_to_delete_is_refused(home: Home, option: str) -> None:
    assert f"{option}: name what to delete: studies, or --data" in refused(home, option)


def test_without_a_terminal_nothing_is_deleted_unless_yes_says_so(home: Home, make: Make) -> None:
    make("birds", logged=False)
    assert "--yes deletes without asking" in refused(home, "birds")


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_it_asks_before_it_deletes(home: Home, make: Make, answer: bytes, code: int) -> None:
    make("birds", logged=False)
    terminal = Terminal(home.path, "clean", "birds", "--home", str(home.path))
    terminal.press(answer)
    assert terminal.end() == code
    assert "Delete this?" in terminal.seen()
    terminal.close()
    assert len(home.studies()) == code


def test_nothing_is_deleted_where_mlflow_cannot_be_reached(home: Home, make: Make) -> None:
    make("birds")
    said = refused(home, "birds", "--yes", code=1, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "MLflow at http://127.0.0.1:9 cannot be reached: " in said
    assert "nothing was deleted" in said
    (home.path / "mlflow.db").write_text("no database, " * 100)
    assert "mlflow.db cannot be reached: file is not a database" in refused(home, "birds", "--yes", code=1)


# ---------------------------------------------------------------------- damage and kills


def test_a_damaged_study_is_deleted_with_its_runs_if_its_identity_can_be_read(home: Home, make: Make) -> None:
    make("birds")
    file = home.study("birds").file
    file.write_text(file.read_text(encoding="utf-8").replace("seed: 0", "seed: ["), encoding="utf-8")
    cleaned(home, "birds", "--yes")
    assert home.studies() == []
    assert in_mlflow(home) == {}


def test_a_damaged_study_without_an_identity_is_deleted_and_its_runs_are_said_to_stay(home: Home, make: Make) -> None:
    make("birds")
    home.study("birds").file.write_bytes(b"\xff\xfe")
    assert "its runs in MLflow stay" in cleaned(home, "birds", "--yes")
    assert home.studies() == []
    assert in_mlflow(home) == {"birds": 2}


def test_a_kill_before_the_runs_are_gone_leaves_no_study_and_the_next_clean_goes_on(home: Home, make: Make) -> None:
    study = make("birds")
    (home.path / "birds").rename(home.path / ASIDE.format("left"))  # the first step
    assert home.studies() == []
    assert json.loads(cleaned(home, "--json"))["left_bytes"] > 0
    make("birds", BEES)  # is not hindered
    assert "left by killed commands" in cleaned(home, "--data", "--yes")
    assert client_of(home).search_experiments(ViewType.DELETED_ONLY)[0].tags["convsearch.study"] == study.id
    assert sum(in_mlflow(home).values()) == 2
    assert sum(models(home).values()) == 1
    assert [one.read().id for one in home.studies()] == [BEES]
    assert not list(home.path.glob(".*"))


def test_a_kill_while_the_files_are_deleted_leaves_what_the_next_clean_removes(home: Home, make: Make) -> None:
    make("birds", logged=False)
    left = (home.path / "birds").rename(home.path / ASIDE.format("left"))
    (left / "study.yaml").unlink()
    cleaned(home, "--data", "--yes")
    assert not left.exists()


def test_what_another_clean_is_deleting_is_left_to_it(home: Home) -> None:
    left = home.path / ASIDE.format("running")
    left.mkdir()
    with alone(left):
        assert contents_of(home).deleted == ()


def test_a_study_is_whole_again_if_mlflow_fails_in_the_middle(home: Home, make: Make) -> None:
    make("birds")
    plan = planned(home, ["birds"], data=False)
    (home.path / "mlflow.db").write_text("no database, " * 100)
    with pytest.raises(WorkError, match=r"MLflow at .*; the study 'birds' was not deleted"):
        deletion.delete(home, plan)
    assert [one.read().id for one in home.studies()] == [BIRDS]


def test_data_that_a_study_uses_by_now_is_kept(home: Home, make: Make) -> None:
    write_arrays(home, ARRAYS)
    plan = planned(home, [], data=True)
    make("birds", logged=False)
    assert [one.path.name for one in deletion.delete(home, plan)] == [ARRAYS]
    assert (home.data / ARRAYS).is_dir()


def test_data_of_a_launch_that_has_no_study_yet_is_kept(home: Home) -> None:
    with pytest.MonkeyPatch.context() as patched, ExitStack() as held:
        patched.chdir(home.path)
        contract = new_contract(home, home.study("mine"), Options(home=home.path, space="tiny", epochs=1))
        made = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
        assert made is not None
        shutil.rmtree(made.folder.path)  # as if it were not there yet
        assert "nothing to delete" in cleaned(home, "--data", "--yes")
        (arrays,) = contents_of(home).arrays
        assert arrays.running
        assert [one.path for one in deletion.delete(home, Plan((), (), (arrays,), (), 0))] == [made.dataset.folder]
    assert f"data {arrays.path.name}" in cleaned(home, "--data", "--yes")
    assert not arrays.path.exists()


def test_a_kill_at_any_step_leaves_a_whole_study_or_none_and_nothing_in_the_way(home: Home, make: Make) -> None:
    survived, steps = False, 0
    while not survived:
        make("birds")
        files = {path.name for path in (home.path / "birds").iterdir()}
        survived = lives_through(home, steps)
        for one in home.studies():
            assert {path.name for path in one.path.iterdir()} == files
            one.read()
        cleaned(home, "--data", *(one.name for one in home.studies()), "--yes")
        assert (home.studies(), in_mlflow(home), models(home)) == ([], {}, {})
        assert [path for path in home.artifacts.rglob("*") if path.is_file()] == []
        assert not list(home.path.glob(".*"))
        steps += 1
    assert steps > 5


def lives_through(home: Home, steps: int) -> bool:
    """Delete `birds` in a process that is killed before so many steps on the disk; return whether it came to its end.

    A step is whatever Python tells of: a file or folder renamed or removed, or MLflow's store opened.
    """
    child = os.fork()
    if child == 0:
        left = steps

        def kill(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in ("os.rename", "os.remove", "os.rmdir", "sqlite3.connect"):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            plan = planned(home, ["birds"], data=False)
            sys.addaudithook(kill)
            deletion.delete(home, plan)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)
