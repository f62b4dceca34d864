"""What another study found, brought to this study's space: other images, other classes, other depths."""

from pathlib import Path

import pytest

from convsearch.search.launch.warm_start import TAKEN, warm_values
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.record import Record
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
