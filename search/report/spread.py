"""How much trainings of one network differ on the images of a study, as far as its home has seen it.

Where none of two trials was trained again, this tells whether their difference may be chance.
"""

from ...spaces.errors import InputError
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.repeats import Spread, Standing
from ..study.settings import StudySettings


def spread_in_home(folder: StudyFolder) -> Spread | None:
    """Return what the trainings of this study, and of all others of its home on the same images, have shown.

    A study that cannot be read is passed over, and a copy counts once. None if no trial was trained more than once.

    Raises:
        InputError: this study cannot be read.
    """
    study = folder.read()
    found, seen, others = _repeated(folder), {study.id}, 0
    for other in Home(folder.path.parent).studies():
        try:
            settings = other.read()
            if settings.id in seen or not _alike(settings, study):
                continue
            more = _repeated(other)
        except InputError:
            continue
        seen.add(settings.id)
        found, others = found + more, others + bool(more)
    if not found:
        return None
    squares = sum((value - one.mean) ** 2 for one in found for value in one.values)
    return Spread(squares, sum(len(one.values) - 1 for one in found), len(found), others)


def _alike(one: StudySettings, other: StudySettings) -> bool:
    """Whether both have the same images at the same size."""
    return one.data.has_images_of(other.data) and one.data.input == other.data.input


def _repeated(folder: StudyFolder) -> list[Standing]:
    repeats = folder.repeats()
    if not repeats.all:
        return []  # the record, which may be long, need not be read
    record = folder.record()
    known = (record.trials.get(number) for number in sorted({repeat.number for repeat in repeats.all}))
    return [repeats.standing(trial) for trial in known if trial is not None and trial.value is not None]
