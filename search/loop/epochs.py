"""How many epochs a trial may take: what the images need, what fits into the minutes, and whether anything does."""

import math
import random

from ...spaces.architecture import Candidate
from ...spaces.errors import InputError
from ...spaces.space import SearchSpace
from ..engines.portfolio import guesses
from ..values.words import counted
from .budget import EXPORT_SECONDS, SEARCH_SHARE, STARTING_SECONDS
from .cost import Costs

# So many whole trials of the first guess fit into the search's share of ten minutes. Of four times the minutes a half
# goes into more trials, the other into longer ones.
WISHED_TRIALS = 12
USUAL = 12  # epochs of a trial, where no minutes are given
FEWEST, MOST = 3, 30  # epochs of a trial, where minutes are
LONGEST = 200  # epochs of a trial, however few the images
# A few images make few steps of the optimizer an epoch. A network learns by steps: trials have as many epochs as it
# takes for so many, and at most for so many where there are minutes enough.
USUAL_STEPS, MOST_STEPS = 200, 500


def usual_epochs(space: SearchSpace, images: int) -> int:
    """Return how many epochs a trial may take where nobody says anything of epochs or minutes.

    Args:
        space: bound to the data.
        images: how many there are to train on.
    """
    return max(USUAL, min(LONGEST, -(-USUAL_STEPS // _steps(_first_guess(space, images), images))))


def epochs_for(space: SearchSpace, images: int, minutes: float, wished: int | None = None, elapsed: float = 0.0) -> int:
    """Return how many epochs a trial may take, so that the minutes hold a search; or `wished`, where they hold a trial.

    Args:
        space: bound to the data.
        images: how many there are to train on.
        minutes: for everything, from the command to the bundle.
        elapsed: seconds of them that are gone.

    Raises:
        InputError: not even one short trial fits; the message says what would.
    """
    guess = _first_guess(space, images)
    costs, seconds = Costs(images), minutes * 60
    around = max(STARTING_SECONDS, elapsed) + EXPORT_SECONDS  # many images take their time to be read
    least = around + costs.trial(guess, wished or FEWEST)
    if seconds < least:
        raise InputError(
            f"--minutes {minutes:g}: too short. About {around:.0f} seconds go to beginning, testing and exporting, and "
            f"about {least - around:.0f} to {counted(wished or FEWEST, 'epoch')} of a first network: from --minutes "
            f"{_rounded_up(least / 60):g} on there is a result"
            + (", or with fewer --epochs" if wished and wished > 1 else "")
            + ". `convsearch check` looks at a space without training"
        )
    if wished is not None:
        return wished
    search = (seconds - around) * SEARCH_SHARE
    trials = WISHED_TRIALS * math.sqrt(seconds / 600)
    most = max(MOST, min(LONGEST, -(-MOST_STEPS // _steps(guess, images))))
    return max(FEWEST, min(most, int(search / trials / costs.epoch(guess))))


def require_time_to_export(minutes: float) -> None:
    """Raise an InputError where a study that has a result cannot be brought to its bundle within the minutes."""
    least = STARTING_SECONDS + EXPORT_SECONDS
    if minutes * 60 < least:
        raise InputError(
            f"--minutes {minutes:g}: too short. About {least:.0f} seconds go to beginning, testing and exporting: from "
            f"--minutes {_rounded_up(least / 60):g} on the best trial so far becomes a bundle, with more there are "
            "more trials. `convsearch show` tells what is there without any of it"
        )


def _first_guess(space: SearchSpace, images: int) -> Candidate:
    for values in guesses(space, images):
        return space.candidate(values)
    return space.candidate(space.draw(random.Random(0)))


def _steps(candidate: Candidate, images: int) -> int:
    return -(-images // candidate.recipe.batch_size)


def _rounded_up(minutes: float) -> float:
    return -(-minutes * 10 // 1) / 10
