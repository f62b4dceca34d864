"""Translates the best candidates of another study to this study's space, to try them first."""

from ...spaces.errors import InputError
from ...spaces.known.translation import values_near
from ...spaces.space import SearchSpace, Values
from ..data import Split
from ..study.folder import StudyFolder
from ..study.home import Home
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


def warm_notes(home: Home, name: str, data: DataFacts, parts: Split) -> tuple[str, ...]:
    """Return a note for each study that knows a new one's test images, of those with whose best it starts.

    These are the study of that name and those that it started with itself, as far as they are there: another study may
    have such a name by now, or have it in this home. A study knows the images that it trained or validated with, if it
    has the same ones and divides them differently. If one further back cannot be read, or its images have changed
    since, that is the note.

    Raises:
        InputError: the study of that name cannot be read.
    """
    notes, met = [], set[str]()
    other: str | None = name
    began, identity = "", None  # when the study that started with it began, and whom it started with
    while other is not None and other not in met and home.study(other).file.exists():
        met.add(other)
        folder = home.study(other)
        way = "" if other == name else f" by way of {name}"
        try:
            study = folder.read()
            if way and (study.created_at > began if identity is None else study.id != identity):
                break  # an earlier version stored no identity; what is younger is another's
            known = parts.test_images_known_to(Split.load(folder.split)) if study.data.has_images_of(data) else 0
        except InputError as error:
            if other == name:
                raise
            notes.append(
                f"what study {other}, with whose best networks this one starts{way}, knows of the test images cannot "
                f"be told: {error}"
            )
            break
        if known:
            notes.append(
                f"study {other} chose its best networks, which are tried first{way}, with {known:,} of the "
                f"{data.test:,} test images of this one: the test may flatter it; "
                f"--seed {study.seed} divides the images as there"
            )
        elif study.data.is_earlier_state_of(data):
            notes.append(
                f"study {other} chose its best networks, which are tried first{way}, with images of "
                f"{study.data.name} that have changed since: how many of the {data.test:,} test images of this one it "
                "knew cannot be told, and the test may flatter it"
            )
        other, began, identity = study.warm_start, study.created_at, study.warm_start_id
    return tuple(notes)
