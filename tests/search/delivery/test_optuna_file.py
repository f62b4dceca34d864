"""`optuna.db`: plain Optuna, with the record's numbers, whatever was killed or lost in between."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from descriptors import descriptors_left
from optuna.trial import TrialState
from samples import a_study

from convsearch.search.delivery.optuna_file import FILE, DamagedError, OptunaFile
from convsearch.search.delivery.program import Follower, ToOptuna
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.objectives import DEFAULT
from convsearch.search.study.record import FILE as RECORD
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import State
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, presets
from convsearch.spaces.errors import WorkError
from convsearch.spaces.space import SearchSpace

SPACE = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)


def stored(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """The trials of the only study, as anybody opens it who has Optuna and not Convsearch."""
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder / FILE}").get_trials()


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


def names(folder: Path) -> list[str]:
    return optuna.get_all_study_names(f"sqlite:///{folder / FILE}")


def test_the_study_has_its_own_name_and_keeps_it_if_its_folder_is_renamed(tmp_path: Path) -> None:
    first, second = begun(2)
    (tmp_path / "birds").mkdir()
    file = OptunaFile(tmp_path / "birds", SPACE, DEFAULT)
    file.began(first)
    file.close()
    assert names(tmp_path / "birds") == ["birds"]
    renamed = (tmp_path / "birds").rename(tmp_path / "more birds")
    file = OptunaFile(renamed, SPACE, DEFAULT)
    file.began(second)
    file.close()
    assert names(renamed) == ["birds"]
    assert [trial.user_attrs["hash"] for trial in stored(renamed)] == [first.hash, second.hash]


def test_a_file_of_an_earlier_version_goes_on_under_the_name_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    optuna.create_study(study_name="study", storage=f"sqlite:///{tmp_path / 'birds' / FILE}", direction="maximize")
    (trial,) = begun(1)
    file = OptunaFile(tmp_path / "birds", SPACE, DEFAULT)
    file.began(trial)
    file.close()
    assert names(tmp_path / "birds") == ["study"]
    assert [frozen.user_attrs["hash"] for frozen in stored(tmp_path / "birds")] == [trial.hash]


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


def test_a_file_that_is_damaged_while_it_is_written_is_named(tmp_path: Path) -> None:
    first, second = begun(2)
    file = OptunaFile(tmp_path, SPACE, DEFAULT)
    file.began(first)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(b"no database " * (len(content) // 12))
    with closing(file), pytest.raises(DamagedError, match=r"optuna\.db: "):
        file.began(second)


# ---------------------------------------------------------------------- out of reach, and not damaged


@pytest.mark.parametrize("lock", ["exclusive", "immediate"])
@pytest.mark.parametrize("with_study", [True, False])
def test_a_file_that_another_program_locks_is_not_damaged(tmp_path: Path, lock: str, with_study: bool) -> None:
    if with_study:
        OptunaFile(tmp_path, SPACE, DEFAULT).close()
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute(f"begin {lock}")
        with pytest.raises(WorkError) as refused:
            OptunaFile(tmp_path, SPACE, DEFAULT, patience=0)
    assert str(refused.value) == f"{tmp_path / FILE}: database is locked"
    OptunaFile(tmp_path, SPACE, DEFAULT).close()


@pytest.mark.parametrize("left", [0, 1])
def test_a_file_for_which_no_descriptor_is_left_is_not_damaged(tmp_path: Path, left: int) -> None:
    OptunaFile(tmp_path, SPACE, DEFAULT).close()
    with descriptors_left(left), pytest.raises(WorkError):
        OptunaFile(tmp_path, SPACE, DEFAULT)
    OptunaFile(tmp_path, SPACE, DEFAULT).close()


def delivery_of(place: Path, trials: list[Trial], notes: list[str]) -> Follower:
    """What delivers the record of a study, with these trials, to its `optuna.db`."""
    folder = StudyFolder(place / "mine")
    with folder.create(a_study(name="mine"), presets()["tiny"].read_text(encoding="utf-8")):
        pass
    for trial in trials:
        folder.record().add(trial)
    deliver = ToOptuna(folder, lambda note: notes.append(note))
    deliver.follower = Follower(folder.path / RECORD, deliver)
    return deliver.follower


def test_a_file_that_cannot_be_opened_stays_as_it_is_and_is_tried_again(tmp_path: Path) -> None:
    notes: list[str] = []
    delivery = delivery_of(tmp_path, begun(2), notes)
    place = tmp_path / "mine" / FILE
    place.mkdir()
    assert not delivery.step()
    assert delivery.trouble == f"{place}: unable to open database file"
    place.rmdir()
    delivery.not_before = 0.0
    while delivery.step():
        pass
    assert delivery.trouble is None
    assert len(stored(place.parent)) == 2
    assert notes == []


def test_a_damaged_file_is_set_aside_beside_earlier_ones(tmp_path: Path) -> None:
    notes: list[str] = []
    delivery = delivery_of(tmp_path, begun(2), notes)
    place = tmp_path / "mine" / FILE
    aside = [place.with_name(f"{FILE}.damaged{suffix}") for suffix in ("", "-2", "-3")]
    contents = [f"damage {number} ".encode() * 200 for number in range(3)]
    for path, content in zip((*aside[:2], place), contents, strict=True):
        path.write_bytes(content)
    while delivery.step():
        pass
    assert [path.read_bytes() for path in aside] == contents
    assert notes == [f"{place}: file is not a database: moved to {FILE}.damaged-3 and rebuilt"]
    assert len(stored(place.parent)) == 2
