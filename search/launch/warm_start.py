"""Translates the best candidates of another study to this study's space, to try them first."""

from ...spaces.errors import InputError
from ...spaces.known.translation import values_near
from ...spaces.space import SearchSpace, Values
from ..study.folder import StudyFolder

TAKEN = 3  # of the other study's best trials


def warm_values(other: StudyFolder, space: SearchSpace) -> list[Values]:
    """Return the values nearest to the best trials of another study.

    Raises:
        InputError: the other study has none, or none of them can be translated to the space.
    """
    best = other.record().best(TAKEN)
    if not best:
        raise InputError(f"--warm-start {other.name}: that study has no trial with a result yet")
    found = [values_near(space, trial.candidate) for trial in best]
    near = [values for values in found if values is not None]
    if not near:
        architectures = ", ".join(str(trial.candidate.architecture) for trial in best)
        raise InputError(
            f"--warm-start {other.name}: none of its best networks ({architectures}, on {other.read().data.input}) "
            f"is within the limits of this space on {space.input}; raise the limits, or omit --warm-start"
        )
    return near
