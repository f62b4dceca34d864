"""Which augmentation a long training adds to that of the trial that won.

Varied images are new images for nothing, but only a long training gains by them: short trials are better without, so
the search, which sees short trials, leaves them out. Before the winner's long training the question is therefore put
anew, for each augmentation that the space leaves open. A cat in a mirror is a cat; a mirrored letter is often none, and
the answers of the trial's own network tell: its worker has asked it about the validation images so varied.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..spaces.architecture import Candidate
from ..spaces.space import SearchSpace
from .record import Trial

LONG = 3  # times the trials' epochs make a training long; set by hand
UNSURE = 0.9  # a trial's validation accuracy below which there is much to gain
# The share of its accuracy that a network has to keep: within the range that `python -m benchmarks augmentation` finds
# best on the validation images of five data sets. A mirror that swaps a few classes costs more than that; a shift swaps
# none, but where it cuts off what matters, as in images of 8 x 8 pixels, it costs half and more. And shifts cost a
# network that is nearly always right, whatever it keeps.
KEPT_SHARES = {"horizontal_flip": 0.9, "translation": 0.8}
SHIFT = 0.12  # of the side, where the space allows as much
SAID = {"horizontal_flip": "mirrored", "translation": "shifted"}
Images = NDArray[np.uint8]


def variations(asked: dict[str, float]) -> dict[str, Callable[[Images], Images]]:
    """Return how images (n, height, width, depth) are varied, by the augmentation's name, for what `asked` named."""
    found: dict[str, Callable[[Images], Images]] = {}
    if "horizontal_flip" in asked:
        found["horizontal_flip"] = mirrored
    if "translation" in asked:
        found["translation"] = lambda images: shifted(images, asked["translation"])
    return found


def mirrored(images: Images) -> Images:
    """Return images (n, height, width, depth) with left and right changed over."""
    return images[:, :, ::-1]


def shifted(images: Images, share: float) -> Images:
    """Return images (n, height, width, depth) moved by a share of their sides, by turns to each corner.

    What comes in at the edges is mirrored, as in training.
    """
    down, right = (max(1, round(share * side)) for side in images.shape[1:3])
    wide = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)), mode="symmetric")
    height, width = images.shape[1:3]
    found = np.empty_like(images)
    for turn in range(4):
        top, left = 2 * down * (turn // 2), 2 * right * (turn % 2)
        found[turn::4] = wide[turn::4, top : top + height, left : left + width]
    return found


def may_vary(space: SearchSpace) -> bool:
    """Whether a space leaves any augmentation open: where all of it is settled, nothing is added."""
    return any(name.startswith("augmentation.") for name in space.dimensions)


def asked(candidate: Candidate, space: SearchSpace) -> dict[str, float]:
    """Return the augmentations that a candidate lacks and the space would allow, by how strong they would be."""
    found = {}
    has = candidate.recipe.augmentation
    if "augmentation.horizontal_flip" in space.dimensions and not has.horizontal_flip:
        found["horizontal_flip"] = 1.0
    translation = space.dimensions.get("augmentation.translation")
    if translation is not None and not has.translation and (most := float(translation.nearest(SHIFT))):
        found["translation"] = most
    return found


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
    more = asked(candidate, space)
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
    manner = f", with {what} images too (of validation images it knows {plain:.1%}; {knows})"
    return candidate.model_copy(update={"recipe": recipe}), manner
