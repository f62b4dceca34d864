"""One `convsearch run` from its options to the bundle: checks everything, wires the parts, and sees it through."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from rich.console import Console

from ..spaces.definition import Definition, answered, load, presets
from ..spaces.errors import InputError, WorkError, nearest
from ..spaces.space import SearchSpace, Values
from .backend import import_keras
from .budget import Budget, Interruption
from .data import Dataset, Split, open_data, split
from .engines import optuna as optuna_engine
from .engines.proposals import Proposals
from .engines.protocol import Engine
from .executors.local import LocalExecutor
from .executors.protocol import Executor
from .files import write_text
from .final import NUMBER, Winner, epochs_for, train_winner
from .home import DataFacts, Home, StudyFile, StudyFolder
from .job import Job
from .progress import ProgressView, duration
from .record import Record
from .study import Study

ENGINES = ("optuna",)
DEFAULT_TRIALS = 20  # where neither trials nor minutes are given
DEFAULT_EPOCHS = 12
COUNTED = 100_000  # candidates of a limited space that are counted before a grid search begins
LARGE = 128 * 128  # pixels of an image from which on the user is told what they cost
VERSIONS = ("convsearch", "tensorflow", "keras", "optuna", "mlflow", "numpy", "pillow")


@dataclass(frozen=True)
class Options:
    """What `convsearch run` was asked for. None is "not said": the default, or what the resumed study has."""

    home: Path
    data: str | None = None
    space: str | None = None
    engine: str | None = None
    algorithm: str | None = None
    pruner: str | None = None
    trials: int | None = None
    minutes: float | None = None
    epochs: int | None = None
    study: str | None = None
    resume: bool = False
    seed: int | None = None
    answers: dict[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    class_weights: bool = False
    skip_bad: bool = False


@dataclass(frozen=True)
class Launched:
    """What a launch worked with."""

    folder: StudyFolder
    study: StudyFile
    dataset: Dataset
    split: Split
    space: SearchSpace
    record: Record


def launch(options: Options, console: Console) -> StudyFolder:
    """Search, train the winner, test it once and export it; return the study's folder.

    Raises:
        InputError: something asked for is wrong; nothing was begun.
        WorkError: the work failed; what was finished is kept.
    """
    budget = Budget(options.trials, None if options.minutes is None else options.minutes * 60)
    _check(options)
    home = Home(options.home)
    launched = _resumed(home, options, console) if options.resume else _begun(home, options, console)
    if options.trials is None and options.minutes is None:
        budget.trials = launched.study.trials
    _announce(launched, budget, console)
    executor = LocalExecutor(launched.folder.logs)
    with Interruption(budget):
        try:
            _search_and_export(home, launched, executor, budget, console)
        finally:
            executor.close()
    return launched.folder


def _search_and_export(home: Home, launched: Launched, executor: Executor, budget: Budget, console: Console) -> None:
    from .tracking import Tracker  # MLflow takes a second to import: the workers warm up meanwhile

    folder, study, record = launched.folder, launched.study, launched.record
    begun = record.finished()
    engine = _engine(launched)
    tracker = Tracker(home, study, folder.space_file.read_text(encoding="utf-8"))
    finished = False
    try:
        _settle(record, engine)
        tracker.reconcile(record)
        view = ProgressView(console, record, budget, study.epochs)
        search = Study(
            engine,
            executor,
            record,
            [tracker, view],
            budget,
            job=lambda proposal: _job(launched, proposal.number, proposal.candidate, study.epochs),
            weights=folder.weights(0).parent,
        )
        try:
            with view.shown():
                search.search()
        except KeyboardInterrupt:
            search.abandon()
            raise
        if _finished_before(launched, begun):
            console.print("nothing was left to do: the study is finished", highlight=False)
            finished = True
            return
        if not record.best():
            raise WorkError(f"no trial has finished: {_why_none(record)}")
        winner = _train_winner(launched, executor, budget, console)
        executor.close()
        _export(launched, winner, tracker, console)
        finished = True
    finally:
        engine.close()
        tracker.close(finished)


# ---------------------------------------------------------------------- before the search


def _check(options: Options) -> None:
    if options.engine is not None and options.engine not in ENGINES:
        raise InputError(f"--engine {options.engine}: unknown engine: {nearest(options.engine, ENGINES)}")
    optuna_engine.check(options.algorithm or "tpe", options.pruner or "hyperband")
    for name, value in (("trials", options.trials), ("epochs", options.epochs)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: at least 1")
    if options.minutes is not None and not 0 < options.minutes < 1e6:
        raise InputError(f"--minutes {options.minutes:g}: a number of minutes above 0")
    if options.seed is not None and not 0 <= options.seed < 2**31:
        raise InputError(f"--seed {options.seed}: a whole number from 0 to {2**31 - 1}")


def _begun(home: Home, options: Options, console: Console) -> Launched:
    """Check everything, then make the study's folder."""
    name = options.study or f"{_short(options.data or 'digits')}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = home.study(name)
    if folder.path.exists():
        raise InputError(
            f"the study '{name}' exists in {home.path}: go on with it by --resume, or choose another name by --study"
        )
    space_name = options.space or "classic"
    definition = answered(load(space_name), options.answers)
    home.prepare()
    seed = options.seed or 0
    dataset = _open(home, options.data or "digits", options.image_size, options.skip_bad, console)
    space = SearchSpace(definition, dataset.input, len(dataset.classes))
    parts = split(dataset, seed)
    algorithm = options.algorithm or "tpe"
    if algorithm == "grid":
        _announce_grid(space, console)
    given = options.trials is not None or options.minutes is not None or algorithm == "grid"
    study = StudyFile(
        name=name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        space=Path(space_name).stem,
        answers=options.answers,
        data=_facts(dataset, parts, options.image_size),
        engine=options.engine or "optuna",
        algorithm=algorithm,
        # A grid is there to see everything to its end.
        pruner=options.pruner or ("none" if algorithm == "grid" else "hyperband"),
        epochs=options.epochs or DEFAULT_EPOCHS,
        trials=options.trials if given else DEFAULT_TRIALS,
        seed=seed,
        class_weights=options.class_weights,
        versions={name: version(name) for name in VERSIONS} | {"python": python_version()},
    )
    folder.create(study, (presets().get(space_name) or Path(space_name)).read_text(encoding="utf-8"))
    parts.save(folder.split)
    return Launched(folder, study, dataset, parts, space, folder.record())


def _resumed(home: Home, options: Options, console: Console) -> Launched:
    """Open a study that is there, and refuse to go on with anything else than it began with."""
    if options.study is None:
        raise InputError("--resume goes with --study NAME: which study is to go on?")
    folder = home.existing(options.study)
    home.prepare()
    study = folder.read()
    definition = folder.definition(study)
    if options.space is not None or options.answers:
        asked = answered(load(options.space) if options.space else folder.definition(study), options.answers)
        if differences := _differences(definition, asked):
            raise InputError(
                f"--resume: the study '{study.name}' searches another space than {options.space or 'asked'}:\n"
                + "\n".join(f"  {line}" for line in differences)
                + "\nLeave --space and --set out to go on with the study's own, or begin a new study."
            )
    fixed = ("engine", "algorithm", "pruner", "epochs", "seed")
    for key in fixed:
        asked_value, has = getattr(options, key), getattr(study, key)
        if asked_value is not None and asked_value != has:
            raise InputError(f"--resume: the study '{study.name}' has --{key} {has}, not {asked_value}")
    source = options.data or study.data.source
    size = options.image_size or study.data.image_size
    dataset = _open(home, source, size, options.skip_bad, console)
    facts = _facts(dataset, Split.load(folder.split), size)
    for key in ("fingerprint", "input", "classes"):
        now, then = getattr(facts, key), getattr(study.data, key)
        if now != then:
            shown = (now[:16], then[:16]) if key == "fingerprint" else (now, then)
            raise InputError(
                f"--resume: {source} is not the data that the study '{study.name}' began with: its {key} "
                f"{'is' if key != 'classes' else 'are'} {shown[0]}, the study has {shown[1]}"
            )
    space = SearchSpace(definition, dataset.input, len(dataset.classes))
    return Launched(folder, study, dataset, Split.load(folder.split), space, folder.record())


def _differences(has: Definition, asked: Definition) -> list[str]:
    """Return what two definitions do not have in common, a line each."""
    from ..spaces.definition import dimensions

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


def _short(source: str) -> str:
    """Return a plain name for a data source, for the study's name."""
    stem = Path(source.removeprefix("keras:")).name.removesuffix(".npz")
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem if c.isascii()).strip("-_")
    return plain[:40] or "images"


def _announce_grid(space: SearchSpace, console: Console) -> None:
    if not space.definition.limits.model_dump(exclude_none=True):
        if space.continuous:
            next(space.enumerate())  # raises, and says which dimensions need options
        console.print(f"the grid holds {space.architectures * space.recipes:,} candidates", highlight=False)
        return
    size = sum(1 for _, _ in zip(range(COUNTED), space.enumerate(), strict=False))
    more = "at least " if size == COUNTED else ""
    console.print(f"the grid holds {more}{size:,} candidates within the limits", highlight=False)


def _announce(launched: Launched, budget: Budget, console: Console) -> None:
    """Say what is about to happen, and what is odd about the data."""
    study, data = launched.study, launched.study.data
    counts = launched.dataset.class_counts()
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    balance = (
        f"{counts[least]:,} images each"
        if counts[least] == counts[most]
        else f"from {counts[least]:,} ('{least}') to {counts[most]:,} ('{most}') images"
    )
    console.print(
        f"study [bold]{study.name}[/bold] in {launched.folder.path.parent}\n"
        f"data {data.name}: {data.input}, {len(data.classes)} classes with {balance}; "
        f"{data.train:,} train, {data.val:,} validation, {data.test:,} test",
        highlight=False,
        soft_wrap=True,
    )
    for note in data.notes:
        console.print(f"  note: {note}", highlight=False, markup=False, soft_wrap=True)
    if data.input.height * data.input.width > LARGE:
        console.print(
            f"  note: images of {data.input.height}x{data.input.width} make trials slow; "
            "--image-size 64x64 makes them quicker in proportion to the pixels",
            highlight=False,
            soft_wrap=True,
        )
    limits = [f"{budget.trials} trials"] if budget.trials else []
    limits += [duration(budget.seconds)] if budget.seconds else []
    known = launched.record.finished()
    console.print(
        f"space {study.space}: {len(launched.space.dimensions)} dimensions; {study.engine} {study.algorithm}, "
        f"pruner {study.pruner}, up to {study.epochs} epochs a trial; "
        + (" or ".join(limits) if limits else "until the space is exhausted")
        + (f"; {known} trials are finished already" if known else ""),
        highlight=False,
        soft_wrap=True,
    )


# ---------------------------------------------------------------------- the parts


def _engine(launched: Launched) -> Engine:
    study, record = launched.study, launched.record
    tried = [trial.hash for trial in record.trials.values() if trial.state not in ("interrupted", "running")]
    proposals = Proposals(launched.space, study.seed, tried, exhaustive=study.algorithm == "grid")
    return optuna_engine.OptunaEngine(
        launched.folder.path, study.algorithm, study.pruner, study.epochs, study.seed, proposals
    )


def _settle(record: Record, engine: Any) -> None:
    """Bring record and engine together after a launch that was killed, and have lost trials proposed again."""
    for trial in list(record.trials.values()):
        if trial.state == "running":
            record.add(trial.lose("interrupted", "the search was ended while the trial ran"))
    for number in engine.open_trials():
        known = record.trials.get(number)
        if known is None:
            engine.tell(number, "interrupted", None)
        else:
            engine.tell(number, known.state, known.value)
    done = {trial.hash for trial in record.trials.values() if trial.state != "interrupted"}
    again: dict[str, Values] = {
        trial.hash: trial.values
        for trial in record.trials.values()
        if trial.state == "interrupted" and trial.hash not in done
    }
    for values in again.values():
        engine.proposals.enqueue(values)


def _job(launched: Launched, number: int, candidate: Any, epochs: int) -> Job:
    study, folder = launched.study, launched.folder
    weights = folder.final_weights if number == NUMBER else folder.weights(number)
    return Job(
        number=number,
        candidate=candidate,
        data=str(launched.dataset.folder.resolve()),
        split=str(folder.split.resolve()),
        epochs=epochs,
        patience=max(5, epochs // 3),
        seed=(study.seed * 1_000_003 + number) % 2**31,
        weights=str(weights.resolve()),
        class_weights=study.class_weights,
    )


def _finished_before(launched: Launched, begun: int) -> bool:
    """Whether this launch added nothing to a study whose winner was tested: a test split is not read again for it."""
    result = launched.folder.result()
    return result is not None and launched.record.finished() == begun and launched.folder.bundle.is_dir()


def _why_none(record: Record) -> str:
    reasons = [trial.error for trial in record.trials.values() if trial.error]
    return reasons[-1] if reasons else "the time was up before the first epoch; give it more --minutes"


def _train_winner(launched: Launched, executor: Executor, budget: Budget, console: Console) -> Winner:
    best = launched.record.best()[0]
    weights = launched.folder.weights(best.number)
    epochs = epochs_for(best, launched.study.epochs, budget.final_seconds)
    if budget.stopped or epochs < best.epochs:
        return Winner(best, weights, best.value or 0.0, f"The weights are those of its best epoch, {best.best_epoch}.")
    console.print(
        f"training the winner, {best.candidate.architecture}, for up to {epochs} epochs",
        highlight=False,
        soft_wrap=True,
    )
    job = _job(launched, NUMBER, best.candidate, epochs)
    with console.status("training the winner ...") as status:

        def told(report: Any, of: int) -> None:
            status.update(f"training the winner: epoch {report.epoch} of {of}, validation {report.val_accuracy:.1%}")

        return train_winner(job, best, weights, executor, budget, told)


# ---------------------------------------------------------------------- after the search


def _export(launched: Launched, winner: Winner, tracker: Any, console: Console) -> None:
    """Test the winner, once; write the bundle; log the model; write `result.json`."""
    folder = launched.folder
    console.print("testing and exporting")
    import_keras()
    with console.status("testing and exporting ..."):
        from .evaluation import evaluate
        from .export.bundle import write_bundle
        from .export.model_card import Facts
        from .export.trained import trained_model

        model, momentum = trained_model(winner.trial.candidate, winner.weights, len(launched.split.train))
        test = evaluate(model, launched.dataset, launched.split.test)
        counts = {str(state): count for state, count in launched.record.counts().items()}
        facts = Facts(
            launched.study,
            winner.trial,
            counts,
            winner.val_accuracy,
            winner.trained,
            test,
        )
        write_bundle(folder.bundle, model, momentum, facts, launched.dataset)
        figures = {"test_accuracy": test.accuracy, "best_val_accuracy": winner.val_accuracy}
        example = launched.dataset.images()[:2].astype("float32")
        uri = tracker.log_model(model, example, figures)
    result = {
        "best": winner.trial.number,
        "val_accuracy": winner.val_accuracy,
        "test": test.model_dump(mode="json"),
        "model_uri": uri,
        "mlflow": tracker.uri,
    }
    write_text(folder.result_file, json.dumps(result, indent=2) + "\n")
