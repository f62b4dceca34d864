"""The ranking of a study's best trials, and whether the first is ahead by more than noise."""

from collections.abc import Callable

from ...spaces.errors import InputError
from ..study.objectives import Preference
from ..study.record import Record
from ..study.repeats import Repeats, Spread, Standing, first_two, standings, within_noise
from ..study.result import Result
from ..study.settings import StudySettings

VERDICTS = {True: "which is within the noise", False: "more than the noise"}
UNKNOWN = (
    "and whether that is chance is not known: no trial of this home has been trained more than once on these images; "
    "--resume with more --repeats (and more --minutes, if time was short) trains the best again"
)


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


def verdict_of(
    first: Standing, second: Standing, images: int, spread: Callable[[], Spread | None]
) -> tuple[bool | None, Spread | None]:
    """Return whether the lead of the first is within the noise, None if unknown; and the spread that decided it.

    `spread` is what other trials have shown; it is asked, and returned, only if these two do not tell by themselves.
    """
    verdict = within_noise(first, second, images)
    if verdict is not None:
        return verdict, None
    shown = spread()
    return within_noise(first, second, images, shown), shown


def standing_lines(
    record: Record, repeats: Repeats, preference: Preference, images: int, spread: Callable[[], Spread | None]
) -> list[str]:
    """Return the mean accuracy of the best candidates, and whether the first is ahead by more than chance.

    `images` is the number of validation images, `spread` returns how much trainings of one network have differed.
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
        lines.append(("  " if lines else "") + _lead(*pair, images, spread))
    return lines


def _lead(first: Standing, second: Standing, images: int, spread: Callable[[], Spread | None]) -> str:
    apart = first.mean - second.mean
    if apart < 0:  # the second was not trained again, or it would be first
        return (
            f"trial {second.trial.number}, trained once, reached {-apart:.1%} more than the mean of trial "
            f"{first.trial.number}: which one is better is not known"
        )
    said = f"trials {first.trial.number} and {second.trial.number} differ by {apart:.1%}"
    verdict, shown = verdict_of(first, second, images, spread)
    if verdict is None:
        return f"{said}, {UNKNOWN}"
    return f"{said}, {VERDICTS[verdict]}" + ("" if shown is None else f": {_basis(shown)}")


def _basis(shown: Spread) -> str:
    """Return how much trainings of one network differ, and from what that is known."""
    trials = "1 trial" if shown.trials == 1 else f"{shown.trials} trials"
    others = "another study" if shown.others == 1 else f"{shown.others} other studies"
    among = f", those of {others} included" if shown.others else ""
    return (
        f"neither was trained again, but trainings of one network on these images have a standard deviation of "
        f"{shown.deviation:.1%} (from {shown.trials + shown.freedom} trainings of {trials}{among})"
    )
