"""What another study found, brought to this study's space: other images, other classes, other depths.

And what is said of the images that the other study knows.
"""

import io
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import searches
from rich.console import Console
from samples import completed

from convsearch.search.export.model_card import Facts, model_card
from convsearch.search.launch.announcement import announce
from convsearch.search.launch.contract import joined_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.launch.warm_start import TAKEN, warm_values
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.shared import shared_of
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace


def other(folder: Path, values: dict[int, float]) -> StudyFolder:
    """A study of colour images of three classes, with a plain network of so many filters for each value."""
    space = SearchSpace(load("classic"), Volume(48, 48, 3), 3)
    folder.mkdir()
    record = Record(folder)
    for number, (filters, value) in enumerate(values.items()):
        wished: dict[str, str | int] = {"layers": 3, "layer1.filters": 32}
        wished |= {"layer2.filters": filters, "layer3.filters": filters}
        wished |= {"layer1.pooling": "max", "layer2.pooling": "max"}
        fitted = space.fit(
            {
                name: dimension.nearest(wished.get(name, _first(space, name)))
                for name, dimension in space.dimensions.items()
            }
        )
        trial = Trial.begin(Proposal(number, fitted, space.candidate(fitted)))
        record.add(trial.model_copy(update={"state": "complete", "value": value}))
    return StudyFolder(folder)


def _first(space: SearchSpace, name: str) -> str | int | float | bool:
    dimension = space.dimensions[name]
    return dimension.values[0] if dimension.values else 0.001


def test_the_best_are_taken_the_best_first_whatever_size_depth_and_classes_the_images_have(tmp_path: Path) -> None:
    study = other(tmp_path / "other", {16: 0.5, 32: 0.8, 64: 0.9, 96: 0.7})
    for volume, classes in ((Volume(8, 8, 1), 10), (Volume(32, 100, 3), 2), (Volume(5, 5, 1), 40)):
        space = SearchSpace(load("classic"), volume, classes)
        found = warm_values(study, space)
        assert [values["layer2.filters"] for values in found] == [64, 32, 96][:TAKEN]
        for values in found:
            assert space.fit(values) == values
            architecture = space.candidate(values).architecture
            assert (architecture.input, architecture.classes) == (volume, classes)


def test_a_study_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--warm-start other: that study has no trial with a result yet"):
        warm_values(other(tmp_path / "other", {}), SearchSpace(load("classic"), Volume(8, 8, 1), 10))


# ---------------------------------------------------------------------- what the other study knows

MakeClasses = Callable[..., Path]
SaveImage = Callable[..., Path]


def begun(home: Home, name: str, **options: Any) -> Prepared:
    """A new study of that name, in the space `tiny`, with one trial."""
    made = searches.prepared(home, space="tiny", **options)
    made.folder.path.rename(home.study(name).path)
    study = made.study.model_copy(update={"name": name})
    folder = home.study(name)
    folder.write(study)
    record, values = folder.record(), made.space.fit({n: _first(made.space, n) for n in made.space.dimensions})
    record.add(completed(Trial.begin(Proposal(0, values, made.space.candidate(values)))))
    return Prepared(folder, study, made.dataset, made.split, made.space, record, None)


def joined(home: Home, first: Prepared) -> Prepared:
    """The same study, in the home of another loop that joins it."""
    shared = shared_of(first.study, first.folder.space_file.read_text(encoding="utf-8"), first.split)
    options = Options(home=home.path, storage="postgresql://me@host/x", study=first.study.name)
    with ExitStack() as held:
        contract = joined_contract(home.study(first.study.name), options, shared)
        found = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    assert found is not None
    return found


def test_a_loop_that_joins_a_shared_study_says_what_its_warm_start_knows_and_so_does_its_model_card(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    begun(home, "a", seed=0)
    first = begun(home, "b", seed=3, warm_start="a")
    (note,) = first.study.warm_notes
    assert note.startswith("study a chose its best networks")
    found = joined(Home(tmp_path / "other"), first)
    console = Console(file=io.StringIO())
    announce(found, Budget(None, None), console)
    assert isinstance(console.file, io.StringIO)
    assert f"  note: {note}\n" in console.file.getvalue()
    trial = first.record.trials[0]
    card = model_card(Facts(found.study, trial, trial.candidate, {"complete": 1}, 0.75, "here", None))
    assert f"\n- {note}" in card
    assert found.folder.read().warm_notes == (note,)  # also of a loop that goes on


def test_a_study_from_another_home_is_known_by_its_identity_and_its_namesake_here_is_none_of_the_chain(
    tmp_path: Path,
) -> None:
    home, elsewhere = Home(tmp_path / "home"), Home(tmp_path / "elsewhere")
    begun(home, "a", seed=5)  # older than all of them
    a = begun(elsewhere, "a", seed=0)
    assert begun(elsewhere, "b", seed=3, warm_start="a").study.warm_start_id == a.study.id
    shutil.copytree(elsewhere.study("b").path, home.study("b").path)
    (note,) = begun(home, "c", seed=6, warm_start="b").study.warm_notes
    assert note.startswith("study b chose")
    shutil.rmtree(home.study("a").path)
    shutil.copytree(a.folder.path, home.study("a").path)
    notes = begun(home, "d", seed=6, warm_start="b").study.warm_notes
    assert [note.split(" chose")[0] for note in notes] == ["study b", "study a"]
    assert "by way of b" in notes[1]


def test_a_namesake_of_another_home_whose_split_is_damaged_is_none_of_the_chain_either(tmp_path: Path) -> None:
    home, elsewhere = Home(tmp_path / "home"), Home(tmp_path / "elsewhere")
    begun(home, "a").folder.split.write_bytes(b"damaged")
    begun(elsewhere, "a")
    begun(elsewhere, "b", warm_start="a")
    shutil.copytree(elsewhere.study("b").path, home.study("b").path)
    assert begun(home, "c", warm_start="b").study.warm_notes == ()


def test_a_study_of_which_an_earlier_version_stored_no_identity_started_with_none_that_is_younger(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    a = begun(home, "a", seed=0)
    b = begun(home, "b", seed=3, warm_start="a")
    lines = b.folder.file.read_text(encoding="utf-8").splitlines(keepends=True)
    b.folder.file.write_text("".join(line for line in lines if not line.startswith("warm_start_id")), encoding="utf-8")
    assert b.folder.read().warm_start_id is None
    assert len(begun(home, "c", seed=6, warm_start="b").study.warm_notes) == 2
    a.folder.write(a.study.model_copy(update={"created_at": "2999-01-01T00:00:00+00:00"}))
    assert len(begun(home, "d", seed=6, warm_start="b").study.warm_notes) == 1


def test_where_the_images_have_changed_since_it_is_said_that_what_was_known_of_them_cannot_be_told(
    tmp_path: Path, make_classes: MakeClasses, save_image: SaveImage
) -> None:
    home, images = Home(tmp_path / "home"), make_classes(tmp_path / "set", {"cat": 9, "dog": 9})
    begun(home, "a", data=str(images))
    assert begun(home, "b", data=str(images), warm_start="a").study.warm_notes == ()
    save_image(images / "cat" / "one more.png")
    (note,) = begun(home, "c", data=str(images), warm_start="a").study.warm_notes
    assert note.startswith("study a chose its best networks, which are tried first, with images of set that have chang")
    assert "how many of the" in note
    assert "cannot be told" in note


@pytest.mark.parametrize(("name", "classes"), [("other", ("cat", "dog")), ("set", ("cat", "cow"))])
def test_of_a_study_of_different_images_nothing_is_said(
    name: str, classes: tuple[str, ...], tmp_path: Path, make_classes: MakeClasses
) -> None:
    home = Home(tmp_path / "home")
    begun(home, "a", data=str(make_classes(tmp_path / "set", {"cat": 9, "dog": 9})))
    images = make_classes(tmp_path / "elsewhere" / name, dict.fromkeys(classes, 12))
    assert begun(home, "b", data=str(images), warm_start="a").study.warm_notes == ()
