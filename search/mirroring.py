"""Whether mirrored images keep their labels, asked of a network that was never shown one.

Mirrored images are new images for nothing, but only a long training gains by them: short trials are better without, so
the search, which sees short trials, leaves them out. Before the winner's long training the question is therefore put
anew. A cat in a mirror is a cat; a mirrored letter is often none, and the network's own answers tell.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..spaces.architecture import Candidate
from ..spaces.space import SearchSpace
from .backend import import_keras
from .data import Dataset, Split

DIMENSION = "augmentation.horizontal_flip"
LONG = 3  # times the trials' epochs: from there on mirrored images paid (docs/performance.md)
KEPT_SHARE = 0.95  # of the accuracy that a mirror has to leave
IMAGES = 5000  # validation images at most that are asked about
BATCH = 256


@dataclass(frozen=True)
class Mirroring:
    """Accuracy on validation images as they are, and on the same in a mirror."""

    plain: float
    mirrored: float

    @property
    def keeps_labels(self) -> bool:
        """Whether the network knows mirrored images about as well."""
        return self.mirrored >= KEPT_SHARE * self.plain


def mirroring(candidate: Candidate, weights: Path, dataset: Dataset, split: Split) -> Mirroring:
    """Ask a trained network about validation images and their mirror images."""
    import_keras()
    from .export.trained import trained_model

    model, _ = trained_model(candidate, weights, len(split.train))
    rows = split.val[np.linspace(0, len(split.val) - 1, min(IMAGES, len(split.val))).astype(int)]
    images, labels, hits = dataset.images(), dataset.labels(), np.zeros(2)
    for begin in range(0, len(rows), BATCH):
        some = np.sort(rows[begin : begin + BATCH])
        for way, batch in enumerate((images[some], images[some][:, :, ::-1])):
            hits[way] += np.sum(model.predict_on_batch(batch).argmax(axis=1) == labels[some])
    plain, mirrored = hits / len(rows)
    return Mirroring(float(plain), float(mirrored))


def for_long_training(
    candidate: Candidate, weights: Path, space: SearchSpace, dataset: Dataset, split: Split
) -> tuple[Candidate, str]:
    """Return the candidate, with mirrored images in its recipe where they keep their labels, and how to say so.

    Nothing is changed where the space does not leave it open, or the candidate was trained with them already.
    """
    augmentation = candidate.recipe.augmentation
    if DIMENSION not in space.dimensions or augmentation.horizontal_flip:
        return candidate, ""
    asked = mirroring(candidate, weights, dataset, split)
    if not asked.keeps_labels:
        return candidate, ""
    both = augmentation.model_copy(update={"horizontal_flip": True})
    recipe = candidate.recipe.model_copy(update={"augmentation": both})
    knows = f"of validation images it knows {asked.plain:.1%}, of the same in a mirror {asked.mirrored:.1%}"
    return candidate.model_copy(update={"recipe": recipe}), f", with mirrored images too ({knows})"
