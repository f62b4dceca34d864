"""What a launch searches: settled before any image is read, whether the study is new, resumed or joined.

A new study takes its settings from the options. An existing one, in a folder or in a database that several loops share,
keeps the settings that it was created with, and an option that contradicts them is rejected. From here on, no option is
asked what is searched.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ...spaces.definition import FORMAT as SPACE_FORMAT
from ...spaces.definition import INPUT, Definition, dimensions, load, parse, read
from ...spaces.errors import InputError
from ...spaces.sizes import AUTO, Fit, Size
from ..data.sizes import require_usable
from ..data.source import quoted
from ..engines.choice import choose
from ..loop.time_used import time_used
from ..shared.database import Database
from ..sources.open import BUILT_IN, require_clear, require_source
from ..study.folder import StudyFolder, TakenError
from ..study.home import Home
from ..study.objectives import checked_limit, checked_objectives
from ..study.record import Record
from ..study.repeats import DEFAULT_REPEATS
from ..study.settings import DataFacts, StudySettings, Terms
from ..study.shared import Shared, study_of
from ..tables.open import is_table
from ..values.answers import answered
from ..values.columns import Columns
from .options import Options

SECONDS_DIGITS = 6  # of the time of day at the end of an unnamed study's name; a number after it is shorter
DEFAULT_FIT: Fit = "stretch"
FIXED = ("engine", "algorithm", "pruner", "epochs", "seed", "precision")  # options whose values a study keeps


@dataclass(frozen=True)
class Contract:
    """What is searched: a space with its answers, whose YAML is `space`, on images from `source`, by `terms`.

    `columns` are those of a table that were named. `epochs` of a trial are None where they depend on the images.
    `existing` are the settings of an existing study, None for a new one: `terms` differ from them where a resumed study
    gets other limits or another number of repeats, or a joined one the limits of this loop. `storage` is the database
    of a shared study, and `split` the fingerprint of the other loops' split of the images, if it is joined. An
    `unnamed` study takes another name if its own has been taken meanwhile.
    """

    folder: StudyFolder
    definition: Definition
    space: str
    source: str
    columns: Columns
    fit: Fit
    skip_bad: bool
    terms: Terms
    epochs: int | None
    storage: str | None
    existing: StudySettings | None = None
    unnamed: bool = False
    split: str | None = None

    @property
    def resumed(self) -> bool:
        """Whether the study is in this home already."""
        return self.existing is not None and self.split is None

    @property
    def option(self) -> str:
        """The option that continues an existing study."""
        return "resume" if self.resumed else "storage"


def folder_of(home: Home, options: Options) -> StudyFolder:
    """Return the folder that the study has, or will have.

    Raises:
        InputError: the study to resume does not exist, or the new one does; its name is invalid.
    """
    if options.resume:
        return home.existing(str(options.study))
    if options.study is None:
        folder = home.study(f"{_short(_data(options))}-{datetime.now():%Y%m%d-%H%M%S}")
        while folder.path.exists():
            folder = folder_after(home, folder)
        return folder
    folder = home.study(options.study)
    if folder.path.exists():
        raise TakenError(folder)
    return folder


def folder_after(home: Home, folder: StudyFolder) -> StudyFolder:
    """Return the folder to try next for an unnamed study, in the order NAME, NAME-2, NAME-3, ..."""
    *words, last = folder.name.split("-")
    if words and len(last) < SECONDS_DIGITS:
        return home.study("-".join([*words, str(int(last) + 1)]))
    return home.study(f"{folder.name}-2")


def contract_of(home: Home, folder: StudyFolder, options: Options, database: Database | None) -> Contract:
    """Return the contract of a study that is not in this home yet: a new one, unless the database has it.

    Raises:
        InputError: see `new_contract` and `joined_contract`.
    """
    if database is not None and (shared := database.definition()) is not None:
        return joined_contract(folder, options, shared)
    return new_contract(home, folder, options)


def new_contract(home: Home, folder: StudyFolder, options: Options) -> Contract:
    """Return the contract of a new study.

    Raises:
        InputError: its space, method or limit is invalid, or its images or the study to start from do not exist.
    """
    method, name = options.method, "classic" if options.space is None else options.space
    if options.limit is not None:
        checked_limit(options.limit, options.all_objectives)
    text = read(name)
    answers = _answers(options)
    definition = answered(parse(text, name), answers)
    if options.warm_start is not None:
        if method.algorithm == "grid":
            raise InputError(f"--warm-start {options.warm_start}: a grid search tries everything, in its own order")
        home.existing(options.warm_start)
    source = _data(options)
    require_source(source, options.columns)
    terms = Terms(
        name=folder.name,
        space=Path(name).stem,
        answers=answers,
        engine=method.engine,
        algorithm=method.algorithm,
        pruner=method.pruner,
        objectives=options.all_objectives,
        under=options.limit,
        repeats=DEFAULT_REPEATS if options.repeats is None else options.repeats,
        trials=options.trial_limit,
        minutes=options.minutes,
        seed=0 if options.seed is None else options.seed,
        class_weights=options.class_weights,
        precision="float32" if options.precision is None else options.precision,
        warm_start=options.warm_start,
    )
    return Contract(
        folder,
        definition,
        text,
        source,
        options.columns,
        DEFAULT_FIT if options.fit is None else options.fit,
        options.skip_bad,
        terms,
        options.epochs,
        options.storage,
        unnamed=options.study is None,
    )


def resumed_contract(folder: StudyFolder, options: Options) -> Contract:
    """Return the contract of a study that is resumed.

    Raises:
        InputError: the study cannot be read, or an option contradicts its settings.
    """
    existing = folder.read()
    try:
        choose(existing.engine, existing.algorithm, existing.pruner, len(existing.objectives))
    except InputError as error:
        raise InputError(f"{folder.file}: {error}") from error
    folder.space(existing, folder.record())
    definition = folder.definition(existing)
    text = folder.space_file.read_text(encoding="utf-8")
    if options.storage is not None and existing.storage is None:
        raise InputError(f"--storage: the study '{folder.name}' was created without it; only a new study can be shared")
    _refuse_other_options(existing, definition, options, "resume")
    changed: dict[str, Any] = {}
    if options.under is not None:
        limit = None if options.limit is None else checked_limit(options.limit, existing.objectives)
        if limit != existing.preference.under:  # or the same limit, written otherwise, would call for another test
            changed["under"] = options.limit
    if options.repeats is not None:
        changed["repeats"] = options.repeats
    used = time_used(folder.path)
    terms = existing.model_copy(update=changed | _limits(options, used))
    if "under" in changed and not _goes_on(folder, terms, options, used):
        _require_a_choice(terms, folder.record())
    source = _data(options, existing)
    require_source(source, existing.data.columns)
    storage = existing.storage if options.storage is None else options.storage
    skip_bad = options.skip_bad or existing.data.skipped
    return Contract(
        folder,
        definition,
        text,
        source,
        existing.data.columns,
        existing.data.fit,
        skip_bad,
        terms,
        existing.epochs,
        storage,
        existing,
    )


def joined_contract(folder: StudyFolder, options: Options, shared: Shared) -> Contract:
    """Return the contract of a study that other loops are running.

    Raises:
        InputError: its space has another format, or an option contradicts the settings of the other loops.
    """
    existing = study_of(shared, str(options.storage))
    if existing.space_format != SPACE_FORMAT:
        raise InputError(
            f"--storage: the study '{existing.name}' has spaces of format {existing.space_format}, this version of "
            f"Convsearch has {SPACE_FORMAT}: its candidates would differ. All loops need the same version"
        )
    definition = answered(parse(shared.space, f"the space of study '{existing.name}'"), existing.answers)
    _refuse_other_options(existing, definition, options, "storage")
    limit = None if options.limit is None else checked_limit(options.limit, existing.objectives)
    same_limit = limit == existing.preference.under
    for key in ("repeats", "under", "warm_start"):
        given, theirs = getattr(options, key), getattr(existing, key)
        if given is not None and given != theirs and not (key == "under" and same_limit):
            raise InputError(
                f"--storage: the study '{existing.name}' has --{key.replace('_', '-')} {theirs}, not {given}"
            )
    if options.class_weights and not existing.class_weights:
        raise InputError(f"--storage: the study '{existing.name}' has no --class-weights")
    source = _data(options, existing)
    return Contract(
        folder,
        definition,
        shared.space,
        source,
        existing.data.columns,
        existing.data.fit,
        options.skip_bad or existing.data.skipped,
        terms=existing.model_copy(update=_limits(options)),
        epochs=existing.epochs,
        storage=existing.storage,
        existing=existing,
        split=shared.split,
    )


def _goes_on(folder: StudyFolder, terms: StudySettings, options: Options, used: float) -> bool:
    """Whether a resumed study may get further trials; `used` is the seconds that earlier launches took."""
    finished, result = folder.record().finished(), folder.result()
    if terms.trials is not None and finished >= terms.trials:
        return False
    if terms.minutes is not None and used >= terms.minutes * 60:
        return False
    if options.trials is not None or options.minutes is not None:
        return True
    return result is None or result.cut or result.trials != finished


def _require_a_choice(terms: StudySettings, record: Record) -> None:
    """Raise an InputError if no trial is within a new limit: kept, it would end each launch from then on."""
    try:
        terms.preference.ranked(record)
    except InputError as error:
        more = "--trials or --minutes to search further"
        raise InputError(f"{error}. The study is as it was: give another --under, or more {more}") from error


def _limits(options: Options, used: float = 0.0) -> dict[str, Any]:
    """Return the limits that a launch gives an existing study, in the place of both that it had; none if it gives none.

    `used` is the seconds that earlier launches took: the minutes of a launch count from its own beginning.
    """
    if options.trials is None and options.minutes is None:
        return {}
    minutes = None if options.minutes is None else round(used / 60 + options.minutes, 3)
    return {"trials": options.trials, "minutes": minutes}


def refuse_other_data(study: StudySettings, facts: DataFacts, count: int, contract: Contract) -> None:
    """Raise an InputError if the data are not those that the study was created with.

    Args:
        study: as it was created.
        facts: of the data now.
        count: the number of images now.
        contract: of the launch.
    """
    theirs = f"--{contract.option}: {contract.source} is not the data that the study '{study.name}' was created with: "
    passed_over = [note for note in facts.notes if note.startswith("ignored: ") and note not in study.data.notes]
    unlike = "".join(f"; {note}" for note in passed_over)  # an earlier version may have read it
    if facts.classes != study.data.classes:
        raise InputError(
            f"{theirs}its classes are {quoted(facts.classes)}, the study has {quoted(study.data.classes)}{unlike}"
        )
    for key in ("fingerprint", "input"):
        now, then = getattr(facts, key), getattr(study.data, key)
        if now != then:
            shown = (now, then)
            if key == "fingerprint":
                shown = (now[:16], f"{then[:16]}; {count:,} images now, {study.data.count:,} then{unlike}")
            raise InputError(f"{theirs}its {key} is {shown[0]}, the study has {shown[1]}")
    # The split names images by their position among those that could be read.
    if not facts.has_images_of(study.data) or count != study.data.count:
        raise InputError(
            f"{theirs}other images can be read than then: {count:,} now, {study.data.count:,} then. Its split would "
            "mix training and test images. Make the same images readable again, with the same version of Pillow "
            f"({study.versions.get('pillow', 'unknown')}), or start a new study with --warm-start {study.name}"
        )


def _data(options: Options, existing: StudySettings | None = None) -> str:
    """Return the source that was typed, that of an existing study, or what is built in.

    What was typed may also be the name of something that is here; an existing study says which of them it is.

    Raises:
        InputError: it is the name of both.
    """
    own = BUILT_IN if existing is None else existing.data.source
    if options.data is None:
        return own
    if existing is None or options.data != own:
        require_clear(options.data)
    return options.data


def _answers(options: Options) -> dict[str, str]:
    """Return the answers of a new study; --image-size is the same as one to the input size.

    Raises:
        InputError: that is answered twice, or no search can use it.
    """
    answers = dict(options.answers)
    if options.image_size is None:
        return answers
    if INPUT in answers:
        raise InputError(f"--image-size and --set {INPUT}={answers[INPUT]} answer the same: give one of them")
    require_usable(options.image_size, "the requested image size")
    return {INPUT: str(Size(*options.image_size))} | answers


def _refuse_other_options(study: StudySettings, definition: Definition, options: Options, option: str) -> None:
    """Raise an InputError if a given option contradicts the study's settings; `option` is for the message."""
    if options.space is not None or options.answers:
        wanted = answered(definition if options.space is None else load(options.space), dict(options.answers))
        if wanted.input_size.values == (AUTO,):  # nothing was said of sizes: --image-size is looked at below
            wanted = wanted.model_copy(update={INPUT: definition.input_size})
        if differences := _differences(definition, wanted):
            raise InputError(
                f"--{option}: the study '{study.name}' has a different space from "
                f"{'the one requested' if options.space is None else options.space}:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nOmit --space and --set to continue with the study's own, or start a new study."
            )
    if options.image_size is not None and study.sizes != (size := Size(*options.image_size),):
        has = ", ".join(map(str, study.sizes))
        raise InputError(f"--{option}: the study '{study.name}' takes its images at {has}, not at {size}")
    if options.fit is not None and options.fit != study.data.fit:
        raise InputError(f"--{option}: the study '{study.name}' has --fit {study.data.fit}, not {options.fit}")
    for role, name in options.columns:
        if name is not None and name != (has := getattr(study.data.columns, role)):
            theirs = f"--{role}-column {has}" if has is not None else f"no --{role}-column"
            raise InputError(f"--{option}: the study '{study.name}' has {theirs}, not {name}")
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
    """Return the differences between two definitions, one per line."""
    one, other = dict(dimensions(has)), dict(dimensions(wanted))
    lines = [
        f"{name}: the study has {_text(one.get(name))}, requested is {_text(other.get(name))}"
        for name in one | other
        if one.get(name) != other.get(name)
    ]
    for key in ("exact_fit", "limits"):
        if getattr(has, key) != getattr(wanted, key):
            lines.append(f"{key}: the study has {getattr(has, key)!s}, requested is {getattr(wanted, key)!s}")
    return lines


def _text(dimension: Any) -> str:
    if dimension is None:
        return "nothing"
    values = dimension.values
    return f"{dimension.low:g} to {dimension.high:g}" if values is None else ", ".join(map(str, values))


def _short(source: str) -> str:
    """Return a short name of a data source, for the study's name."""
    name = Path(source.removeprefix("keras:")).name
    stem = Path(name).stem if is_table(Path(name)) else name.removesuffix(".npz")
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem if c.isascii()).strip("-_")
    return plain[:40] or "images"
