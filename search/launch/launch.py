"""One `convsearch run`, from its options to the bundle."""

from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from rich.console import Console

from ...spaces.errors import InputError, WorkError
from ..delivery.outbox import SHORT, Outbox
from ..delivery.reach import require_reachable
from ..engines.protocol import Engine
from ..executors.protocol import Executor
from ..loop.budget import Budget, Interruption
from ..loop.jobs import job_of_trial
from ..loop.loop import KEPT, Loop
from ..loop.prepared import Prepared
from ..loop.recovery import settle
from ..loop.time_used import noting_time_used, time_used
from ..report.spread import spread_in_home
from ..report.standings import standing_lines
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.record import Record
from ..system.backend import require_backend
from ..system.lock import alone
from ..system.programs import Call, Starter
from ..values.commands import resume_command
from ..winner.long_training import train_best
from ..winner.repeats import repeat_best, seconds_to_repeat, wants_more_repeats
from ..winner.result import PUBLISH, export_winner, is_published, publish_result
from ..winner.turn import turn_of
from .announcement import announce
from .contract import contract_of, folder_of, resumed_contract
from .messages import shown_on, status
from .options import Options
from .preparation import prepare
from .progress import ProgressView
from .wiring import database_of, engine_for, executor_for


@dataclass(frozen=True)
class Launch:
    """What a launch works with."""

    prepared: Prepared
    executor: Executor
    programs: Callable[[], Starter]  # starts programs other than workers that need Keras
    budget: Budget
    console: Console


def launch(options: Options, console: Console) -> StudyFolder:
    """Search, train the winner, test it once and export it; return the study's folder.

    Raises:
        InputError: an option is wrong; nothing was started.
        WorkError: the work failed, and finished work is kept; or no backend of Keras can train here.
    """
    seconds = None if options.minutes is None else options.minutes * 60
    budget = Budget(options.trials, seconds, began=options.began)
    home = Home(options.home)
    require_backend(training=True)
    folder = folder_of(home, options)
    with ExitStack() as held:
        held.enter_context(shown_on(console))
        if options.resume:
            held.enter_context(alone(folder.path))
            folder.sweep()
            home.refuse_a_copy(folder)
            contract = resumed_contract(folder, options)
            database = database_of(folder, contract.storage, held, folder.read().id)
        else:
            database = database_of(folder, options.storage, held)
            contract = contract_of(home, folder, options, database)
        # Before the images are read, because workers take long to start.
        executor, programs, lines = executor_for(options, lambda: folder.logs, held)
        require_reachable(home)
        while (prepared := prepare(home, contract, budget, console, held, database, executor.memory)) is None:
            contract = contract_of(home, folder, options, database)
        folder = prepared.folder  # the name of an unnamed study may have been taken meanwhile
        if options.trials is None and options.minutes is None:
            budget.trials = prepared.study.trials
            if prepared.study.minutes is not None:
                budget.seconds = prepared.study.minutes * 60 - time_used(folder.path)
        announce(prepared, budget, console)
        for line in lines:
            console.print(line, soft_wrap=True)
        with Interruption(budget), noting_time_used(folder.path, budget):
            _search_and_export(Launch(prepared, executor, programs, budget, console))
    return folder


def _search_and_export(launched: Launch) -> None:
    prepared, budget = launched.prepared, launched.budget
    budget.has_result = bool(prepared.record.best())
    with ExitStack() as held:
        outbox = held.enter_context(closing(Outbox(prepared.folder, budget.limits)))
        engine = held.enter_context(closing(_engine(launched)))
        publisher = None
        try:
            settle(prepared.record, engine, prepared.study.objectives)
            outbox.wait_until_ready()
            budget.lap("beginning")
            _search(launched, engine, outbox)
            budget.lap("search")
            with turn_of(prepared, engine) as ours:
                if ours:
                    if prepared.record.best():  # it imports MLflow while the winner trains
                        publisher = held.enter_context(
                            Call(launched.programs(), PUBLISH, prepared.folder.logs / "publish.log")
                        )
                    _train_and_export_winner(launched)
        except BaseException:  # Ctrl-C too: deliver as much of the record as a few seconds permit
            with suppress(WorkError):  # the first error is the one to report
                outbox.deliver_rest(False, SHORT)
            raise
        try:
            if publisher is not None and not is_published(prepared.folder, outbox.store, outbox.model):
                publish_result(prepared, outbox.parent, budget, publisher)
            outbox.deliver_rest(True)
        except WorkError as error:
            raise WorkError(
                f"{error}. The bundle is in {prepared.folder.bundle}; what could not be delivered is kept: "
                f"`{resume_command(prepared.folder.path)}` tries again"
            ) from error


def _engine(launched: Launch) -> Engine:
    executor = launched.executor
    return engine_for(launched.prepared, launched.budget, executor.slots, executor.memory)


def _train_and_export_winner(launched: Launch) -> None:
    prepared, budget, console = launched.prepared, launched.budget, launched.console
    record, study = prepared.record, prepared.study
    if (reason := _why_finished(prepared, budget)) is not None:
        console.print(f"nothing left to do: {reason}", soft_wrap=True)
        return
    if not record.best():
        raise WorkError(f"no trial has finished: {_why_none(record)}")
    _require_a_choice(prepared)
    with status(console, "training the best again") as show:
        repeat_best(prepared, launched.executor, budget, show)
    folder, images = prepared.folder, len(prepared.split.val)
    for line in standing_lines(record, folder.repeats(), study.preference, images, lambda: spread_in_home(folder)):
        console.print(line, soft_wrap=True)
    budget.lap("repeats")
    with status(console, "training the winner") as show:
        winner = train_best(prepared, launched.executor, budget, show)
    launched.executor.close()  # frees its memory for the test and the export
    budget.lap("winner")
    with status(console, "testing and exporting"):
        export_winner(prepared, winner, budget, launched.programs())


def _search(launched: Launch, engine: Engine, outbox: Outbox) -> None:
    prepared, budget = launched.prepared, launched.budget
    study, record = prepared.study, prepared.record
    view = ProgressView(launched.console, record, budget, study.epochs)
    search = Loop(
        engine,
        launched.executor,
        record,
        [outbox, view],
        budget,
        job=lambda proposal, trial: job_of_trial(prepared, proposal, trial),
        weights=prepared.folder.weights(0).parent,
        objectives=study.objectives,
        seconds_to_repeat=lambda: seconds_to_repeat(prepared),
        keep=max(KEPT, study.repeats),
        always_kept={repeat.number for repeat in prepared.folder.repeats().all},
    )
    try:
        with view.shown():
            search.run()
    except (KeyboardInterrupt, WorkError):
        with suppress(WorkError, OSError):  # if that cannot be recorded either, --resume will notice
            search.abandon()
        raise


def _require_a_choice(prepared: Prepared) -> None:
    """Raise a WorkError if no trial is within the requested limit."""
    try:
        prepared.study.preference.ranked(prepared.record)
    except InputError as error:
        raise WorkError(
            f"{error}. All trials are kept: --resume with another --under chooses one of them, with --under none the "
            "knee, and with more --trials or --minutes it searches further"
        ) from error


def _why_finished(prepared: Prepared, budget: Budget) -> str | None:
    """Return why there is no need to read the test split again: the bundle was chosen from all finished trials.

    None if the study has to go on to a winner.
    """
    result, study = prepared.folder.result(), prepared.study
    if result is None or not prepared.folder.bundle.is_dir():
        return None
    if (result.trials, result.under) != (prepared.record.finished(), study.under):
        return None
    time_left, more = budget.winner_seconds is None or budget.winner_seconds > 0, wants_more_repeats(prepared, result)
    if time_left and (result.cut or more):  # cut: Ctrl-C came before the winner was trained
        return None
    return f"--repeats {study.repeats} need more --minutes" if more else "the study is finished"


def _why_none(record: Record) -> str:
    reasons = [trial.error for trial in record.trials.values() if trial.error]
    return reasons[-1] if reasons else "time ran out before the first epoch; allow more --minutes"
