"""One `convsearch run` from its options to the bundle: checks everything, wires the parts, and sees it through."""

from contextlib import closing
from typing import Any

from rich.console import Console

from ..spaces.errors import WorkError
from .announcement import announce
from .budget import Budget, Interruption
from .engines.choice import open_engine
from .engines.guesses import guesses
from .engines.proposals import Proposals
from .engines.protocol import Engine
from .executors.local import LocalExecutor
from .executors.protocol import Executor
from .finish import export, job_of_trial, train_the_best
from .home import Home, StudyFolder
from .options import Options, check
from .preparation import Prepared, begin, resume
from .progress import ProgressView
from .record import Record
from .study import Study


def launch(options: Options, console: Console) -> StudyFolder:
    """Search, train the winner, test it once and export it; return the study's folder.

    Raises:
        InputError: something asked for is wrong; nothing was begun.
        WorkError: the work failed; what was finished is kept.
    """
    budget = Budget(options.trials, None if options.minutes is None else options.minutes * 60)
    check(options)
    home = Home(options.home)
    prepared = resume(home, options, console) if options.resume else begin(home, options, console)
    if options.trials is None and options.minutes is None:
        budget.trials = prepared.study.trials
    announce(prepared, budget, console)
    with Interruption(budget), closing(LocalExecutor(prepared.folder.logs)) as executor:
        _search_and_export(home, prepared, executor, budget, console)
    return prepared.folder


def _search_and_export(home: Home, prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> None:
    from .tracking import Tracker  # MLflow takes a second to import: the workers warm up meanwhile

    folder, record = prepared.folder, prepared.record
    begun = record.finished()
    space = folder.space_file.read_text(encoding="utf-8")
    with closing(_engine(prepared)) as engine, closing(Tracker(home, prepared.study, space)) as tracker:
        _settle(record, engine)
        tracker.reconcile(record)
        _search(prepared, engine, executor, tracker, budget, console)
        if _finished_before(prepared, begun):
            console.print("nothing was left to do: the study is finished", highlight=False)
        elif not record.best():
            raise WorkError(f"no trial has finished: {_why_none(record)}")
        else:
            winner = train_the_best(prepared, executor, budget, console)
            executor.close()  # its memory is better used now
            export(prepared, winner, tracker, console)
        tracker.finished = True


def _search(
    prepared: Prepared, engine: Engine, executor: Executor, tracker: Any, budget: Budget, console: Console
) -> None:
    study, record = prepared.study, prepared.record
    view = ProgressView(console, record, budget, study.epochs)
    search = Study(
        engine,
        executor,
        record,
        [tracker, view],
        budget,
        job=lambda proposal, trial: job_of_trial(prepared, proposal, trial),
        weights=prepared.folder.weights(0).parent,
    )
    try:
        with view.shown():
            search.search()
    except KeyboardInterrupt:
        search.abandon()
        tracker.reconcile(record)  # Ctrl-C may have come while it wrote
        raise


def _engine(prepared: Prepared) -> Engine:
    study, record = prepared.study, prepared.record
    tried = [trial.hash for trial in record.trials.values() if trial.state not in ("interrupted", "running")]
    proposals = Proposals(prepared.space, study.seed, tried, exhaustive=study.algorithm == "grid")
    if study.algorithm != "grid":  # which sees everything, in its own order
        for values in guesses(prepared.space):
            proposals.enqueue(values)
    return open_engine(
        prepared.folder.path, study.engine, study.algorithm, study.pruner, study.epochs, study.seed, proposals
    )


def _settle(record: Record, engine: Engine) -> None:
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
    again = {t.hash: t for t in record.trials.values() if t.state == "interrupted" and t.hash not in done}
    for trial in again.values():
        engine.again(trial.number, trial.values)


def _finished_before(prepared: Prepared, begun: int) -> bool:
    """Whether this launch added nothing to a study whose winner was tested: a test split is not read again for it."""
    result = prepared.folder.result()
    return result is not None and prepared.record.finished() == begun and prepared.folder.bundle.is_dir()


def _why_none(record: Record) -> str:
    reasons = [trial.error for trial in record.trials.values() if trial.error]
    return reasons[-1] if reasons else "the time was up before the first epoch; give it more --minutes"
