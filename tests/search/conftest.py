"""What tests of one training share."""

from pathlib import Path
from typing import Any

import jobs
import pytest
from jobs import FAST, SMALL, MakeJob

from convsearch.search.data import Dataset, Split
from convsearch.search.job import Job
from convsearch.spaces.architecture import Layer, Recipe


@pytest.fixture
def job(digits: Dataset, parts: Split, tmp_path: Path) -> MakeJob:
    """Makes a job for the digits, of a small network and two epochs where nothing else is said."""

    def make(recipe: Recipe = FAST, layers: tuple[Layer, ...] = SMALL, **more: Any) -> Job:
        settings = {"weights": tmp_path / "7.weights.h5", "epochs": 2} | more
        return jobs.job(digits, number=7, layers=layers, recipe=recipe, **settings)

    return make
