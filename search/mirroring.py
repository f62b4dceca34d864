"""Whether mirrored images keep their labels, asked of networks that were never shown one.

Mirrored images are new images for nothing, but only a long training gains by them: short trials are better without, so
the search, which sees short trials, leaves them out. Before the winner's long training the question is therefore put
anew. A cat in a mirror is a cat; a mirrored letter is often none, and the answers of the trial's own network tell: its
worker has asked it about the validation images in a mirror.
"""

from ..spaces.architecture import Candidate
from ..spaces.space import SearchSpace
from .record import Trial

DIMENSION = "augmentation.horizontal_flip"
LONG = 3  # times the trials' epochs: from there on mirrored images paid (docs/performance.md)
KEPT_SHARE = 0.95  # of the accuracy that a mirror has to leave


def asked(candidate: Candidate, space: SearchSpace) -> bool:
    """Whether the question is put: not where the space has settled it, or the candidate is trained with a mirror."""
    return DIMENSION in space.dimensions and not candidate.recipe.augmentation.horizontal_flip


def keeps_labels(plain: float, mirrored: float) -> bool:
    """Whether a network knows mirrored images about as well as plain ones; both are accuracies."""
    return mirrored >= KEPT_SHARE * plain


def for_long_training(trial: Trial, space: SearchSpace) -> tuple[Candidate, str]:
    """Return the trial's candidate, with mirrored images in its recipe where they keep their labels, and how to say so.

    Nothing is changed where the question was not put.
    """
    candidate, plain, mirrored = trial.candidate, trial.value, trial.mirrored
    if not asked(candidate, space) or plain is None or mirrored is None or not keeps_labels(plain, mirrored):
        return candidate, ""
    both = candidate.recipe.augmentation.model_copy(update={"horizontal_flip": True})
    recipe = candidate.recipe.model_copy(update={"augmentation": both})
    knows = f"of validation images it knows {plain:.1%}, of the same in a mirror {mirrored:.1%}"
    return candidate.model_copy(update={"recipe": recipe}), f", with mirrored images too ({knows})"
