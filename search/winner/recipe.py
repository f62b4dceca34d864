"""How the winner's long training differs from its trial: augmentation that is worth adding, and blended images.

Augmented images are free, but only a long training gains from them: short trials are better without, so the search,
which only sees short trials, leaves them out. Before the winner's long training, each augmentation that the space
leaves open is therefore reconsidered. A mirrored cat is still a cat; a mirrored letter often is no letter. The trial's
own network shows which is the case: its worker has measured its accuracy on augmented validation images.
"""

from ...spaces.architecture import Candidate
from ...spaces.space import SearchSpace
from ..study.trial import Trial
from ..training.augmentation import augmentations

LONG = 3  # times the trials' epochs: from there on a training counts as long; set by hand
UNSURE = 0.9  # a trial's validation accuracy, below which there is much to gain
# The share of its accuracy that a network has to keep on augmented images: within the range that `python -m benchmarks
# augmentation` finds best on the validation images of five data sets. A flip that swaps a few classes costs more than
# that; a shift swaps none, but costs half or more if it cuts off what matters, as in images of 8 x 8 pixels. And shifts
# harm a network that is nearly always right, whatever share it keeps.
KEPT_SHARES = {"horizontal_flip": 0.9, "translation": 0.8}
ADJECTIVES = {"horizontal_flip": "mirrored", "translation": "shifted"}


def may_augment(space: SearchSpace) -> bool:
    """Whether a space leaves any augmentation open: if all are fixed, none is added."""
    return any(name.startswith("augmentation.") for name in space.dimensions)


def is_worth_adding(augmentation: str, plain: float, varied: float) -> bool:
    """Whether a network classifies augmented images about as well as plain ones, and may gain from them.

    `plain` and `varied` are accuracies. Shifts are only for networks with much to gain; flips do no harm to others.
    """
    return varied >= KEPT_SHARES[augmentation] * plain and (augmentation != "translation" or plain < UNSURE)


def for_long_training(trial: Trial, space: SearchSpace) -> tuple[Candidate, str]:
    """Return the trial's candidate with every augmentation that is worth adding, and a phrase that says so.

    Augmentations that the trial did not measure are not added.
    """
    candidate, plain = trial.candidate, trial.value or 0.0
    more = augmentations(candidate, space)
    added = {
        name: True if name == "horizontal_flip" else more[name]
        for name, accuracy in trial.varied.items()
        if name in more and is_worth_adding(name, plain, accuracy)
    }
    if not added:
        return candidate, ""
    augmentation = candidate.recipe.augmentation.model_copy(update=added)
    recipe = candidate.recipe.model_copy(update={"augmentation": augmentation})
    accuracies = ", ".join(f"{ADJECTIVES[name]} {trial.varied[name]:.1%}" for name in added)
    kinds = " and ".join(ADJECTIVES[name] for name in added)
    manner = f", with {kinds} images too (validation accuracy: plain {plain:.1%}; {accuracies})"
    return candidate.model_copy(update={"recipe": recipe}), manner


ALPHA = 1.0  # of mixup: all shares of a blend are equally likely
MANY = 100  # epochs from which mixup pays off


def alpha_for(epochs: int, accuracy: float) -> float:
    """Return mixup's alpha for a training of `epochs` after a trial with this accuracy; 0 turns it off."""
    return ALPHA if epochs >= MANY and accuracy < UNSURE else 0.0
