"""One candidate, trained on one of the data sets: what the choices of defaults are made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convsearch.search.data import Dataset, split
from convsearch.search.training.trial import train
from convsearch.search.values.job import EpochReport, Job, Length, Outcome, Probes
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.definition import load
from convsearch.spaces.known.portfolio import entries, fitted
from convsearch.spaces.space import SearchSpace

from .datasets import data_sets

NOTHING: Mapping[str, float] = {}


@dataclass(frozen=True)
class Ground:
    """A data set with its split, the default space bound to it, and how many images there are to train on."""

    name: str
    dataset: Dataset
    split: Path
    space: SearchSpace
    images: int

    def candidate(self, entry: str, changed: Mapping[str, Any] | None = None, **recipe: Any) -> Candidate:
        """Return an entry of the portfolio, with some of its values `changed`, and after that some of its recipe."""
        values = fitted(self.space, {**entries()[entry], **(changed or {})}, self.images)
        assert values is not None, "the default space holds the entry"
        candidate = self.space.candidate(values)
        return candidate.model_copy(update={"recipe": candidate.recipe.model_copy(update=recipe)})

    def train(
        self,
        candidate: Candidate,
        seed: int,
        seconds: float | None = None,
        augmentations: Mapping[str, float] = NOTHING,
        epochs: int = 10_000,
        mixup: float = 0.0,
    ) -> Outcome:
        """Train a candidate by the clock or for so many epochs; probe the trained network with augmentations."""
        job = Job(
            number=0,
            candidate=candidate,
            data=str(self.dataset.folder),
            split=str(self.split),
            seed=seed,
            weights=str(self.split.with_name("trained.weights.h5")),
            probes=Probes(augmentations=dict(augmentations)),
            mixup=mixup,
            length=Length(epochs=epochs, patience=epochs, seconds=seconds, validate_every=2),
        )
        return train(job, _go_on)


def grounds(folder: Path) -> Iterator[Ground]:
    """Yield every data set, decoded under `folder`."""
    for name, dataset in data_sets(folder).items():
        parts, file = split(dataset, 0), folder / f"{name}.split.npz"
        parts.save(file)
        space = SearchSpace(load("classic"), dataset.input, len(dataset.classes))
        yield Ground(name, dataset, file, space, len(parts.train))


def _go_on(report: EpochReport) -> bool:
    return True
