"""What a launch searches: agreed on before any image is read, whether a study begins, goes on, or is joined.

A new study has what the options say. One that is there, in a folder or in a database that several loops share, has what
it was begun with, and an option that says otherwise is refused. From here on nobody asks an option what is searched.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ...spaces.definition import FORMAT as SPACE_FORMAT
from ...spaces.definition import Definition, answered, dimensions, load, parse, presets
from ...spaces.errors import InputError
from ..data.source import check_image_size
from ..sources.open import require_source
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.objectives import checked_limit, checked_objectives
from ..study.settings import DataFacts, StudySettings
from ..study.shared import Shared, study_of
from .options import Options

FIXED = ("engine", "algorithm", "pruner", "epochs", "seed", "precision")  # options that a study keeps


@dataclass(frozen=True)
class Contract:
    """What is searched: a space with its answers, whose YAML is `space`, on images from `source`.

    `known` is what a study that is there was begun with: None for a new one. `split` is the fingerprint of how the
    other loops have divided its images, where it is joined.
    """

    folder: StudyFolder
    definition: Definition
    space: str
    source: str
    image_size: tuple[int, int] | None
    known: StudySettings | None = None
    split: str | None = None

    @property
    def option(self) -> str:
        """The option by which a study that is there is searched."""
        return "resume" if self.split is None else "storage"


def folder_of(home: Home, options: Options) -> StudyFolder:
    """Return the folder that the study has, or will have.

    Raises:
        InputError: a study that is to go on is not there, or a new one is; its name is no plain name.
    """
    if options.resume:
        return home.existing(str(options.study))
    name = options.study
    if name is None:
        name = f"{_short(options.data or 'digits')}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = home.study(name)
    if folder.path.exists():
        raise InputError(
            f"the study '{folder.name}' exists in {home.path}: continue it with --resume, or choose another name with "
            "--study"
        )
    return folder


def begun(home: Home, folder: StudyFolder, options: Options) -> Contract:
    """Return the contract of a new study.

    Raises:
        InputError: its space is wrong, or there are no such images, or no such study to begin with.
    """
    name = options.space or "classic"
    definition = answered(load(name), dict(options.answers))
    text = (presets().get(name) or Path(name)).read_text(encoding="utf-8")
    if options.warm_start is not None:
        home.existing(options.warm_start)
    source = options.data or "digits"
    _require_images(source, options.image_size)
    return Contract(folder, definition, text, source, options.image_size)


def resumed(folder: StudyFolder, options: Options) -> Contract:
    """Return the contract of a study that goes on.

    Raises:
        InputError: the study cannot be read, or something else is asked for than it began with.
    """
    known = folder.read()
    definition, text = folder.definition(known), folder.space_file.read_text(encoding="utf-8")
    if options.storage is not None and known.storage is None:
        raise InputError(f"--storage: the study '{folder.name}' began without; a new one can be shared")
    _refuse_other_options(known, definition, options, "resume")
    if options.under is not None:  # which trial is named may be chosen anew
        checked_limit(options.under, known.objectives)
    source, size = options.data or known.data.source, options.image_size or known.data.image_size
    _require_images(source, size)
    return Contract(folder, definition, text, source, size, known)


def joined(folder: StudyFolder, options: Options, shared: Shared) -> Contract:
    """Return the contract of a study that other loops work on.

    Raises:
        InputError: its spaces are of another format, or something else is asked for than the others have.
    """
    known = study_of(shared, str(options.storage))
    if known.space_format != SPACE_FORMAT:
        raise InputError(
            f"--storage: the study '{known.name}' has spaces of format {known.space_format}, this version of "
            f"Convsearch has {SPACE_FORMAT}: its candidates would not be the same. All loops need the same version"
        )
    definition = answered(parse(shared.space, f"the space of study '{known.name}'"), known.answers)
    _refuse_other_options(known, definition, options, "storage")
    for key in ("repeats", "under", "warm_start"):
        given, theirs = getattr(options, key), getattr(known, key)
        if given is not None and given != theirs:
            raise InputError(f"--storage: the study '{known.name}' has --{key.replace('_', '-')} {theirs}, not {given}")
    if options.class_weights and not known.class_weights:
        raise InputError(f"--storage: the study '{known.name}' has no --class-weights")
    source, size = options.data or known.data.source, options.image_size or known.data.image_size
    return Contract(folder, definition, shared.space, source, size, known, shared.split)


def refuse_other_data(study: StudySettings, facts: DataFacts, source: str, option: str) -> None:
    """Raise an InputError where the data are not those that the study began with."""
    for key in ("fingerprint", "input", "classes"):
        now, then = getattr(facts, key), getattr(study.data, key)
        if now != then:
            shown = (now[:16], then[:16]) if key == "fingerprint" else (now, then)
            raise InputError(
                f"--{option}: {source} is not the data that the study '{study.name}' began with: its {key} "
                f"{'is' if key != 'classes' else 'are'} {shown[0]}, the study has {shown[1]}"
            )


def _require_images(source: str, size: tuple[int, int] | None) -> None:
    require_source(source)
    if size is not None:
        check_image_size(size, "the image size asked for")


def _refuse_other_options(study: StudySettings, definition: Definition, options: Options, option: str) -> None:
    """Raise an InputError where what was asked for is not what the study has, which is searched by `--option`."""
    if options.space is not None or options.answers:
        wanted = answered(load(options.space) if options.space else definition, dict(options.answers))
        if differences := _differences(definition, wanted):
            raise InputError(
                f"--{option}: the study '{study.name}' searches another space than {options.space or 'asked'}:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nLeave --space and --set out to go on with the study's own, or begin a new study."
            )
    if options.objectives and checked_objectives(options.objectives) != study.objectives:
        raise InputError(
            f"--{option}: the study '{study.name}' has --objective {' --objective '.join(study.objectives)}, "
            f"not {' and '.join(options.objectives)}"
        )
    for key in FIXED:
        given, has = getattr(options, key), getattr(study, key)
        if given is not None and given != has:
            raise InputError(f"--{option}: the study '{study.name}' has --{key} {has}, not {given}")


def _differences(has: Definition, wanted: Definition) -> list[str]:
    """Return what two definitions do not have in common, a line each."""
    one, other = dict(dimensions(has)), dict(dimensions(wanted))
    lines = [
        f"{name}: the study has {_said(one.get(name))}, asked for is {_said(other.get(name))}"
        for name in one | other
        if one.get(name) != other.get(name)
    ]
    for key in ("exact_fit", "limits"):
        if getattr(has, key) != getattr(wanted, key):
            lines.append(f"{key}: the study has {getattr(has, key)!s}, asked for is {getattr(wanted, key)!s}")
    return lines


def _said(dimension: Any) -> str:
    if dimension is None:
        return "nothing"
    values = dimension.values
    return f"{dimension.low:g} to {dimension.high:g}" if values is None else ", ".join(map(str, values))


def _short(source: str) -> str:
    """Return a plain name for a data source, for the study's name."""
    stem = Path(source.removeprefix("keras:")).name.removesuffix(".npz")
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem if c.isascii()).strip("-_")
    return plain[:40] or "images"
