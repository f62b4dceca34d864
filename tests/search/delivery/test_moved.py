"""A home that was moved or copied: its runs have their files there, and nothing is written where the home once was."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from samples import a_study
from stores import Written

from convsearch.dashboard.reading.store import Store
from convsearch.search.delivery.moved import PLACES
from convsearch.search.delivery.tracking import Tracker
from convsearch.search.study.home import Home
from convsearch.search.system.addresses import artifact_place
from convsearch.search.values.limits import Limits
from convsearch.spaces.errors import WorkError

SPACE = "layers: [1]\n"


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def made(tmp_path: Path) -> Written:
    """A study `birds` in the home `made`, with a trial and a registered model."""
    written = Written(tmp_path / "made")
    written.add([0.5])
    written.finish()
    client = written.tracker._client
    client.create_registered_model("birds")
    uri = client.get_run(written.parent).info.artifact_uri
    client.create_model_version("birds", f"{uri}/model", written.parent)
    return written


def places(home: Path) -> dict[str, str]:
    """Where MLflow looks for artifacts, by table, column and row; without its own first experiment."""
    with closing(sqlite3.connect(home / "mlflow.db")) as store:
        return {
            f"{table}.{column} {row}": place
            for table, column in PLACES
            for row, place in store.execute(f"SELECT rowid, {column} FROM {table}")
            if place is not None and "mlruns" not in place
        }


def files(home: Path) -> set[Path]:
    return {path.relative_to(home) for path in home.rglob("*")}


@pytest.mark.parametrize("name", ["moved", "what?", "50 %", 'it\'s "quoted"'])
def test_all_artifacts_of_a_moved_home_are_found_in_it_and_new_ones_are_written_to_it(
    made: Written, name: str, tmp_path: Path
) -> None:
    before, home = places(tmp_path / "made"), tmp_path / name
    (tmp_path / "made").rename(home)
    again = Tracker(Home(home), a_study(name="birds"))
    parent = again.launch(SPACE, Limits())
    assert not (tmp_path / "made").exists()
    old, new = artifact_place(tmp_path / "made" / "artifacts"), artifact_place(home / "artifacts")
    after = places(home)
    assert {key: after[key] for key in before} == {key: place.replace(old, new) for key, place in before.items()}
    assert len(before) == 5  # the experiment, its two runs, and two of the model's version
    client, downloaded = MlflowClient(again.uri), tmp_path / "downloaded"
    downloaded.mkdir()
    for run in (made.parent, parent):
        assert Path(client.download_artifacts(run, "space.yaml", str(downloaded))).is_file()


def test_a_home_that_is_moved_back_or_on_is_followed_again(made: Written, tmp_path: Path) -> None:
    before, home = places(tmp_path / "made"), tmp_path / "made"
    for name in ("what?", "on", "made"):
        home = home.rename(tmp_path / name)
        Tracker(Home(home), a_study(name="birds"))
        assert all(place.startswith(artifact_place(home)) for place in places(home).values())
    assert places(home) == before


def test_a_copied_home_writes_nothing_into_the_original(made: Written, tmp_path: Path) -> None:
    original, copy = tmp_path / "made", tmp_path / "copy"
    shutil.copytree(original, copy)
    before, there = places(original), files(original)
    again = Tracker(Home(copy), a_study(name="birds"))
    parent = again.launch(SPACE, Limits())
    assert (places(original), files(original)) == (before, there)
    assert (copy / "artifacts" / "birds" / parent / "artifacts" / "space.yaml").is_file()


def test_what_an_earlier_version_wrote_to_the_old_place_of_a_moved_home_is_still_found(
    made: Written, tmp_path: Path
) -> None:
    original, home = tmp_path / "made", tmp_path / "moved"
    shutil.copytree(original, home)
    left = original / "artifacts" / "birds" / made.parent
    shutil.rmtree(home / "artifacts" / "birds" / made.parent)
    again = Tracker(Home(home), a_study(name="birds"))
    assert again._client.get_run(made.parent).info.artifact_uri == str(left / "artifacts")
    run = made.trials[0][1]
    moved = home / "artifacts" / "birds" / run / "artifacts"
    assert again._client.get_run(run).info.artifact_uri == str(moved)


@pytest.mark.parametrize("place", ["/srv/somewhere/birds", "s3://me/artifacts/birds"])
def test_what_was_never_in_a_home_is_left_where_it_is(place: str, tmp_path: Path) -> None:
    Written(tmp_path / "made")
    with closing(sqlite3.connect(tmp_path / "made" / "mlflow.db")) as store, store:
        store.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'birds'", (place,))
    again = Tracker(Home((tmp_path / "made").rename(tmp_path / "moved")), a_study(name="birds"))
    assert again._client.get_experiment(again.experiment_id).artifact_location == place


def test_what_a_server_keeps_is_left_to_it_and_needs_it(tmp_path: Path) -> None:
    made, place = Written(tmp_path / "made"), "mlflow-artifacts:/artifacts/birds"
    with closing(sqlite3.connect(tmp_path / "made" / "mlflow.db")) as store, store:
        store.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'birds'", (place,))
    with pytest.raises(WorkError, match="the experiment 'birds' was made through a server"):
        Tracker(Home((tmp_path / "made").rename(tmp_path / "moved")), a_study(name="birds"))
    with closing(sqlite3.connect(tmp_path / "moved" / "mlflow.db")) as store:
        which = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        assert store.execute(which, (int(made.tracker.experiment_id),)).fetchone() == (place,)


def test_a_launch_leaves_the_other_studies_of_a_moved_home_to_their_own_launches(made: Written, tmp_path: Path) -> None:
    other = Written(tmp_path / "made", "fish", id="f" * 32)  # it may be running, and see the home by its first path
    other.add([0.5])
    before, home = places(tmp_path / "made"), (tmp_path / "made").rename(tmp_path / "moved")
    birds, fish = (artifact_place(tmp_path / "made" / "artifacts" / name) for name in ("birds", "fish"))
    Tracker(Home(home), a_study(name="birds"))
    after = places(home)
    assert {place for place in after.values() if place.startswith(fish)}
    for key, place in before.items():
        assert (after[key] == place) is place.startswith(fish)
        assert not after[key].startswith(birds)
    assert Store(home).text(other.trials[0][1], "architecture.json") is not None  # the dashboard finds them
    Tracker(Home(home), a_study(name="fish", id="f" * 32))
    assert all(place.startswith(artifact_place(home)) for place in places(home).values())


@pytest.mark.parametrize("named", [False, True])
def test_the_dashboard_reads_the_files_of_a_moved_home_and_changes_nothing(
    made: Written, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = (tmp_path / "made").rename(tmp_path / "moved")
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    before = (home / "mlflow.db").read_bytes()
    text = Store(home).text(made.trials[0][1], "architecture.json")
    assert text is not None
    assert '"layers"' in text
    assert (home / "mlflow.db").read_bytes() == before
