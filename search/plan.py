"""What fits into the minutes: how many epochs a trial may take, and whether there is time for anything at all."""

import random

from ..spaces.errors import InputError
from ..spaces.space import SearchSpace
from .budget import EXPORT_SECONDS, SEARCH_SHARE, STARTING_SECONDS
from .cost import Costs
from .engines.portfolio import guesses

WISHED_TRIALS = 5  # so many whole trials of the first guess fit into the search's share of the time
FEWEST, MOST = 3, 30  # epochs of a trial


def epochs_for(space: SearchSpace, images: int, minutes: float) -> int:
    """Return how many epochs a trial may take, so that the minutes hold a search.

    Args:
        space: bound to the data.
        images: how many there are to train on.
        minutes: for everything, from the command to the bundle.

    Raises:
        InputError: not even one short trial fits; the message says what would.
    """
    first = list(guesses(space))[:1] or [space.draw(random.Random(0))]
    guess = space.candidate(first[0])
    costs, seconds = Costs(images), minutes * 60
    around = STARTING_SECONDS + EXPORT_SECONDS
    least = around + costs.trial(guess, FEWEST)
    if seconds < least:
        raise InputError(
            f"--minutes {minutes:g}: too short. About {around:.0f} seconds go to beginning, testing and exporting, and "
            f"about {least - around:.0f} to {FEWEST} epochs of a first network: from --minutes "
            f"{_rounded_up(least / 60):g} on there is a result. `convsearch check` looks at a space without training"
        )
    search = (seconds - around) * SEARCH_SHARE
    return max(FEWEST, min(MOST, int(search / WISHED_TRIALS / costs.epoch(guess))))


def _rounded_up(minutes: float) -> float:
    return -(-minutes * 10 // 1) / 10
