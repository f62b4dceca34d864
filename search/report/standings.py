"""The ranking of a study's best trials, and whether the first is ahead by more than noise."""

from ...spaces.errors import InputError
from ..study.objectives import Preference
from ..study.record import Record
from ..study.repeats import Repeats, Standing, first_two, standings, within_noise
from ..study.result import Result
from ..study.settings import StudySettings

VERDICTS = {
    True: "which is within the noise",
    False: "more than the noise",
    None: "which may be chance: neither was trained again",
}


def chosen(study: StudySettings, result: Result) -> str:
    """Return how the winner was chosen, with the limit in force at that time."""
    return str(study.model_copy(update={"under": result.under}).preference)


def known_standings(record: Record, repeats: Repeats, preference: Preference) -> list[Standing]:
    """Return the standings, or none if no trial is within the limit, which the search itself reported."""
    try:
        return standings(record, repeats, preference)
    except InputError:
        return []


def known_first_two(record: Record, repeats: Repeats, preference: Preference) -> tuple[Standing, Standing] | None:
    """Return the first and the second, if there are two and accuracy alone ranks them."""
    if preference.several and preference.under is None:
        return None  # the knee is not the most accurate
    try:
        return first_two(record, repeats, preference)
    except InputError:
        return None


def standing_lines(record: Record, repeats: Repeats, preference: Preference, images: int) -> list[str]:
    """Return the mean accuracy of the best candidates, and whether the first is ahead by more than chance.

    `images` is the number of validation images.
    """
    lines = [
        f"  trial {one.trial.number}: mean {one.mean:.1%}, standard deviation {one.spread:.1%} "
        f"({', '.join(f'{value:.1%}' for value in one.values)})"
        for one in known_standings(record, repeats, preference)
        if one.spread is not None
    ]
    if lines:
        lines = ["trained again with other seeds:", *lines]
    if pair := known_first_two(record, repeats, preference):
        lines.append(("  " if lines else "") + _lead(*pair, images))
    return lines


def _lead(first: Standing, second: Standing, images: int) -> str:
    apart = first.mean - second.mean
    if apart < 0:  # the second was not trained again, or it would be first
        return (
            f"trial {second.trial.number}, trained once, reached {-apart:.1%} more than the mean of trial "
            f"{first.trial.number}: which one is better is not known"
        )
    verdict = VERDICTS[within_noise(first, second, images)]
    return f"trials {first.trial.number} and {second.trial.number} differ by {apart:.1%}, {verdict}"
