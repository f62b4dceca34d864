"""From the contract to a study on disk: reads the images, and checks everything that depends on them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from rich.console import Console

from ...spaces.arithmetic import BYTES_PER_VALUE
from ...spaces.definition import FORMAT as SPACE_FORMAT
from ...spaces.errors import InputError
from ...spaces.space import SearchSpace
from ..data import Dataset, Split, split
from ..loop.epochs import epochs_for, require_time_to_export, usual_epochs
from ..loop.prepared import Prepared
from ..shared.database import Database
from ..sources import open_data
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.objectives import checked_limit
from ..study.repeats import DEFAULT_REPEATS
from ..study.settings import DataFacts, StudySettings
from ..study.shared import fingerprint, own, shared_of
from .contract import Contract, contract_of, refuse_other_data
from .options import Options
from .warm_start import warm_values

VERSIONS = ("convsearch", "tensorflow", "keras", "optuna", "keras-tuner", "mlflow", "numpy", "pillow")


def prepare(
    home: Home, contract: Contract, options: Options, console: Console, database: Database | None = None
) -> Prepared:
    """Read the images, check what depends on them, and create the folder of a study that is new here.

    Raises:
        InputError: an option does not fit the images, or they are not those of the study.
    """
    home.prepare()
    with _counting(console, f"reading {contract.source}") as progress:
        dataset = open_data(
            contract.source, home.data, image_size=contract.image_size, skip_bad=options.skip_bad, progress=progress
        )
    space = SearchSpace(contract.definition, dataset.input, len(dataset.classes))
    if contract.existing is None:
        return _begin(home, contract, options, dataset, space, console, database)
    if contract.split is None:
        return _resume(contract, contract.existing, options, dataset, space, database)
    return _join(contract, contract.existing, options, dataset, space, database)


def _begin(
    home: Home,
    contract: Contract,
    options: Options,
    dataset: Dataset,
    space: SearchSpace,
    console: Console,
    database: Database | None,
) -> Prepared:
    seed, folder, method, objectives = options.seed or 0, contract.folder, options.method, options.all_objectives
    parts = split(dataset, seed)
    _require_reachable(space, options.under, objectives)
    if method.algorithm == "grid":
        space.require_enumerable()
    images = len(parts.train)
    if options.minutes is not None:
        epochs = epochs_for(space, images, options.minutes, options.epochs, time.monotonic() - options.began)
    else:
        epochs = options.epochs or usual_epochs(space, images)
    warm = () if options.warm_start is None else tuple(warm_values(home.existing(options.warm_start), space))
    study = StudySettings(
        name=folder.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        space=Path(options.space or "classic").stem,
        space_format=SPACE_FORMAT,
        answers=dict(options.answers),
        data=_facts(dataset, parts, contract.image_size),
        engine=method.engine,
        algorithm=method.algorithm,
        pruner=method.pruner,
        objectives=objectives,
        under=options.under,
        repeats=DEFAULT_REPEATS if options.repeats is None else options.repeats,
        epochs=epochs,
        trials=options.trial_limit,
        minutes=options.minutes,
        seed=seed,
        class_weights=options.class_weights,
        precision=options.precision or "float32",
        warm_start=options.warm_start,
        warm_values=warm,
        versions=_versions(),
    )
    if database is not None:
        study = study.model_copy(update=own(database.storage))
        directions = ["maximize", *["minimize"] * (len(objectives) - 1)]
        if not database.make(shared_of(study, contract.space, parts), directions):  # another loop was faster
            return prepare(home, contract_of(home, folder, options, database), options, console, database)
    folder.create(study, contract.space, parts)
    return Prepared(folder, study, dataset, parts, space, folder.record(), database)


def _join(
    contract: Contract,
    existing: StudySettings,
    options: Options,
    dataset: Dataset,
    space: SearchSpace,
    database: Database | None,
) -> Prepared:
    folder, parts = contract.folder, split(dataset, existing.seed)
    facts = _facts(dataset, parts, contract.image_size)
    refuse_other_data(existing, facts, contract.source, contract.option)
    if (mine := fingerprint(parts)) != contract.split:
        raise InputError(
            f"--storage: {contract.source} is divided into other images to train, validate and test (hash {mine[:16]}) "
            f"than in the study '{existing.name}' ({str(contract.split)[:16]}): the versions of NumPy or Convsearch "
            "differ"
        )
    if options.minutes is not None:
        epochs_for(space, len(parts.train), options.minutes, existing.epochs, time.monotonic() - options.began)
    study = existing.model_copy(update={"data": facts, "versions": _versions()})
    folder.create(study, contract.space, parts)
    return Prepared(folder, study, dataset, parts, space, folder.record(), database)


def _resume(
    contract: Contract,
    existing: StudySettings,
    options: Options,
    dataset: Dataset,
    space: SearchSpace,
    database: Database | None,
) -> Prepared:
    folder, study = contract.folder, existing
    if database is not None:
        study = _refuse_another_study(folder, study, database)
    parts, record = Split.load(folder.split), folder.record()
    facts = _facts(dataset, parts, contract.image_size)
    refuse_other_data(study, facts, contract.source, contract.option)
    if options.minutes is not None:
        if record.best():
            require_time_to_export(options.minutes)
        else:
            epochs_for(space, len(parts.train), options.minutes, study.epochs)
    changed: dict[str, Any] = {}
    if options.under is not None:
        _require_reachable(space, options.under, study.objectives)
        changed["under"] = options.under
    if options.repeats is not None:
        changed["repeats"] = options.repeats
    if changed:
        study = study.model_copy(update=changed)
        folder.write(study)
    return Prepared(folder, study, dataset, parts, space, record, database)


def _refuse_another_study(folder: StudyFolder, study: StudySettings, database: Database) -> StudySettings:
    """Return a study with the address of this database, to which it may have moved; InputError if it is not in it."""
    found = database.definition()
    if found is None or found.study["created_at"] != study.created_at:
        other = "no study" if found is None else "another study"
        raise InputError(f"--resume: {database.place} has {other} '{study.name}', not the one in {folder.path}")
    if study.storage != database.storage:
        study = study.model_copy(update={"storage": database.storage})
        folder.write(study)
    return study


def _require_reachable(space: SearchSpace, under: str | None, objectives: Sequence[str]) -> None:
    """Raise an InputError if no candidate of the space is within a limit on a cost that can be computed."""
    if under is None:
        return
    name, limit = checked_limit(under, objectives)
    limits = {"parameters": "max_parameters", "macs": "max_macs", "size_kb": "max_parameters"}
    if name not in limits:  # latency is only known once measured
        return
    most = max(1, int(limit * 1000 / BYTES_PER_VALUE if name == "size_kb" else limit))
    current = getattr(space.definition.limits, limits[name])
    tighter = space.definition.limits.model_copy(update={limits[name]: min(most, current or most)})
    try:
        SearchSpace(space.definition.model_copy(update={"limits": tighter}), space.input, space.classes)
    except InputError as error:
        raise InputError(f"--under {under}: {error}") from error


@contextmanager
def _counting(console: Console, text: str) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of reading images, on a terminal."""
    with console.status(f"{text} ...") as status:
        yield lambda done, total: status.update(f"{text}: {done:,} of {total:,} images")


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
    """Return the versions of the installed packages; TensorFlow may be missing."""
    found = {}
    for name in VERSIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {"python": python_version()}
