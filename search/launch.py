"""One `convsearch run` from its options to the bundle: checks everything, wires the parts, and sees it through."""

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, cast

from rich.console import Console

from ..spaces.errors import InputError, WorkError
from .announcement import announce, workers_told
from .budget import Budget, Interruption
from .cost import Costs
from .engines.choice import open_engine
from .engines.optuna import OptunaEngine
from .engines.portfolio import guesses
from .engines.proposals import Proposals
from .engines.protocol import Engine
from .executors.local import LocalExecutor
from .executors.protocol import Executor
from .executors.shares import shares
from .finish import export, is_published, job_of_trial, publish, repeat_best, seconds_to_repeat, train_the_best
from .home import Home, StudyFolder
from .last import the_last
from .lock import alone
from .machine import this_machine
from .options import Options, check
from .outbox import SHORT, Outbox
from .preparation import Prepared, begin, folder_of, resume
from .progress import ProgressView, counted
from .record import Record
from .settling import settle
from .spent import noting_what_is_spent, spent
from .study import KEPT, Study

if TYPE_CHECKING:
    from .engines.database import Database
    from .engines.shared import SharedEngine

LOOPS_APART = 7919  # between the seeds of the samplers of loops that share a study


def launch(options: Options, console: Console) -> StudyFolder:
    """Search, train the winner, test it once and export it; return the study's folder.

    Raises:
        InputError: something asked for is wrong; nothing was begun.
        WorkError: the work failed; what was finished is kept.
    """
    seconds = None if options.minutes is None else options.minutes * 60
    budget = Budget(options.trials, seconds, began=options.began)
    check(options)
    home = Home(options.home)
    folder = folder_of(home, options)
    with ExitStack() as held:
        # First of all, for its workers take long to come up.
        executor, lines = executor_for(options, folder)
        held.enter_context(closing(executor))
        if options.resume:
            held.enter_context(alone(folder))
            folder.sweep()
            prepared = resume(home, folder, options, console, _database(held, folder, options))
        else:
            prepared = begin(home, folder, options, console, _database(held, folder, options))
            held.enter_context(alone(folder))
        if options.trials is None and options.minutes is None:
            budget.trials = prepared.study.trials
            if prepared.study.minutes is not None:
                budget.seconds = prepared.study.minutes * 60 - spent(folder.path)
        announce(prepared, budget, console)
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)
        with Interruption(budget), noting_what_is_spent(folder.path, budget):
            _search_and_export(home, prepared, executor, budget, console)
    return folder


def executor_for(options: Options, folder: StudyFolder) -> tuple[Executor, list[str]]:
    """Start the workers; return their executor, and what to say of them: how many they are, and how they fit."""
    if options.executor == "ray":
        from .executors.ray import RayExecutor  # Ray need not be installed

        cluster = RayExecutor(options.ray_address or "auto", options.workers, options.workers_per_gpu)
        note = [f"  note: {cluster.note}"] if cluster.note else []
        return cluster, [f"{counted(cluster.slots, 'worker')} on the Ray cluster", *note]
    machine = this_machine()
    shared = shares(machine, options.workers, options.workers_per_gpu, options.gpus)
    return LocalExecutor(folder.logs, shared), workers_told(shared, machine)


def _database(held: ExitStack, folder: StudyFolder, options: Options) -> "Database | None":
    """Open the database of a shared study, which is closed in the end.

    Raises:
        InputError: it cannot be reached, or the study that is to go on is not a shared one.
    """
    known = folder.read().storage if options.resume else None
    if options.resume and options.storage is not None and known is None:
        raise InputError(f"--storage: the study '{folder.name}' began without; a new one can be shared")
    if (storage := options.storage or known) is None:
        return None
    from .engines.database import Database
    from .storage import checked_storage

    try:
        return held.enter_context(closing(Database(checked_storage(storage), folder.name)))
    except WorkError as error:
        raise InputError(f"--storage: {error}") from error


def _search_and_export(home: Home, prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> None:
    record = prepared.record
    budget.has_result = bool(record.best())
    with (
        closing(Outbox(prepared.folder, console, budget.limits)) as outbox,
        closing(engine_for(prepared, budget, executor.slots, noted_on(console))) as engine,
    ):
        try:
            settle(record, engine, prepared.study.objectives)
            outbox.wait_until_ready()
            budget.lap("beginning")
            _search(prepared, engine, executor, outbox, budget, console)
            budget.lap("search")
            with the_last(prepared, engine, budget, console) as last:
                if last:
                    _bring_to_its_bundle(prepared, executor, budget, console)
        except BaseException:  # Ctrl-C too: what is in the record is delivered as far as a few seconds permit
            with suppress(WorkError):  # there is something worse to be told
                outbox.finish(False, SHORT)
            raise
        try:
            if last and not is_published(prepared):
                publish(home, prepared, outbox.parent, budget)
            outbox.finish(True)
        except WorkError as error:
            raise WorkError(
                f"{error}. The bundle is in {prepared.folder.bundle}; what could not be delivered is kept: "
                f"`convsearch run --study {prepared.study.name} --resume` tries it again"
            ) from error


def _bring_to_its_bundle(prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> None:
    record = prepared.record
    if _is_finished(prepared, budget):
        console.print("nothing was left to do: the study is finished", highlight=False)
        return
    if not record.best():
        raise WorkError(f"no trial has finished: {_why_none(record)}")
    _require_a_choice(prepared)
    repeat_best(prepared, executor, budget, console)
    budget.lap("repeats")
    winner = train_the_best(prepared, executor, budget, console)
    executor.close()  # its memory is better used now
    budget.lap("winner")
    export(prepared, winner, budget, console)


def _search(
    prepared: Prepared,
    engine: Engine,
    executor: Executor,
    outbox: Outbox,
    budget: Budget,
    console: Console,
) -> None:
    study, record = prepared.study, prepared.record
    view = ProgressView(console, record, budget, study.epochs)
    shared = None if prepared.database is None else cast("SharedEngine", engine)
    search = Study(
        engine,
        executor,
        record,
        [outbox, view, *([] if shared is None else [shared])],
        budget,
        job=lambda proposal, trial: job_of_trial(prepared, proposal, trial),
        weights=prepared.folder.weights(0).parent,
        objectives=study.objectives,
        seconds_to_repeat=lambda: seconds_to_repeat(prepared),
        keep=max(KEPT, study.repeats),
        kept_anyway={repeat.number for repeat in prepared.folder.repeats().all},
    )
    if shared is not None:
        search.waiting = shared.waiting
    try:
        with view.shown():
            search.search()
    except (KeyboardInterrupt, WorkError):
        with suppress(WorkError, OSError):  # where that cannot be noted either, --resume finds it out
            search.abandon()
        raise


def noted_on(console: Console) -> Callable[[str], None]:
    """Return what prints a note."""
    return lambda text: console.print(f"  note: {text}", highlight=False, soft_wrap=True)


def engine_for(
    prepared: Prepared, budget: Budget, workers: int = 1, note: Callable[[str], None] = lambda text: None
) -> Engine:
    """Open the study's engine: it proposes what is new and can be finished in time, known good networks first.

    `note` tells the user what befalls the database of a shared study.
    """
    study, record, database = prepared.study, prepared.record, prepared.database
    tried = [trial.hash for trial in record.trials.values() if trial.state not in ("interrupted", "running")]
    proposals = Proposals(prepared.space, study.seed, tried, exhaustive=study.algorithm == "grid")
    images = len(prepared.split.train)
    proposals.affordable = lambda candidate, epochs: (
        Costs.of(record, images).trial(candidate, epochs or study.epochs) <= budget.search_left
    )
    if study.algorithm != "grid":  # which sees everything, in its own order
        for values in (*study.warm_values, *guesses(prepared.space, images)):
            proposals.enqueue(values)
    engine = open_engine(
        prepared.folder.path,
        study.engine,
        study.algorithm,
        study.pruner,
        study.epochs,
        study.seed + (0 if database is None else LOOPS_APART * database.join(str(study.loop))),
        proposals,
        costs=len(study.objectives) - 1,
        known=len(record.trials),
        workers=workers,
    )
    if database is None:
        return engine
    from .engines.shared import SharedEngine

    limit, inner = lambda: budget.trials, cast(OptunaEngine, engine)
    return SharedEngine(inner, database, str(study.loop), record, study.objectives, limit, note)


def _require_a_choice(prepared: Prepared) -> None:
    """Raise a WorkError where the search found nothing under the limit that was asked for."""
    try:
        prepared.study.preference.ranked(prepared.record)
    except InputError as error:
        raise WorkError(
            f"{error}. All trials are kept: --resume with another --under names one of them, with more --trials or "
            "--minutes it looks further"
        ) from error


def _is_finished(prepared: Prepared, budget: Budget) -> bool:
    """Whether there is a bundle that all finished trials were considered for: a test split is not read again for it."""
    result = prepared.folder.result()
    if result is None or not prepared.folder.bundle.is_dir():
        return False
    time_left = budget.final_seconds is None or budget.final_seconds > 0
    if result.cut and time_left:  # the winner has not had the training that it was to have
        return False
    return (result.trials, result.under) == (prepared.record.finished(), prepared.study.under)


def _why_none(record: Record) -> str:
    reasons = [trial.error for trial in record.trials.values() if trial.error]
    return reasons[-1] if reasons else "the time was up before the first epoch; give it more --minutes"
