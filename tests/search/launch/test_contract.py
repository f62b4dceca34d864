"""What a study that goes on keeps of what it was begun with, and what a launch may change from then on."""

import io
import os
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import searches
from rich.console import Console
from samples import completed, write_result

from convsearch.search.data.splits import Split
from convsearch.search.launch.contract import joined_contract, new_contract, resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.launch.wiring import engine_for
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.loop.time_used import FILE
from convsearch.search.study.folder import hash_of
from convsearch.search.study.home import Home
from convsearch.search.study.settings import StudySettings
from convsearch.search.study.shared import shared_of
from convsearch.search.study.trial import Trial
from convsearch.spaces.definition import presets
from convsearch.spaces.errors import InputError


@pytest.fixture
def begun(tmp_path: Path) -> Prepared:
    """A study of four trials and half an hour."""
    return searches.prepared(Home(tmp_path / "home"), space="tiny", trials=4, minutes=30)


def resumed(begun: Prepared, **given: Any) -> StudySettings:
    """Go on with it as far as the search; return what stands in its folder."""
    home = Home(begun.folder.path.parent)
    options = Options(home=home.path, study="mine", resume=True, **given)
    contract = resumed_contract(begun.folder, options)
    with ExitStack() as held:
        prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    return begun.folder.read()


def limits(study: StudySettings) -> tuple[int | None, float | None]:
    return study.trials, study.minutes


def test_limits_that_resume_gives_are_the_studys_from_then_on(begun: Prepared) -> None:
    assert limits(begun.folder.read()) == limits(resumed(begun)) == (4, 30)
    assert limits(resumed(begun, trials=9)) == (9, None)
    assert limits(resumed(begun)) == (9, None)
    (begun.folder.path / FILE).write_text("90.0\n")
    assert limits(resumed(begun, minutes=10)) == (None, 11.5)  # ten minutes from now on
    assert limits(resumed(begun)) == (None, 11.5)
    assert limits(resumed(begun, trials=12, minutes=0.5)) == (12, 2)
    assert begun.study.model_copy(update={"trials": 12, "minutes": 2}) == resumed(begun)


def test_a_loop_that_joins_has_limits_of_its_own_or_those_of_the_first(begun: Prepared) -> None:
    storage = "postgresql://me@host/x"
    shared = shared_of(begun.study, "layers: [1]\n", begun.split)

    def joined(**given: Any) -> tuple[int | None, float | None]:
        options = Options(home=begun.folder.path.parent, study="mine", storage=storage, **given)
        terms = joined_contract(begun.folder, options, shared).terms
        assert isinstance(terms, StudySettings)
        return limits(terms)

    assert joined() == (4, 30)
    assert joined(minutes=5) == (None, 5)
    assert joined(trials=40) == (40, None)


def test_a_new_study_knows_its_space_by_the_hash(begun: Prepared) -> None:
    assert begun.study.space_hash == hash_of(begun.folder.space_file.read_text(encoding="utf-8"))
    assert resumed(begun) == begun.study


def test_a_space_is_read_once_as_a_pipe_gives_it_once(tmp_path: Path) -> None:
    text = (presets()["tiny"]).read_text(encoding="utf-8")
    pipe = tmp_path / "space.yaml"
    os.mkfifo(pipe)
    writer = Thread(target=lambda: pipe.write_text(text, encoding="utf-8"))
    writer.start()
    begun = searches.prepared(Home(tmp_path / "home"), space=str(pipe))
    writer.join()
    assert begun.folder.space_file.read_text(encoding="utf-8") == text


def test_the_same_limit_written_otherwise_is_no_other_one(tmp_path: Path) -> None:
    objectives = ("val_accuracy", "parameters")
    begun = searches.prepared(Home(tmp_path / "home"), space="tiny", objectives=objectives, under="parameters=50000")
    assert resumed(begun, under="parameters=50_000").under == "parameters=50000"
    assert resumed(begun, under="parameters=40_000").under == "parameters=40_000"
    shared = shared_of(begun.study, "layers: [1]\n", begun.split)
    storage = "postgresql://me@host/x"
    options = Options(home=tmp_path, study="mine", storage=storage, under="parameters=5e4")
    assert joined_contract(begun.folder, options, shared).terms.under == "parameters=50000"


def test_a_split_of_another_number_of_images_is_refused_by_its_file(begun: Prepared) -> None:
    begun.folder.split.unlink()
    Split(np.arange(8), np.arange(8, 10), np.arange(10, 12)).save(begun.folder.split)
    with pytest.raises(InputError, match=r"split\.npz: damaged: it does not divide the 1,797 images"):
        resumed(begun)


def test_a_link_to_a_study_is_no_copy_of_it(begun: Prepared) -> None:
    home = Home(begun.folder.path.parent)
    (home.path / "latest").symlink_to(begun.folder.path)
    home.refuse_a_copy(begun.folder)


@pytest.mark.parametrize("key", ["engine", "algorithm", "pruner"])
def test_a_method_that_nobody_knows_is_refused_with_the_file(begun: Prepared, key: str) -> None:
    begun.folder.write(begun.study.model_copy(update={key: "guess"}))
    with pytest.raises(InputError, match=r"study\.yaml: .*guess"):
        resumed(begun)


@pytest.fixture
def digits_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of that name in the current one."""
    (tmp_path / "here" / "digits").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here" / "digits"


@pytest.mark.parametrize(("name", "known"), [("digits", "omit --data"), ("keras:mnist", "start in another one")])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_name_of_a_known_data_set_that_something_here_has_too_is_refused_with_how_to_write_either(
    name: str, known: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home, options = Home(tmp_path / "home"), Options(home=tmp_path / "home", space="tiny", data=name)
    assert new_contract(home, home.study("mine"), options).source == name
    (tmp_path / name).mkdir() if kind == "folder" else (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"^--data {name}: .* {kind} .* write \./{name} for the {kind}, or {known}"):
        new_contract(home, home.study("mine"), options)


@pytest.mark.usefixtures("digits_here")
def test_with_its_path_it_is_the_folder_and_by_default_what_is_built_in(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    def source(**given: Any) -> str:
        options = Options(home=home.path, space="tiny", **given)
        return new_contract(home, home.study("mine"), options).source

    assert source(data="./digits") == "./digits"
    assert source() == "digits"


def test_a_study_on_what_is_built_in_goes_on_beside_a_folder_of_that_name(begun: Prepared, digits_here: Path) -> None:
    assert resumed(begun) == resumed(begun, data="digits") == begun.study
    begun.folder.write(begun.study.model_copy(update={"data": begun.study.data.model_copy(update={"source": "./own"})}))
    with pytest.raises(InputError, match=r"write \./digits for the folder"):
        resumed(begun, data="digits")


@pytest.mark.parametrize(
    ("empty", "said"),
    [
        ("data", "unknown data ''"),
        ("space", "the space cannot be read"),
        ("engine", "unknown engine"),
        ("algorithm", "unknown algorithm ''"),
        ("pruner", "unknown pruner ''"),
    ],
)
def test_an_empty_option_is_never_the_default(empty: str, said: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(InputError, match=said):
        new_contract(home, home.study("mine"), Options(**{"home": home.path, "space": "tiny", empty: ""}))  # type: ignore[arg-type]


@pytest.fixture
def won(tmp_path: Path) -> Prepared:
    """A finished study of two objectives, whose only trial has won."""
    objectives = ("val_accuracy", "parameters")
    begun = searches.prepared(Home(tmp_path / "home"), space="tiny", trials=1, objectives=objectives)
    proposal = engine_for(begun, Budget(None, None)).ask()
    assert proposal is not None
    begun.record.add(trial := Trial.begin(proposal))
    begun.record.add(completed(trial))
    write_result(begun.folder)
    return begun


def too_little(study: Prepared) -> str:
    """A limit that its trial just exceeds, and others would not."""
    return f"parameters={study.record.trials[0].parameters - 1}"


@pytest.mark.parametrize("limits", [{"trials": 1}, {"minutes": 30}])
def test_a_limit_that_no_trial_meets_is_refused_before_it_is_kept(won: Prepared, limits: dict[str, int]) -> None:
    won.folder.write(won.study.model_copy(update={"trials": None, "minutes": None} | limits))
    before = won.folder.file.read_bytes()
    with pytest.raises(
        InputError, match=r"no trial is within that limit; the lowest is .*The study is as it was: give"
    ):
        resumed(won, under=too_little(won))
    assert won.folder.file.read_bytes() == before


@pytest.mark.parametrize("more", [{"trials": 2}, {"minutes": 60}])
def test_it_is_kept_where_further_trials_may_meet_it(won: Prepared, more: dict[str, int]) -> None:
    assert resumed(won, under=too_little(won), **more).under == too_little(won)


def test_it_is_kept_in_a_study_that_has_not_been_searched_to_its_end(won: Prepared) -> None:
    won.folder.write(won.study.model_copy(update={"trials": 2}))
    won.folder.result_file.unlink()
    assert resumed(won, under=too_little(won)).under == too_little(won)


def test_a_limit_can_be_taken_back(won: Prepared) -> None:
    won.folder.write(won.study.model_copy(update={"under": too_little(won)}))
    assert resumed(won).under == too_little(won)
    assert resumed(won, under="none").preference.under is None
    assert resumed(won) == won.study
    assert searches.prepared(Home(won.folder.path.parent / "new"), space="tiny", under="none").study.under is None


def test_a_loop_that_joins_may_say_that_there_is_no_limit_only_if_there_is_none(won: Prepared) -> None:
    options = Options(home=won.folder.path.parent, study="mine", storage="postgresql://me@host/x", under="none")
    assert joined_contract(won.folder, options, shared_of(won.study, "layers: [1]\n", won.split)).terms.under is None
    limited = won.study.model_copy(update={"under": "parameters=9000"})
    with pytest.raises(InputError, match="has --under parameters=9000, not none"):
        joined_contract(won.folder, options, shared_of(limited, "layers: [1]\n", won.split))
