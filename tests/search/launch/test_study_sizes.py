"""The sizes of a study's images: decided when it begins, and kept by whoever goes on with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import searches
import yaml

from convsearch.search.executors.local import LocalExecutor
from convsearch.search.images.resizing import at_size
from convsearch.search.launch.contract import joined_contract, new_contract, resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home
from convsearch.search.study.shared import shared_of
from convsearch.search.system.programs import Starter
from convsearch.spaces.errors import InputError
from convsearch.spaces.sizes import Fit

MakeClasses = Callable[..., Path]


@pytest.fixture
def photographs(tmp_path: Path, make_classes: MakeClasses) -> Path:
    return make_classes(tmp_path / "photographs", {"cat": 6, "dog": 6}, height=90, width=120)


def begun(photographs: Path, **options: Any) -> Prepared:
    return searches.prepared(Home(photographs.parent / "home"), data=str(photographs), space="tiny", **options)


def test_of_photographs_a_study_offers_sizes_and_keeps_them(photographs: Path) -> None:
    study = begun(photographs)
    sizes = [str(size) for size in study.study.sizes]
    assert len(sizes) > 1
    assert study.space.dimensions["input_size"].values == tuple(sizes)
    assert study.study.first_size in sizes
    assert sizes[-1] == f"{study.dataset.input.height}x{study.dataset.input.width}"
    again = study.folder.read()
    assert (again.sizes, study.folder.space(again).dimensions) == (study.study.sizes, study.space.dimensions)


def test_thumbnails_are_taken_as_they_are_and_have_no_such_dimension(tmp_path: Path) -> None:
    study = searches.prepared(Home(tmp_path / "home"), space="tiny")
    assert "input_size" not in study.space.dimensions
    assert [str(size) for size in study.study.sizes] == ["8x8"]


@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_trials_take_their_images_at_sizes_of_their_own(engine: str, photographs: Path, starter: Starter) -> None:
    answers = (("input_size", "[8, 12, 16]"),)
    study = begun(photographs, engine=engine, algorithm="random", epochs=1, answers=answers)
    executor = LocalExecutor(photographs.parent / "logs", starter=starter)
    try:
        searches.search(study, executor, Budget(8, None))
    finally:
        executor.close()
    trials = study.record.trials.values()
    assert [trial.state for trial in trials] == ["complete"] * 8
    used = {str(trial.candidate.flat()["input_size"]) for trial in trials}
    assert used <= {"8x11", "12x16", "16x21"}
    assert len(used) > 1
    assert all(trial.values["input_size"] == trial.candidate.flat()["input_size"] for trial in trials)
    made = {path.name for path in study.dataset.folder.glob("images-*")}
    assert made == {f"images-{size}.npy" for size in used - {"16x21"}}
    assert at_size(study.dataset, (8, 11)).images().shape == (12, 8, 11, 3)


def resumed(study: Prepared, **given: Any) -> None:
    resumed_contract(study.folder, Options(home=study.folder.path.parent, study="mine", resume=True, **given))


def test_the_size_that_is_asked_for_is_an_answer_of_the_study(photographs: Path) -> None:
    study = begun(photographs, image_size=(24, 32))
    assert study.study.answers == {"input_size": "24x32"}
    assert study.dataset.input == (24, 32, 3)
    resumed(study, image_size=(24, 32))
    with pytest.raises(InputError, match="--resume: the study 'mine' takes its images at 24x32, not at 32x24"):
        resumed(study, image_size=(32, 24))


def test_one_size_beside_another_is_refused(photographs: Path) -> None:
    home = Home(photographs.parent / "home")
    options = Options(home=home.path, data=str(photographs), image_size=(8, 8), answers=(("input_size", "16"),))
    with pytest.raises(InputError, match="--image-size and --set input_size=16 answer the same"):
        new_contract(home, home.study("mine"), options)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_study_keeps_how_images_of_another_shape_are_brought_to_one(fit: Fit, photographs: Path) -> None:
    study = begun(photographs, fit=fit, image_size=(24, 24))
    assert (study.study.data.fit, study.dataset.fit) == (fit, fit)
    assert study.dataset.folder.name.endswith(f"-24x24x3-{fit}")
    resumed(study, fit=fit)
    with pytest.raises(InputError, match=f"the study 'mine' has --fit {fit}, not stretch"):
        resumed(study, fit="stretch")


def test_a_loop_that_joins_takes_the_sizes_of_the_others(photographs: Path) -> None:
    study = begun(photographs)
    shared = shared_of(study.study, study.folder.space_file.read_text(), study.split)
    home = photographs.parent / "other"
    options = Options(home=home, study="mine", storage="postgresql://me@host/x")
    contract = joined_contract(Home(home).study("mine"), options, shared)
    assert contract.existing is not None
    assert contract.existing.sizes == study.study.sizes
    assert contract.existing.first_size == study.study.first_size


def test_a_study_of_an_earlier_version_has_the_one_size_of_its_data(photographs: Path) -> None:
    study = begun(photographs, image_size=(24, 32))
    described = yaml.safe_load(study.folder.file.read_text())
    earlier = {key: value for key, value in described.items() if key not in ("input_sizes", "first_size")}
    earlier |= {
        "answers": {},
        "data": {k: v for k, v in described["data"].items() if k != "fit"} | {"image_size": [24, 32]},
    }
    study.folder.file.write_text(yaml.safe_dump(earlier))
    read = study.folder.read()
    assert [str(size) for size in read.sizes] == ["24x32"]
    assert read.data.fit == "stretch"
    assert study.folder.space(read).dimensions == study.space.dimensions
    resumed(study, image_size=(24, 32))
