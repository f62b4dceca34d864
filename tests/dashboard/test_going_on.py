"""What happens to runs between two looks: they end late, go on, and end again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from samples import a_study
from sqlalchemy import Engine, event
from stores import Written
from test_mlflow_store import cache, copying, study  # noqa: F401  (a fixture)

from convsearch.dashboard.reading.progress import progress_of
from convsearch.dashboard.reading.store import Store
from convsearch.search.study.folder import StudyFolder
from convsearch.search.values.limits import Limits


def client(written: Written) -> MlflowClient:
    return MlflowClient(written.tracker.uri)


def test_a_run_that_is_read_while_its_end_is_written_ends_later(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    number = written.begin()
    run = written.trials[number][1]
    client(written).set_tag(run, "state", "complete")  # first its tags and curves, then its end
    assert study(store).trials["ended"].isna().all()
    written.end(number, 0.5)
    assert study(store).trials["ended"].notna().all()


@pytest.mark.parametrize("begun_anew", [False, True])
def test_a_run_that_ended_long_before_the_newest_end_is_seen_to_have_ended(begun_anew: bool, tmp_path: Path) -> None:
    # A clock that went back, a machine whose clock is wrong, a page that was read before another.
    written, store = Written(tmp_path), copying(tmp_path)
    number = written.begin()
    written.add([0.9])
    assert study(store).trials["state"].tolist() == ["running", "complete"]
    made, run = client(written), written.trials[number][1]
    made.set_tag(run, "state", "complete")
    made.set_terminated(run, "FINISHED", round(1000 * (datetime.now(UTC) - timedelta(hours=1)).timestamp()))
    store = copying(tmp_path) if begun_anew else store
    assert study(store).trials["state"].tolist()[:2] == ["complete", "complete"]


def test_a_trial_that_went_on_between_two_looks_has_its_new_value_and_curve(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    number = written.begin()
    written.end(number, 0.3, "interrupted", "the search was ended while the trial ran")
    before = study(store)
    assert before.trials["error"].tolist() == ["the search was ended while the trial ran"]
    assert store.curves(before, [number])[number]["val_accuracy"].max() == 0.3
    written.tracker.resumed(written.trials[number][1])
    written.end(number, 0.9)
    after = study(store)
    assert after.trials["validation"].tolist() == [0.9]
    assert after.trials["error"].isna().all()  # it is complete: what interrupted it is past
    assert store.curves(after, [number])[number]["val_accuracy"].max() == 0.9


def test_a_trial_that_failed_has_nothing_of_what_it_had_reached_before_it_was_resumed(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    number = written.begin()
    written.end(number, 0.9, "pruned")  # it waits at a rung
    assert study(store).trials["validation"].tolist() == [0.9]
    written.tracker.resumed(written.trials[number][1])
    written.end(number, None, "failed", "the loss became NaN in epoch 3")
    found = study(store)
    assert found.trials["error"].tolist() == ["the loss became NaN in epoch 3"]
    assert found.trials[["validation", "gap", "best epoch"]].isna().all(axis=None)
    assert found.best is None


def test_damaged_runs_are_no_news_at_every_look(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    written.add([0.5])
    running = written.begin()
    client(written).set_tag(written.trials[running][1], "number", "9" * 25)
    first = study(store)
    assert first.trials["trial"].tolist() == [0]
    client(written).set_tag(written.trials[0][1], "looked", "at")  # the file is another one
    assert study(store) is first


def test_a_study_at_rest_is_not_asked_for_its_trials(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    written.add([0.5])
    written.finish()
    first = study(store)
    client(written).set_tag(written.trials[0][1], "looked", "at")
    assert study(store) is first
    again = Written(tmp_path)  # somebody goes on with it
    again.trials = written.trials
    again.add([0.75])
    assert study(store).trials["validation"].tolist() == [0.5, 0.75]


def test_launches_that_came_between_two_looks_are_seen_in_each_study(tmp_path: Path) -> None:
    def seen() -> dict[str, list[str]]:
        return {name: [launch.status for launch in study(store, name).launches] for name in store.names()}

    cats, birds = Written(tmp_path, "cats"), Written(tmp_path, "birds")
    birds.finish()
    store = Store(tmp_path, fresh=0.0)
    assert seen() == {"birds": ["FINISHED"], "cats": ["RUNNING"]}
    cats.finish()
    Written(tmp_path, "birds").finish(finished=False)
    Written(tmp_path, "dogs")
    assert seen() == {"dogs": ["RUNNING"], "birds": ["FINISHED", "KILLED"], "cats": ["FINISHED"]}


@pytest.mark.parametrize("deleted", [False, True])
def test_a_launch_that_ended_long_ago_or_was_deleted_does_not_run_on(deleted: bool, tmp_path: Path) -> None:
    old, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    Written(tmp_path, "cats").finish()
    assert [launch.status for launch in study(store).launches] == ["RUNNING"]
    if deleted:
        client(old).delete_run(old.parent)
    else:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        client(old).set_terminated(old.parent, "FINISHED", round(1000 * yesterday.timestamp()))
    assert [launch.status for launch in study(store).launches] == ([] if deleted else ["FINISHED"])


def test_many_studies_at_rest_are_asked_for_at_once(tmp_path: Path) -> None:
    def statements(count: int) -> int:
        """Return how many statements of SQL a look at so many studies takes, when one of them has changed."""
        home = tmp_path / str(count)
        for number in range(count):
            written = Written(home, f"study-{number}")
            written.add([0.5])
            written.finish()
        store, told = Store(home, fresh=0.0), []
        for name in store.names():
            study(store, name)
        client(written).set_tag(written.trials[0][1], "looked", "at")  # the file is another one
        listener = lambda *statement: told.append(statement)  # noqa: E731
        event.listen(Engine, "before_cursor_execute", listener)
        try:
            for name in store.names():
                study(store, name)
        finally:
            event.remove(Engine, "before_cursor_execute", listener)
        return len(told)

    assert 0 < statements(2) == statements(6)


def test_a_shared_study_is_finished_if_the_loop_that_ended_last_finished_it(tmp_path: Path) -> None:
    first = Written(tmp_path, loop="a")
    second = Written(tmp_path, loop="b")
    second.finish(finished=False)
    first.finish()
    assert progress_of(study(Store(tmp_path)), tmp_path).state == "finished"


def test_a_loop_that_was_killed_is_seen_where_the_homes_own_file_is_also_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StudyFolder(tmp_path / "birds").create(a_study(name="birds"), "layers: [1]\n"):
        Written(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert progress_of(study(Store(tmp_path)), tmp_path).state == "interrupted"


def test_the_time_left_is_the_lesser_of_what_minutes_and_trials_leave(tmp_path: Path) -> None:
    written = Written(tmp_path, limits=Limits(3, datetime.now(UTC) + timedelta(hours=10)))
    written.add([0.5, 0.6])
    told = progress_of(study(Store(tmp_path)), tmp_path).text
    assert told.startswith("running: 2 of 3 trials, about ")
    assert " h " not in told


def test_a_launch_that_goes_on_is_told_by_its_own_limits(tmp_path: Path) -> None:
    written = Written(tmp_path, limits=Limits(2))
    written.add([0.5, 0.6])
    written.finish()
    until = datetime.now(UTC) + timedelta(minutes=10)
    going_on = Written(tmp_path, limits=Limits(None, until))
    progress = progress_of(study(Store(tmp_path)), tmp_path, until - timedelta(minutes=4))
    assert progress.text == "running: 2 trials, about 4 min 00 s left"
    going_on.finish()
    Written(tmp_path, limits=Limits(5))
    assert progress_of(study(Store(tmp_path)), tmp_path).text == "running: 2 of 5 trials"
