"""Importances: the dimension that decides is named first, whatever the engine, with the number of trials."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from convsearch.search.engines.importance import FEWEST, importances
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import parse
from convsearch.spaces.space import SearchSpace, Values

TEXT = """
layers: {min: 1, max: 3}
each_layer: {filters: [4, 8, 16, 32], kernel_size: [3, 5]}
recipe: {learning_rate: {min: 0.0001, max: 0.1, log: true}, batch_size: [16, 32]}
"""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(parse(TEXT, "my.yaml"), Volume(16, 16, 1), 2)


def record(folder: Path, space: SearchSpace, count: int, value: object) -> Record:
    """So many random trials, each of the value that a function of its values says."""
    made, source = Record(folder), random.Random(0)
    for number in range(count):
        values = space.draw(source)
        trial = Trial.begin(Proposal(number, values, space.candidate(values)))
        reached = value(values)  # type: ignore[operator]
        made.add(trial.model_copy(update={"state": "complete" if number % 2 else "pruned", "value": reached}))
    return made


@pytest.mark.parametrize("name", ["learning_rate", "layer1.filters", "layers"])
def test_the_dimension_that_decides_is_named_first(tmp_path: Path, space: SearchSpace, name: str) -> None:
    def value(values: Values) -> float:
        highest = {"learning_rate": 0.1, "layer1.filters": 32, "layers": 3}[name]
        return float(values[name]) / highest

    found = importances(space, record(tmp_path, space, 80, value))
    assert found is not None
    assert next(iter(found.shares)) == name
    assert found.trials == 80
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert set(found.shares) == set(space.dimensions)


def test_of_few_trials_nothing_is_said(tmp_path: Path, space: SearchSpace) -> None:
    assert importances(space, record(tmp_path, space, FEWEST - 1, lambda values: 0.5)) is None


def test_trials_without_a_value_do_not_count(tmp_path: Path, space: SearchSpace) -> None:
    made = record(tmp_path, space, 20, lambda values: float(values["learning_rate"]))
    made.add(made.trials[0].model_copy(update={"state": "failed", "value": None}))
    found = importances(space, made)
    assert found is not None
    assert found.trials == 19


def test_where_all_trials_reached_the_same_nothing_mattered(tmp_path: Path, space: SearchSpace) -> None:
    assert importances(space, record(tmp_path, space, 20, lambda values: 0.5)) is None


READING = """
import sys
from pathlib import Path
from convsearch.search.engines.importance import importances
from convsearch.search.study.record import Record
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import parse
from convsearch.spaces.space import SearchSpace
found = importances(SearchSpace(parse(sys.argv[2], "my.yaml"), Volume(16, 16, 1), 2), Record(Path(sys.argv[1])))
print(found.trials, "sklearn" in sys.modules)
import sklearn
"""


def test_scikit_learn_is_left_for_who_needs_it(tmp_path: Path, space: SearchSpace) -> None:
    record(tmp_path, space, 20, lambda values: float(values["learning_rate"]))
    done = subprocess.run(
        [sys.executable, "-c", READING, str(tmp_path), TEXT], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.returncode) == (["20", "False"], 0), done.stderr
