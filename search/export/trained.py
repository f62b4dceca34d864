"""A candidate and a file of weights -> the trained Keras model."""

from pathlib import Path
from typing import Any

from ...spaces.architecture import Candidate
from ...spaces.building.model import build
from ...spaces.errors import WorkError
from ..training.model import batch_norm_momentum


def trained_model(candidate: Candidate, weights: Path, images: int) -> tuple[Any, float]:
    """Return the model with its weights, and the momentum of its batch normalisations.

    Args:
        candidate: what was trained.
        weights: the `.weights.h5` file that a trial wrote.
        images: the number of training images, which determines the momentum.

    Raises:
        WorkError: the weights are missing or damaged.
    """
    momentum = batch_norm_momentum(-(-images // candidate.recipe.batch_size))
    model = build(candidate.architecture, momentum)
    try:
        model.load_weights(weights)
    except (OSError, ValueError) as error:
        raise WorkError(f"{weights}: the weights cannot be read: {error}") from error
    return model, momentum
