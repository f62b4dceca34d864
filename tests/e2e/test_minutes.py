"""Searches by the clock: the minutes hold everything, and are what a study that was stopped goes on with."""

from pathlib import Path

import pytest
from terminal import convsearch, typed

from convsearch.search.loop.time_used import FILE as SPENT
from convsearch.search.loop.time_used import time_used
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home

MINUTES = 1.0  # in which any machine has a trial; how many, and what is left for the winner, is the machine's affair


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("minutes")


@pytest.fixture(scope="module")
def study(home: Path) -> StudyFolder:
    """A study that nothing ended but the clock."""
    done = convsearch("run", "--space", "tiny", "--minutes", MINUTES, "--study", "timed", "--home", home)
    assert done.returncode == 0, done.stderr
    return Home(home).existing("timed")


def test_the_minutes_hold_search_repeats_winner_and_export(study: StudyFolder) -> None:
    result = study.result()
    assert result is not None
    assert list(result.seconds) == ["beginning", "search", "repeats", "winner", "testing", "export", "publishing"]
    assert (study.bundle / "model.keras").exists()
    assert study.record().best()
    assert study.read().minutes == MINUTES


def test_the_seconds_that_a_study_takes_are_noted(study: StudyFolder) -> None:
    result = study.result()
    assert result is not None
    assert time_used(study.path) > sum(result.seconds.values()) - 1


def spend_the_rest(study: StudyFolder) -> None:
    """As if it had taken all its minutes: a quick machine may have trained the winner for as long as helps before."""
    (study.path / SPENT).write_text(f"{60 * MINUTES}\n", encoding="utf-8")


def test_a_study_whose_minutes_are_spent_has_nothing_left_to_do(study: StudyFolder, home: Path) -> None:
    spend_the_rest(study)
    before = study.result_file.read_bytes()
    done = typed("run", "--resume", "--study", "timed", "--home", home)
    assert done.returncode == 0, done.stderr
    assert "nothing left to do: the study is finished" in done.stderr
    assert study.result_file.read_bytes() == before


def test_a_study_that_was_killed_goes_on_for_what_is_left_of_its_minutes(study: StudyFolder, home: Path) -> None:
    spend_the_rest(study)
    study.result_file.unlink()  # as if it had been killed before its winner was tested
    known, taken = set(study.record().trials), time_used(study.path)
    done = convsearch("run", "--resume", "--study", "timed", "--home", home)
    assert done.returncode == 0, done.stderr
    assert set(study.record().trials) == known  # they are over: what there is becomes a bundle
    result = study.result()
    assert result is not None
    assert (result.trials, result.final) == (study.record().finished(), None)
    assert time_used(study.path) > taken


def test_minutes_in_which_what_there_is_cannot_become_a_bundle_are_refused_when_a_study_goes_on(
    study: StudyFolder, home: Path
) -> None:
    done = typed("run", "--resume", "--minutes", 0.1, "--study", "timed", "--home", home)
    assert done.returncode == 2
    assert "--minutes 0.1: too short" in done.stderr
    assert "with --minutes 0.4 the best trial so far is exported" in done.stderr


def test_minutes_in_which_a_study_without_a_trial_cannot_get_one_are_refused_when_it_goes_on(
    study: StudyFolder, home: Path
) -> None:
    (study.path / "trials.jsonl").unlink()
    done = typed("run", "--resume", "--minutes", 0.2, "--study", "timed", "--home", home)
    assert done.returncode == 2
    assert "--minutes 0.2: too short" in done.stderr
