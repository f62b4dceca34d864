"""What the dashboard reads of MLflow: everything once, then what changed, and a word where it cannot."""

import os
import shlex
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from stores import Written

from convsearch.dashboard.reading import copies
from convsearch.dashboard.reading.reader import StoreError
from convsearch.dashboard.reading.rows import OPTION
from convsearch.dashboard.reading.store import Store
from convsearch.dashboard.reading.study import Study
from convsearch.search.system.files import PARTIAL


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, where the copies are kept."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place


def study(store: Store, name: str = "birds") -> Study:
    found = store.study(name)
    assert found is not None
    return found


def test_a_home_without_a_store_has_no_studies_and_none_is_made(tmp_path: Path) -> None:
    assert Store(tmp_path).names() == []
    assert list(tmp_path.iterdir()) == []


def test_a_study_is_read_with_its_trials_measures_and_options(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9, None])
    written.finish()
    store = Store(tmp_path)
    assert store.names() == ["birds"]
    found = study(store)
    assert (found.data, found.space, found.engine) == ("digits", "tiny", "optuna tpe")
    assert found.trials["trial"].tolist() == [0, 1, 2]
    assert found.trials["state"].tolist() == ["complete", "complete", "failed"]
    assert found.trials["validation"].tolist()[:2] == [0.5, 0.9]
    assert found.trials["error"].tolist()[2] == "the loss became NaN in epoch 1"
    for trial, run in written.trials:
        row = found.trials.set_index("run").loc[run]
        flat = trial.candidate.flat()
        assert row["architecture"] == str(trial.candidate.architecture)
        assert row["parameters"] == (trial.parameters if row["state"] else None)
        assert row[OPTION + "learning_rate"] == pytest.approx(flat["learning_rate"])
        assert row[OPTION + "layers"] == flat["layers"]
    assert "learning_rate" in found.options
    assert [launch.status for launch in found.launches] == ["FINISHED"]


def test_what_begins_and_ends_is_seen_and_what_did_not_change_is_the_same(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    assert study(store).trials.empty
    written.add([0.5])
    first = study(store)
    assert first.trials["state"].tolist() == ["complete"]
    assert study(store) is first
    number = written.begin()
    running = study(store)
    assert running.trials["state"].tolist() == ["complete", "running"]
    assert running.version > first.version
    written.end(number, 0.75)
    ended = study(store)
    assert ended.trials["validation"].tolist() == [0.5, 0.75]
    assert ended.trials["ended"].notna().all()
    assert first.trials["state"].tolist() == ["complete"]  # whoever has the old one keeps it


def test_a_file_that_nobody_has_written_to_is_not_asked_again(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    written.add([0.5])
    first = study(store)
    stamp = store._kept["birds"].stamp
    assert study(store) is first
    assert store._kept["birds"].stamp is stamp
    written.add([0.6])
    assert len(study(store).trials) == 2


def test_whoever_comes_while_a_study_is_read_is_told_how_far_it_is_and_has_it_too(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.1, 0.2, 0.3, 0.4, 0.5])
    store = Store(tmp_path, page=2)
    reads, goes_on = threading.Event(), threading.Event()

    def first_of_all(share: float) -> None:
        reads.set()
        assert goes_on.wait(30)

    def second(share: float) -> None:
        told.append(share)
        goes_on.set()

    told: list[float] = []
    with ThreadPoolExecutor(1) as other:
        found = other.submit(store.study, "birds", first_of_all)
        assert reads.wait(30)
        mine = store.study("birds", second)
        assert found.result() is mine
    assert told
    assert set(told) <= {0.4, 0.8}


def test_curves_have_a_row_an_epoch(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5, 0.9])
    store = Store(tmp_path)
    found = store.curves(study(store), [1, 7])
    assert list(found) == [1]
    assert found[1]["val_accuracy"].tolist() == [0.45, 0.9]
    assert found[1].index.tolist() == [1, 2]


def test_an_artifact_that_is_missing_is_none(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.5])
    store, run = Store(tmp_path), written.trials[0][1]
    text = store.text(run, "architecture.json")
    assert text is not None
    assert '"layers"' in text
    assert store.text(run, "nothing.json") is None
    assert store.text(run, "../../../../mlflow.db") is None


def test_a_study_that_is_deleted_is_none_and_one_of_the_same_name_is_another(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    written.add([0.5])
    assert len(study(store).trials) == 1
    client, experiment = written.tracker._client, written.tracker.experiment_id
    client.delete_experiment(experiment)
    assert store.study("birds") is None
    assert store.names() == []
    assert store.study("../birds") is None


@pytest.mark.parametrize("tagged", [False, True])
def test_every_study_is_found_among_however_many_experiments(tagged: bool, tmp_path: Path) -> None:
    Written(tmp_path)
    count = 1_001  # one more than MLflow returns at a time
    copy = (
        "INSERT INTO experiments (experiment_id, name, creation_time, lifecycle_stage) "
        "SELECT experiment_id + ?1, name || ?1, creation_time + ?1, lifecycle_stage FROM experiments "
        "WHERE name = 'birds'"
    )
    tag = (
        "INSERT INTO experiment_tags (key, value, experiment_id) SELECT key, value, experiment_id + ?1 "
        "FROM experiment_tags WHERE experiment_id = (SELECT experiment_id FROM experiments WHERE name = 'birds')"
    )
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        for number in range(1, count + 1):
            database.execute(copy, (number,))
            if tagged:
                database.execute(tag, (number,))
    newest_first = [f"birds{number}" for number in range(count, 0, -1)] if tagged else []
    assert Store(tmp_path).names() == [*newest_first, "birds"]


def test_a_store_of_another_version_is_named_with_what_to_do(tmp_path: Path) -> None:
    Written(tmp_path / "here")
    other = tmp_path / "the other's"  # MLflow looks at a store's version once in a process
    other.mkdir()
    shutil.copy(tmp_path / "here" / "mlflow.db", other)
    with closing(sqlite3.connect(other / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = '451aebb31d03'")
    with pytest.raises(StoreError, match="is of another version") as caught:
        Store(other).names()
    _, _, command = caught.value.remedy.partition("then: ")
    assert shlex.split(command) == ["mlflow", "db", "upgrade", f"sqlite:///{other}/mlflow.db"]


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"The MLflow server at http://127\.0\.0\.1:9 does not answer"):
        Store(tmp_path).names()


def test_a_study_that_is_read_for_the_first_time_says_how_far_it_is(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.1, 0.2, 0.3, 0.4, 0.5])
    told: list[float] = []
    found = Store(tmp_path, page=2).study("birds", told.append)
    assert found is not None
    assert len(found.trials) == 5
    assert told == [0.4, 0.8]


# ---------------------------------------------------------------------- the copy


def copying(home: Path) -> Store:
    """A store that copies studies of any size."""
    return Store(home, fresh=0.0, worth_copying=1)


def test_the_next_dashboard_asks_only_for_what_changed_since(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.1, 0.2, None])
    running = written.begin()
    before = study(copying(tmp_path))
    written.tracker._client.set_tag(written.trials[0][1], "architecture", "not asked for again")
    written.end(running, 0.9)
    written.add([0.3])
    found = study(copying(tmp_path))
    assert found.trials["state"].tolist() == ["complete", "complete", "failed", "complete", "complete"]
    assert found.trials["validation"].tolist()[3:] == [0.9, 0.3]
    pd.testing.assert_frame_equal(found.trials.head(3), before.trials.head(3), check_dtype=False)
    assert found.launches == before.launches


@pytest.mark.parametrize("since", ["a trial began", "a trial went on"])
def test_a_copy_of_a_store_that_was_restored_from_a_backup_is_not_used(since: str, tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.1, 0.2])
    written.end(written.begin(), 0.3, "interrupted")
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "backup.db")
    if since == "a trial began":
        written.add([0.9])
    else:
        written.end(2, 0.9)
        tomorrow = round(1000 * (time.time() + 86_400))
        written.tracker._client.set_terminated(written.trials[2][1], "FINISHED", tomorrow)
    assert study(copying(tmp_path)).trials["validation"].max() == 0.9
    shutil.copy(tmp_path / "backup.db", tmp_path / "mlflow.db")
    found = study(copying(tmp_path))
    assert found.trials["validation"].tolist() == [0.1, 0.2, 0.3]
    assert found.trials["state"].tolist() == ["complete", "complete", "interrupted"]


def test_the_next_dashboard_does_not_show_runs_that_were_deleted(tmp_path: Path) -> None:
    written = Written(tmp_path)
    written.add([0.1, 0.2, 0.3])
    assert len(study(copying(tmp_path)).trials) == 3
    written.tracker._client.delete_run(written.trials[1][1])
    assert study(copying(tmp_path)).trials["trial"].tolist() == [0, 2]


def test_a_run_that_is_deleted_while_it_runs_does_not_run_on(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    written.add([0.1])
    number = written.begin()
    first = study(store)
    written.tracker._client.delete_run(written.trials[number][1])
    found = study(store)
    assert found.trials["trial"].tolist() == [0]
    assert found.version > first.version  # pages are drawn again


def test_a_copy_that_cannot_be_read_is_made_anew(tmp_path: Path, cache: Path) -> None:
    Written(tmp_path).add([0.1, 0.2])
    assert len(study(copying(tmp_path)).trials) == 2
    (copy,) = cache.rglob("*.parquet")
    copy.write_bytes(b"damaged")
    assert len(study(copying(tmp_path)).trials) == 2
    assert copy.read_bytes() != b"damaged"


def test_where_no_copy_can_be_kept_all_is_read_each_time(tmp_path: Path, cache: Path) -> None:
    Written(tmp_path).add([0.1, 0.2])
    (cache / "convsearch").write_text("a file, and no folder")
    assert len(study(copying(tmp_path)).trials) == 2
    assert len(study(copying(tmp_path)).trials) == 2


def test_a_copy_is_written_whatever_another_dashboard_is_writing(tmp_path: Path) -> None:
    place, table = tmp_path / "copies" / "one.parquet", pd.DataFrame({"trial": [1, 2]})
    place.with_suffix(".partial").mkdir(parents=True)  # what versions before would all write to
    copies.save(place, table)
    found = copies.load(place)
    assert found is not None
    pd.testing.assert_frame_equal(found, table)
    assert sorted(path.name for path in place.parent.iterdir()) == ["one.parquet", "one.partial"]


def test_what_a_killed_dashboard_has_left_of_a_copy_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    left, written = (tmp_path / PARTIAL.format(name) for name in ("left", "written"))
    for path in (left, written):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    copies.save(tmp_path / "one.parquet", pd.DataFrame({"trial": [1, 2]}))
    assert {path.name for path in tmp_path.iterdir()} == {"one.parquet", written.name}


def test_a_store_that_a_search_is_about_to_make_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()  # SQLite makes the file first, and MLflow its tables one after the other
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table experiments (experiment_id integer)")
    before = path.read_bytes()
    store = Store(tmp_path, fresh=0.0)
    assert store.names() == []
    assert store.study("birds") is None
    assert path.read_bytes() == before
    path.unlink()
    Written(tmp_path).add([0.5])
    assert store.names() == ["birds"]
