"""A study of format 2 as the version of November 2026 left it: every verb opens it, and it goes on as what it was."""

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from terminal import convsearch, typed

from convsearch.dashboard.reading.folders import study_folder
from convsearch.dashboard.reading.store import Store
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home

ARCHIVE = Path(__file__).parents[1] / "studies" / "format-2.tar.xz"
NAME = "old"


def unpacked(home: Path) -> StudyFolder:
    """The study in a home of its own, as if it had been made there."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(home, filter="data")
    return Home(home).study(NAME)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return unpacked(tmp_path_factory.mktemp("old") / "home")


def test_it_is_listed_shown_compared_and_explained(old: StudyFolder) -> None:
    home = old.path.parent
    for words, expected in (
        (("studies",), NAME),
        (("show", NAME), "test accuracy"),
        (("compare", NAME), NAME),
        (("explain", NAME), "8c"),
    ):
        done = typed(*words, "--home", home)
        assert (done.returncode, done.stderr) == (0, "")
        assert expected in done.stdout
    shown = json.loads(typed("show", NAME, "--json", "--home", home).stdout)
    assert len(shown["trials"]) == 4


def test_the_dashboard_has_its_trials_and_its_winner(old: StudyFolder) -> None:
    study = Store(old.path.parent).study(NAME)
    assert study is not None
    assert len(study.trials) == 4
    assert study.best is not None


def test_its_winner_and_a_trial_are_exported_and_predict(old: StudyFolder, tmp_path: Path) -> None:
    kept = old.kept()[0]
    for what, to in ((NAME, tmp_path / "winner"), (f"{NAME}:{kept}", tmp_path / "trial")):
        done = convsearch("export", what, "--to", to, "--home", old.path.parent)
        assert (done.returncode, done.stderr) == (0, "")
        assert (to / "model.keras").is_file()


def test_with_its_space_changed_by_hand_only_what_needs_the_space_is_refused(tmp_path: Path) -> None:
    old = unpacked(tmp_path / "home")
    home, space = old.path.parent, old.space_file.read_text(encoding="utf-8")
    number, trial = next(iter(old.record().trials.items()))
    name = next(iter(trial.values))
    old.space_file.write_text("layers: [1]\n", encoding="utf-8")
    for words in (("show", NAME), ("show", NAME, "--json"), ("run", "--study", NAME, "--resume")):
        done = typed(*words, "--home", home)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"space.yaml: trial {number} has {name} " in done.stderr
        assert "Restore it" in done.stderr
    for words in (("studies",), ("compare", NAME), ("explain", NAME)):
        assert typed(*words, "--home", home).returncode == 0
    old.space_file.write_text(space, encoding="utf-8")
    assert typed("show", NAME, "--home", home).returncode == 0


def test_it_goes_on_as_what_it_was(tmp_path: Path) -> None:
    old = unpacked(tmp_path / "home")
    before, trials = old.read(), old.record().trials
    done = convsearch("run", "--study", NAME, "--resume", "--trials", 6, "--home", old.path.parent)
    assert done.returncode == 0, done.stderr
    after, record = old.read(), old.record()
    assert {number: trial.hash for number, trial in trials.items()}.items() <= {
        number: trial.hash for number, trial in record.trials.items()
    }.items()
    assert record.finished() == 6
    for key in ("created_at", "data", "epochs", "space", "answers", "seed", "objectives"):
        assert getattr(after, key) == getattr(before, key)
    with closing(sqlite3.connect(old.path.parent / "mlflow.db")) as store:
        experiments = store.execute("select name from experiments where name != 'Default'").fetchall()
        runs = store.execute("select count(*) from tags where key = 'kind' and value = 'trial'").fetchone()
        places = {place for (place,) in store.execute("select artifact_uri from runs")}
    assert experiments == [(NAME,)]
    assert runs == (6,)
    assert all(place.startswith(f"{old.path.parent}/artifacts/{NAME}/") for place in places)


def test_it_may_be_renamed_but_not_copied(tmp_path: Path) -> None:
    old = unpacked(tmp_path / "home")
    home, identity = old.path.parent, old.read().id
    renamed = StudyFolder(old.path.rename(home / "renamed"))
    shutil.copytree(renamed.path, home / "copy")
    done = typed("run", "--study", "renamed", "--resume", "--trials", 4, "--home", home)
    assert done.returncode == 2
    assert "'renamed' and 'copy'" in done.stderr
    shutil.rmtree(home / "copy")
    done = convsearch("run", "--study", "renamed", "--resume", "--trials", 4, "--home", home)
    assert done.returncode == 0, done.stderr
    assert "nothing left to do" in done.stderr
    assert (renamed.read().name, renamed.read().id) == ("renamed", identity)
    study = Store(home).study(NAME)  # MLflow keeps its name
    assert study is not None
    found = study_folder(home, study.name, study.identity)
    assert found is not None
    assert found.path == renamed.path
