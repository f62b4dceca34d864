"""From options to a study on disk: everything is checked before a new study's folder is made or an old one goes on."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from ..spaces.arithmetic import BYTES_PER_VALUE
from ..spaces.definition import FORMAT as SPACE_FORMAT
from ..spaces.definition import Definition, answered, dimensions, load, parse, presets
from ..spaces.errors import InputError
from ..spaces.space import SearchSpace
from .data import Dataset, Split, open_data, split
from .engines.choice import choose
from .home import DataFacts, Home, StudyFile, StudyFolder
from .job import Precision
from .objectives import check_objectives, check_under
from .options import DEFAULT_TRIALS, Options
from .plan import epochs_for, require_time_to_export, usual_epochs
from .record import Record
from .repeats import DEFAULT_REPEATS
from .sharing import Shared, fingerprint, own, shared_of, study_of
from .warm_start import warm_values

if TYPE_CHECKING:
    from .engines.database import Database

VERSIONS = ("convsearch", "tensorflow", "keras", "optuna", "keras-tuner", "mlflow", "numpy", "pillow")


@dataclass(frozen=True)
class Prepared:
    """A study that is ready to be searched: its folder and what is in it, its data, its space."""

    folder: StudyFolder
    study: StudyFile
    dataset: Dataset
    split: Split
    space: SearchSpace
    record: Record
    database: "Database | None" = None  # of a shared study


def folder_of(home: Home, options: Options) -> StudyFolder:
    """Return the folder that the study has or will have.

    Raises:
        InputError: a study that is to go on has no name, or is not there; a new one's name is no plain name.
    """
    if options.resume:
        if options.study is None:
            raise InputError("--resume goes with --study NAME: which study is to go on?")
        return home.existing(options.study)
    if options.study is not None:
        return home.study(options.study)
    return home.study(f"{_short(options.data or 'digits')}-{datetime.now():%Y%m%d-%H%M%S}")


def begin(
    home: Home, folder: StudyFolder, options: Options, console: Console, database: "Database | None" = None
) -> Prepared:
    """Check everything, then make the study's folder; in a database that has the study already, join it."""
    if folder.path.exists():
        raise InputError(
            f"the study '{folder.name}' exists in {home.path}: go on with it by --resume, or choose another name by "
            "--study"
        )
    if database is not None and (found := database.definition()) is not None:
        return join(home, folder, options, console, database, found)
    space_name = options.space or "classic"
    definition = answered(load(space_name), options.answers)
    home.prepare()
    seed = options.seed or 0
    dataset = _open(home, options.data or "digits", options.image_size, options.skip_bad, console)
    space = SearchSpace(definition, dataset.input, len(dataset.classes))
    parts = split(dataset, seed)
    objectives = check_objectives(options.objectives)
    engine, algorithm, pruner = choose(options.engine, options.algorithm, options.pruner, len(objectives))
    _require_reachable(space, options.under, objectives)
    if algorithm == "grid":
        space.require_enumerable()
    images = len(parts.train)
    if options.minutes is not None:
        epochs = epochs_for(space, images, options.minutes, options.epochs, time.monotonic() - options.began)
    else:
        epochs = options.epochs or usual_epochs(space, images)
    warm = () if options.warm_start is None else tuple(warm_values(home.existing(options.warm_start), space))
    given = options.trials is not None or options.minutes is not None or algorithm == "grid"
    study = StudyFile(
        name=folder.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        space=Path(space_name).stem,
        space_format=SPACE_FORMAT,
        answers=options.answers,
        data=_facts(dataset, parts, options.image_size),
        engine=engine,
        algorithm=algorithm,
        pruner=pruner,
        objectives=objectives,
        under=options.under,
        repeats=DEFAULT_REPEATS if options.repeats is None else options.repeats,
        epochs=epochs,
        trials=options.trials if given else DEFAULT_TRIALS,
        minutes=options.minutes,
        seed=seed,
        class_weights=options.class_weights,
        precision=cast(Precision, options.precision or "float32"),
        warm_start=options.warm_start,
        warm_values=warm,
        versions=_versions(),
    )
    text = (presets().get(space_name) or Path(space_name)).read_text(encoding="utf-8")
    if database is not None:
        study = study.model_copy(update=own(database.storage))
        directions = ["maximize", *["minimize"] * (len(objectives) - 1)]
        if not database.make(shared_of(study, text, parts), directions):  # another loop has, in the meantime
            return begin(home, folder, options, console, database)
    folder.create(study, text, parts)
    return Prepared(folder, study, dataset, parts, space, folder.record(), database)


def join(
    home: Home,
    folder: StudyFolder,
    options: Options,
    console: Console,
    database: "Database",
    shared: Shared,
) -> Prepared:
    """Make the folder of a study that other loops work on; refuse whatever is not as they have it."""
    home.prepare()
    has = study_of(shared, database.storage)
    if has.space_format != SPACE_FORMAT:
        raise InputError(
            f"--storage: the study '{has.name}' has spaces of format {has.space_format}, this version of Convsearch "
            f"has {SPACE_FORMAT}: its candidates would not be the same. All loops need the same version"
        )
    searched = answered(parse(shared.space, f"the space of study '{has.name}'"), has.answers)
    _refuse_other_options(has, searched, options, "storage")
    for key in ("repeats", "under", "warm_start"):
        asked, theirs = getattr(options, key), getattr(has, key)
        if asked is not None and asked != theirs:
            raise InputError(f"--storage: the study '{has.name}' has --{key.replace('_', '-')} {theirs}, not {asked}")
    if options.class_weights and not has.class_weights:
        raise InputError(f"--storage: the study '{has.name}' has no --class-weights")
    source, size = options.data or has.data.source, options.image_size or has.data.image_size
    dataset = _open(home, source, size, options.skip_bad, console)
    parts = split(dataset, has.seed)
    facts = _facts(dataset, parts, size)
    _refuse_other_data(has, facts, source, "storage")
    if (mine := fingerprint(parts)) != shared.split:
        raise InputError(
            f"--storage: {source} is divided into other images to train, validate and test (hash {mine[:16]}) than in "
            f"the study '{has.name}' ({shared.split[:16]}): the versions of NumPy or Convsearch differ"
        )
    space = SearchSpace(searched, dataset.input, len(dataset.classes))
    if options.minutes is not None:
        epochs_for(space, len(parts.train), options.minutes, has.epochs, time.monotonic() - options.began)
    study = has.model_copy(update={"data": facts, "versions": _versions()})
    folder.create(study, shared.space, parts)
    return Prepared(folder, study, dataset, parts, space, folder.record(), database)


def resume(
    home: Home, folder: StudyFolder, options: Options, console: Console, database: "Database | None" = None
) -> Prepared:
    """Open a study that is there, and refuse to go on with anything else than it began with."""
    home.prepare()
    study = folder.read()
    if database is not None:
        study = _refuse_another_study(folder, study, database)
    definition = folder.definition(study)
    _refuse_other_options(study, definition, options, "resume")
    source = options.data or study.data.source
    size = options.image_size or study.data.image_size
    dataset = _open(home, source, size, options.skip_bad, console)
    facts = _facts(dataset, Split.load(folder.split), size)
    _refuse_other_data(study, facts, source, "resume")
    space = SearchSpace(definition, dataset.input, len(dataset.classes))
    parts, record = Split.load(folder.split), folder.record()
    if options.minutes is not None:
        if record.best():
            require_time_to_export(options.minutes)
        else:
            epochs_for(space, len(parts.train), options.minutes, study.epochs)
    anew: dict[str, Any] = {}
    if options.under is not None:  # which trial is named may be asked anew
        check_under(options.under, study.objectives)
        _require_reachable(space, options.under, study.objectives)
        anew["under"] = options.under
    if options.repeats is not None:
        anew["repeats"] = options.repeats
    if anew:
        study = study.model_copy(update=anew)
        folder.write(study)
    return Prepared(folder, study, dataset, parts, space, record, database)


def _refuse_other_options(study: StudyFile, definition: Definition, options: Options, option: str) -> None:
    """Raise an InputError where what was asked for is not what the study has, which is searched by `--option`."""
    if options.space is not None or options.answers:
        asked = answered(load(options.space) if options.space else definition, options.answers)
        if differences := _differences(definition, asked):
            raise InputError(
                f"--{option}: the study '{study.name}' searches another space than {options.space or 'asked'}:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nLeave --space and --set out to go on with the study's own, or begin a new study."
            )
    if options.objectives and check_objectives(options.objectives) != study.objectives:
        raise InputError(
            f"--{option}: the study '{study.name}' has --objective {' --objective '.join(study.objectives)}, "
            f"not {' and '.join(options.objectives)}"
        )
    fixed = ("engine", "algorithm", "pruner", "epochs", "seed", "precision")
    for key in fixed:
        asked_value, has = getattr(options, key), getattr(study, key)
        if asked_value is not None and asked_value != has:
            raise InputError(f"--{option}: the study '{study.name}' has --{key} {has}, not {asked_value}")


def _refuse_other_data(study: StudyFile, facts: DataFacts, source: str, option: str) -> None:
    """Raise an InputError where the data are not those that the study began with."""
    for key in ("fingerprint", "input", "classes"):
        now, then = getattr(facts, key), getattr(study.data, key)
        if now != then:
            shown = (now[:16], then[:16]) if key == "fingerprint" else (now, then)
            raise InputError(
                f"--{option}: {source} is not the data that the study '{study.name}' began with: its {key} "
                f"{'is' if key != 'classes' else 'are'} {shown[0]}, the study has {shown[1]}"
            )


def _refuse_another_study(folder: StudyFolder, study: StudyFile, database: "Database") -> StudyFile:
    """Return a study that goes on in this database, where it has perhaps moved to; InputError where it is not."""
    found = database.definition()
    if found is None or found.study["created_at"] != study.created_at:
        what = "no study" if found is None else "another study"
        raise InputError(f"--resume: {database.place} has {what} '{study.name}', not the one in {folder.path}")
    if study.storage != database.storage:
        study = study.model_copy(update={"storage": database.storage})
        folder.write(study)
    return study


def _require_reachable(space: SearchSpace, under: str | None, objectives: Sequence[str]) -> None:
    """Raise an InputError where the space holds nothing under a limit that arithmetic knows of."""
    if under is None:
        return
    name, limit = check_under(under, objectives)
    limits = {"parameters": "max_parameters", "macs": "max_macs", "size_kb": "max_parameters"}
    if name not in limits:  # latency is known when it is measured
        return
    most = max(1, int(limit * 1000 / BYTES_PER_VALUE if name == "size_kb" else limit))
    known = getattr(space.definition.limits, limits[name])
    tighter = space.definition.limits.model_copy(update={limits[name]: min(most, known or most)})
    try:
        SearchSpace(space.definition.model_copy(update={"limits": tighter}), space.input, space.classes)
    except InputError as error:
        raise InputError(f"--under {under}: {error}") from error


def _differences(has: Definition, asked: Definition) -> list[str]:
    """Return what two definitions do not have in common, a line each."""
    one, other = dict(dimensions(has)), dict(dimensions(asked))
    lines = [
        f"{name}: the study has {_said(one.get(name))}, asked for is {_said(other.get(name))}"
        for name in one | other
        if one.get(name) != other.get(name)
    ]
    for key in ("exact_fit", "limits"):
        if getattr(has, key) != getattr(asked, key):
            lines.append(f"{key}: the study has {getattr(has, key)!s}, asked for is {getattr(asked, key)!s}")
    return lines


def _said(dimension: Any) -> str:
    if dimension is None:
        return "nothing"
    values = dimension.values
    return f"{dimension.low:g} to {dimension.high:g}" if values is None else ", ".join(map(str, values))


def _open(home: Home, source: str, size: tuple[int, int] | None, skip_bad: bool, console: Console) -> Dataset:
    with _counting(console, f"reading {source}") as progress:
        return open_data(source, home.data, image_size=size, skip_bad=skip_bad, progress=progress)


@contextmanager
def _counting(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a long reading is, on a terminal."""
    with console.status(f"{what} ...") as status:
        yield lambda done, total: status.update(f"{what}: {done:,} of {total:,} images")


def _facts(dataset: Dataset, parts: Split, size: tuple[int, int] | None) -> DataFacts:
    return DataFacts(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        input=dataset.input,
        classes=dataset.classes,
        folder=dataset.folder.name,
        image_size=size,
        train=len(parts.train),
        val=len(parts.val),
        test=len(parts.test),
        notes=dataset.notes,
    )


def _versions() -> dict[str, str]:
    """Return the versions of what is installed; TensorFlow is not there where another backend is used."""
    found = {}
    for name in VERSIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {"python": python_version()}


def _short(source: str) -> str:
    """Return a plain name for a data source, for the study's name."""
    stem = Path(source.removeprefix("keras:")).name.removesuffix(".npz")
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem if c.isascii()).strip("-_")
    return plain[:40] or "images"
