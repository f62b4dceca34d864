"""Translates the best candidates of another study to this study's space, to try them first."""

from ...spaces.errors import InputError
from ...spaces.known.translation import values_near
from ...spaces.space import SearchSpace, Values
from ..data import Split
from ..study.folder import StudyFolder
from ..study.settings import DataFacts

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


def warm_notes(other: StudyFolder, data: DataFacts, parts: Split) -> tuple[str, ...]:
    """Return a note if another study, with whose best a new one starts, chose them with the new one's test images.

    So it is where both have the same images and divide them differently.
    """
    study = other.read()
    if (study.data.fingerprint, study.data.rows) != (data.fingerprint, data.rows):
        return ()
    known = parts.test_images_known_to(Split.load(other.split))
    if not known:
        return ()
    return (
        f"study {other.name} chose its best networks, which are tried first, with {known:,} of the {data.test:,} test "
        f"images of this one: the test may flatter it; --seed {study.seed} divides the images as there",
    )
