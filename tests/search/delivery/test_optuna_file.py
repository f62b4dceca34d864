"""`optuna.db`: plain Optuna, with the record's numbers, whatever was killed or lost in between."""

import shutil
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from convsearch.search.delivery.optuna_file import FILE, DamagedError, OptunaFile
from convsearch.search.engines.optuna import STUDY, OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.study.objectives import DEFAULT
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import State
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

SPACE = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)


def stored(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """The trials as anybody opens them who has Optuna and not Convsearch."""
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{folder / FILE}").get_trials()


def begun(count: int) -> list[Trial]:
    engine = OptunaEngine("random", "none", 3, 0, Proposals(SPACE, 0))
    found = []
    for _ in range(count):
        proposal = engine.ask()
        assert proposal is not None
        found.append(Trial.begin(proposal))
    return found


def ended(trial: Trial, state: State, *curve: float) -> Trial:
    return trial.model_copy(
        update={
            "state": state,
            "value": max(curve) if curve else None,
            "val_accuracy": curve,
            "epochs": len(curve),
            "ended_at": trial.started_at,
        }
    )


def test_optuna_reads_each_trial_under_its_number_with_state_values_epochs_and_architecture(tmp_path: Path) -> None:
    file = OptunaFile(tmp_path, SPACE, DEFAULT)
    trials = begun(5)
    for trial in trials:
        file.began(trial)
    file.ended(ended(trials[2], "failed"))  # they end in another order than they began
    file.ended(ended(trials[0], "complete", 0.25, 0.5))
    file.ended(ended(trials[1], "pruned", 0.25))
    file.ended(ended(trials[3], "interrupted", 0.25))
    file.close()
    found = stored(tmp_path)
    kinds = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.state for trial in found] == kinds
    assert found[0].value == 0.5
    assert [trial.intermediate_values for trial in found] == [{1: 0.25, 2: 0.5}, {1: 0.25}, {}, {}, {}]
    for trial, frozen in zip(trials, found, strict=True):
        assert frozen.params == trial.values
        assert frozen.user_attrs["hash"] == trial.hash
        assert frozen.user_attrs["architecture"] == str(trial.candidate.architecture)
    assert [frozen.user_attrs.get("interrupted", False) for frozen in found] == [False, False, False, True, False]


def test_what_is_there_already_is_not_written_twice(tmp_path: Path) -> None:
    trials = begun(2)
    for _ in range(2):  # as after a kill: the record is read from its beginning
        file = OptunaFile(tmp_path, SPACE, DEFAULT)
        for trial in trials:
            file.began(trial)
            file.ended(ended(trial, "complete", 0.5))
        file.close()
    assert [trial.values for trial in stored(tmp_path)] == [[0.5], [0.5]]


def test_a_file_that_was_lost_is_made_anew_with_numbers_that_the_record_does_not_have(tmp_path: Path) -> None:
    trials = begun(3)
    file = OptunaFile(tmp_path, SPACE, DEFAULT)
    file.began(trials[2])
    file.ended(ended(trials[2], "complete", 0.5))
    file.close()
    assert [trial.state for trial in stored(tmp_path)] == [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE]


def test_several_objectives_are_values_in_their_order(tmp_path: Path) -> None:
    (trial,) = begun(1)
    file = OptunaFile(tmp_path, SPACE, ("val_accuracy", "parameters"))
    file.began(trial)
    file.ended(ended(trial, "complete", 0.5))
    file.close()
    assert [found.values for found in stored(tmp_path)] == [[0.5, float(trial.parameters)]]


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at " * 40, b"SQLite format 3"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DamagedError, match=r"optuna\.db: "):
        OptunaFile(tmp_path, SPACE, DEFAULT)


def test_a_file_of_another_version_of_optuna_is_named(tmp_path: Path) -> None:
    OptunaFile(tmp_path, SPACE, DEFAULT).close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("update alembic_version set version_num = 'v99.0.0'")
    with pytest.raises(DamagedError, match=r"optuna\.db: "):
        OptunaFile(tmp_path, SPACE, DEFAULT)


def test_a_file_of_another_study_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = OptunaFile(tmp_path / "other", SPACE, DEFAULT)
    for trial in begun(2):
        other.began(trial)
    other.close()
    shutil.copyfile(tmp_path / "other" / FILE, tmp_path / FILE)
    first, second = begun(2)
    mixed = second.model_copy(update={"number": first.number})
    with pytest.raises(DamagedError, match="its trial 0 is a different one"):
        OptunaFile(tmp_path, SPACE, DEFAULT).began(mixed)
