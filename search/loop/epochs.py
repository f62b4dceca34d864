"""How many epochs a trial may take: enough for the images, few enough for the minutes; and whether any fit."""

import math
import random
from pathlib import Path

from ...spaces.architecture import Candidate
from ...spaces.errors import InputError
from ...spaces.known.portfolio import guesses
from ...spaces.space import SearchSpace
from ..values.commands import command
from ..values.words import counted
from .budget import EXPORT_SECONDS, SEARCH_SHARE, STARTING_SECONDS
from .cost import LARGE, Costs

# How many full trials of the first portfolio network fit into the search's share of ten minutes. With four times the
# minutes, there are twice as many trials, each twice as long.
TARGET_TRIALS = 12
USUAL = 12  # epochs of a trial, if no minutes are given
FEWEST, MOST = 3, 30  # epochs of a trial, if minutes are given
LONGEST = 200  # epochs of a trial, however few the images
# With few images, an epoch has few steps, and a network learns by steps: trials get the epochs for USUAL_STEPS, or for
# up to MOST_STEPS if there are enough minutes.
USUAL_STEPS, MOST_STEPS = 200, 500


def usual_epochs(space: SearchSpace, images: int) -> int:
    """Return how many epochs a trial may take if neither epochs nor minutes are given.

    Args:
        space: bound to the data.
        images: the number of training images.
    """
    return max(USUAL, min(LONGEST, -(-USUAL_STEPS // _steps(first_guess(space, images), images))))


def epochs_for(
    space: SearchSpace,
    images: int,
    minutes: float,
    requested: int | None = None,
    elapsed: float = 0.0,
    *,
    new: bool = True,
) -> int:
    """Return the epochs a trial may take if a search is to fit into the minutes; or `requested`, if one trial fits.

    Args:
        space: bound to the data.
        images: the number of training images.
        minutes: for everything, from the command to the bundle.
        elapsed: the seconds of them that have passed already.
        new: whether the study is; otherwise it keeps its epochs and its image size.

    Raises:
        InputError: not even one short trial fits; the message says how many minutes are needed, and what else helps.
    """
    guess = first_guess(space, images)
    costs, seconds = Costs(images), minutes * 60
    around = max(STARTING_SECONDS, elapsed) + EXPORT_SECONDS  # reading many images takes time
    least = around + costs.trial(guess, requested or FEWEST)
    if seconds < least:
        lighter = new and seconds > around  # a lighter training may fit
        fewer = ", or fewer --epochs" if lighter and requested and requested > 1 else ""
        smaller = ", or --image-size 64x64" if lighter and space.input.height * space.input.width > LARGE else ""
        raise InputError(
            f"--minutes {minutes:g}: too short. Starting, testing and exporting take about {around:.0f} seconds, and "
            f"{counted(requested or FEWEST, 'epoch')} of a first network about {least - around:.0f}: use at least "
            f"--minutes {_rounded_up(least / 60):g}{fewer}{smaller}. "
            f"`{command('check', 'SPACE', '--input', str(space.input))}` inspects a space without training"
        )
    if requested is not None:
        return requested
    search = (seconds - around) * SEARCH_SHARE
    trials = TARGET_TRIALS * math.sqrt(seconds / 600)
    most = max(MOST, min(LONGEST, -(-MOST_STEPS // _steps(guess, images))))
    return max(FEWEST, min(most, int(search / trials / costs.epoch(guess))))


def require_time_to_export(minutes: float, folder: Path) -> None:
    """Raise an InputError if a study that has a result, in this folder, cannot be exported within the minutes."""
    least = STARTING_SECONDS + EXPORT_SECONDS
    if minutes * 60 < least:
        raise InputError(
            f"--minutes {minutes:g}: too short. Starting, testing and exporting take about {least:.0f} seconds: with "
            f"--minutes {_rounded_up(least / 60):g} the best trial so far is exported, with more there are more "
            f"trials. `{command('show', folder.name, home=folder.parent)}` lists the trials without running any"
        )


def first_guess(space: SearchSpace, images: int) -> Candidate:
    """Return the network of the first trial on so many training images, by which times are predicted."""
    for values in guesses(space, images):
        return space.candidate(values)
    return space.candidate(space.draw(random.Random(0)))


def _steps(candidate: Candidate, images: int) -> int:
    return -(-images // candidate.recipe.batch_size)


def _rounded_up(minutes: float) -> float:
    return -(-minutes * 10 // 1) / 10
