"""From the contract to a study on disk: reads the images, and checks everything that depends on them."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from uuid import uuid4

import numpy as np
from rich.console import Console

from ...spaces.arithmetic import BYTES_PER_VALUE
from ...spaces.definition import FORMAT as SPACE_FORMAT
from ...spaces.errors import InputError
from ...spaces.memory.limit import Memory
from ...spaces.sizes import Size, size_of
from ...spaces.space import SearchSpace, Values
from ..data import Dataset, Split, split
from ..data.sizes import own_size, require_usable
from ..data.source import Role, Source, check_classes
from ..data.splits import HELD_OUT, divide
from ..loop.budget import Budget
from ..loop.epochs import epochs_for, require_time_to_export, usual_epochs
from ..loop.input_sizes import OnOffer, Wanted, sizes_on_offer
from ..loop.prepared import Prepared
from ..shared.database import Database
from ..sources.open import require_home, scan
from ..sources.store import stored
from ..study.folder import StudyFolder, TakenError, hash_of
from ..study.home import Home
from ..study.settings import DataFacts, StudySettings, Terms
from ..study.shared import fingerprint, own, shared_of, study_of
from ..system.lock import in_use
from .contract import Contract, folder_after, refuse_other_data
from .reading import reading
from .warm_start import warm_notes, warm_values

VERSIONS = ("convsearch", "tensorflow", "keras", "optuna", "keras-tuner", "mlflow", "numpy", "pillow")


def prepare(
    home: Home,
    contract: Contract,
    budget: Budget,
    console: Console,
    held: ExitStack,
    database: Database | None = None,
    memory: Memory | None = None,
) -> Prepared | None:
    """Read the images, check what depends on them, and create the folder of a study that is new here.

    `held` keeps the images in use, and the lock of a new folder; that of a resumed study is held already. `memory` is
    what the workers have now, which a new study keeps.

    Returns:
        the study; None if another loop has created it in the database meanwhile, so that it has to be joined.

    Raises:
        InputError: the contract does not fit the images, or they are not those of the study; or the name of a new study
            has been taken meanwhile.
    """
    if not contract.resumed:
        require_home(contract.source, home.path, home.own)
    home.prepare()
    studies = [home.path, *home.own]  # a home that is the folder of images itself is not left out, but what is in it
    folder, terms, existing = contract.folder, contract.terms, contract.existing
    with reading(console, contract.source) as step:
        source = scan(
            contract.source, studies, contract.columns, skip_bad=contract.skip_bad, progress=step("files hashed")
        )
        check_classes(source)
        memory = memory if existing is None else existing.memory
        sizes = _sizes(contract, source, budget, memory)
        size = Size(*map(max, zip(*sizes.sizes, strict=True)))
        opened = partial(
            stored,
            source,
            size,
            contract.fit,
            home.data,
            skip_bad=contract.skip_bad,
            step=step,
            begun=None if existing is None else existing.data.folder,
        )
        dataset = _opened(opened, held)
    space = SearchSpace(contract.definition.at(*sizes.sizes), dataset.input, len(dataset.classes), memory)
    parts = Split.load(folder.split) if contract.resumed else _divided(dataset, contract)
    facts = _facts(dataset, parts, contract)
    if existing is not None:
        refuse_other_data(existing, facts, dataset.count, contract)
        _refuse_another_split(contract, parts, dataset.count)
    if existing is None or terms.under != existing.under:
        _require_reachable(space, terms)
    epochs = _epochs(contract, space, sizes.first, len(parts.train), budget)
    if existing is None:
        study = _new_study(home, contract, space, sizes, memory, facts, parts, epochs)
        if database is not None:
            study = study.model_copy(update=own(database.storage))
            directions = ["maximize", *["minimize"] * (len(terms.objectives) - 1)]
            if not database.make(shared_of(study, contract.space, parts), directions):
                return None
        folder, study = _created(home, contract, study, parts, held)
    elif not contract.resumed:
        assert isinstance(terms, StudySettings), "a joined study has all its settings"
        study = terms.model_copy(update={"data": facts, "versions": _versions()})
        held.enter_context(folder.create(study, contract.space, parts))
    else:
        assert isinstance(terms, StudySettings), "a resumed study has all its settings"
        data = terms.data.model_copy(update={"source": contract.source})
        study = terms.model_copy(update={"name": folder.name, "data": data})  # either may have been moved
        if database is not None:
            _refuse_another_study(folder, study, database)
            study = study.model_copy(update={"storage": database.storage})
        folder.write(study)
    return Prepared(folder, study, dataset, parts, space, folder.record(), database)


def _opened(open_: Callable[[], Dataset], held: ExitStack) -> Dataset:
    """Open the images, and keep them from being deleted: no study says yet that it uses them."""
    while True:
        dataset = open_()
        with suppress(FileNotFoundError):  # deleted just now, as no study used them
            held.enter_context(in_use(dataset.folder))
            return dataset


def _created(
    home: Home, contract: Contract, study: StudySettings, parts: Split, held: ExitStack
) -> tuple[StudyFolder, StudySettings]:
    """Create the folder of a new study; return it with the study, whose name may be another if it was not given."""
    folder = contract.folder
    while True:
        try:
            held.enter_context(folder.create(study, contract.space, parts))
        except TakenError:
            if not contract.unnamed:
                raise
            folder = folder_after(home, folder)
            study = study.model_copy(update={"name": folder.name})
        else:
            return folder, study


def _new_study(
    home: Home,
    contract: Contract,
    space: SearchSpace,
    sizes: OnOffer,
    memory: Memory | None,
    facts: DataFacts,
    parts: Split,
    epochs: int,
) -> StudySettings:
    terms, other = contract.terms, contract.terms.warm_start
    values: tuple[Values, ...] = ()
    notes: tuple[str, ...] = ()
    identity = None
    if other is not None:
        values = tuple(warm_values(home.existing(other), space))
        notes = warm_notes(home, other, facts, parts)
        identity = home.existing(other).read().id
    if terms.algorithm == "grid":
        space.require_enumerable()
    return StudySettings(
        **dict(terms),
        id=uuid4().hex,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        space_format=SPACE_FORMAT,
        space_hash=hash_of(contract.space),
        data=facts,
        memory=memory,
        input_sizes=tuple(map(str, sizes.sizes)),
        first_size=str(sizes.first),
        epochs=epochs,
        warm_start_id=identity,
        warm_values=values,
        warm_notes=notes,
        versions=_versions(),
    )


def _sizes(contract: Contract, source: Source, budget: Budget, memory: Memory | None) -> OnOffer:
    """Return the sizes at which a study takes its images: a new one those that suit it, an existing one its own."""
    existing = contract.existing
    if existing is not None:
        return OnOffer(existing.sizes, size_of(existing.first_size or "") or existing.sizes[0])
    roles = np.bincount(source.given, minlength=len(Role))
    kept = 1.0 if roles[Role.VAL] else 1 - HELD_OUT
    kept *= 1.0 if roles[Role.TEST] else 1 - HELD_OUT
    images = max(1, int(kept * (roles[Role.UNDECIDED] + roles[Role.TRAIN])))
    wanted = Wanted(source.depth, len(source.classes), images, budget.seconds, contract.epochs, budget.elapsed, memory)
    found = sizes_on_offer(contract.definition, own_size(source.sizes), wanted)
    for size in found.sizes:
        require_usable(size, f"{source.spec}: the size of the images")
    return found


def _epochs(contract: Contract, space: SearchSpace, size: Size, images: int, budget: Budget) -> int:
    """Return the epochs of a trial; InputError if there is no time for what this launch has to do."""
    space = SearchSpace(contract.definition.at(size), space.input, space.classes, space.memory)
    if budget.seconds is None:
        return contract.epochs or usual_epochs(space, images)
    minutes = budget.seconds / 60
    if contract.epochs is not None and contract.resumed and contract.folder.record().best():
        require_time_to_export(minutes, contract.folder.path)
        return contract.epochs
    return epochs_for(space, images, minutes, contract.epochs, budget.elapsed, new=contract.existing is None)


def _divided(dataset: Dataset, contract: Contract) -> Split:
    """Return the split of a study that is new here; one that other loops run may be as earlier versions divided."""
    if contract.split is not None:
        earlier = divide(dataset.labels(), dataset.given, contract.terms.seed)
        if fingerprint(earlier) == contract.split:
            return earlier
    return split(dataset, contract.terms.seed)


def _refuse_another_split(contract: Contract, parts: Split, count: int) -> None:
    """Raise an InputError if the study's split is not one of these images, or other loops divide them otherwise."""
    if contract.resumed and not parts.divides(count):
        raise InputError(f"{contract.folder.split}: damaged: it does not divide the {count:,} images of the study")
    if contract.split is not None and (mine := fingerprint(parts)) != contract.split:
        raise InputError(
            f"--storage: {contract.source} is divided into other images to train, validate and test (hash {mine[:16]}) "
            f"than in the study '{contract.terms.name}' ({contract.split[:16]}): the versions of NumPy or Convsearch "
            "differ"
        )


def _refuse_another_study(folder: StudyFolder, study: StudySettings, database: Database) -> None:
    """Raise an InputError if a database, to which the study may have moved, does not have it."""
    found = database.definition()
    if found is None or study_of(found, database.storage).id != study.id:
        other = "no study" if found is None else "another study"
        raise InputError(f"--resume: {database.place} has {other} '{study.name}', not the one in {folder.path}")


def _require_reachable(space: SearchSpace, terms: Terms) -> None:
    """Raise an InputError if no candidate of the space is within a limit on a cost that can be computed."""
    if terms.preference.under is None:
        return
    name, limit = terms.preference.under
    limits = {"parameters": "max_parameters", "macs": "max_macs", "size_kb": "max_parameters"}
    if name not in limits:  # latency is only known once measured
        return
    most = max(1, int(limit * 1000 / BYTES_PER_VALUE if name == "size_kb" else limit))
    current = getattr(space.definition.limits, limits[name])
    tighter = space.definition.limits.model_copy(update={limits[name]: min(most, current or most)})
    try:
        SearchSpace(space.definition.model_copy(update={"limits": tighter}), space.input, space.classes, space.memory)
    except InputError as error:
        raise InputError(f"--under {terms.under}: {error}") from error


def _facts(dataset: Dataset, parts: Split, contract: Contract) -> DataFacts:
    return DataFacts(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        input=dataset.input,
        classes=dataset.classes,
        folder=dataset.folder.name,
        train=len(parts.train),
        val=len(parts.val),
        test=len(parts.test),
        notes=dataset.notes,
        rows=dataset.rows,
        skip_bad=contract.skip_bad,
        fit=dataset.fit,
        columns=contract.columns,
    )


def _versions() -> dict[str, str]:
    """Return the versions of the installed packages; TensorFlow may be missing."""
    found = {}
    for name in VERSIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found | {"python": python_version()}
