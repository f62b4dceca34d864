"""How the winner's long training differs from its trial: augmentation that is worth adding, and blended images.

Varied images are new images for nothing, but only a long training gains by them: short trials are better without, so
the search, which sees short trials, leaves them out. Before the winner's long training the question is therefore put
anew, for each augmentation that the space leaves open. A cat in a mirror is a cat; a mirrored letter is often none, and
the answers of the trial's own network tell: its worker has asked it about the validation images so varied.
"""

from ...spaces.architecture import Candidate
from ...spaces.space import SearchSpace
from ..study.trial import Trial
from ..training.augmentation import augmentations

LONG = 3  # times the trials' epochs make a training long; set by hand
UNSURE = 0.9  # a trial's validation accuracy below which there is much to gain
# The share of its accuracy that a network has to keep: within the range that `python -m benchmarks augmentation` finds
# best on the validation images of five data sets. A mirror that swaps a few classes costs more than that; a shift swaps
# none, but where it cuts off what matters, as in images of 8 x 8 pixels, it costs half and more. And shifts cost a
# network that is nearly always right, whatever it keeps.
KEPT_SHARES = {"horizontal_flip": 0.9, "translation": 0.8}
SAID = {"horizontal_flip": "mirrored", "translation": "shifted"}


def may_vary(space: SearchSpace) -> bool:
    """Whether a space leaves any augmentation open: where all of it is settled, nothing is added."""
    return any(name.startswith("augmentation.") for name in space.dimensions)


def is_worth_adding(augmentation: str, plain: float, varied: float) -> bool:
    """Whether a network knows varied images about as well as plain ones, and may gain by them.

    Both are accuracies. Shifts are for networks that have much to gain; mirrors cost the others nothing.
    """
    return varied >= KEPT_SHARES[augmentation] * plain and (augmentation != "translation" or plain < UNSURE)


def for_long_training(trial: Trial, space: SearchSpace) -> tuple[Candidate, str]:
    """Return the trial's candidate with every augmentation that is worth adding, and how to say so.

    Nothing is changed where the question was not put.
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
    knows = ", ".join(f"{SAID[name]} {trial.varied[name]:.1%}" for name in added)
    what = " and ".join(SAID[name] for name in added)
    manner = f", with {what} images too (validation accuracy: plain {plain:.1%}; {knows})"
    return candidate.model_copy(update={"recipe": recipe}), manner


ALPHA = 1.0  # every share of the blend is as likely as any other
MANY = 100  # epochs from which blends are worth more than they cost


def alpha_for(epochs: int, accuracy: float) -> float:
    """Return the alpha for a training of so many epochs, after a trial of such accuracy; with 0 nothing is blended."""
    return ALPHA if epochs >= MANY and accuracy < UNSURE else 0.0
