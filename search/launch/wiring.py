"""Creates the executor, engine and database of a launch: the only module that knows all of them."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

from ...spaces.errors import InputError, WorkError
from ...spaces.known.portfolio import guesses
from ...spaces.memory.limit import Memory
from ..engines.choice import open_engine
from ..engines.optuna import OptunaEngine
from ..engines.proposals import Proposals
from ..engines.protocol import Engine
from ..executors.local import IMPORTED, LocalExecutor, starter_for
from ..executors.protocol import Executor
from ..executors.shares import shares
from ..loop.budget import Budget
from ..loop.cost import Costs
from ..loop.prepared import Prepared
from ..shared.database import Database
from ..shared.engine import SharedEngine
from ..study.folder import StudyFolder
from ..system.fork_server import starter
from ..system.machine import this_machine
from ..system.programs import Starter
from ..values.words import counted
from .announcement import worker_lines
from .options import Options

LOOPS_APART = 7919  # the distance between the samplers' seeds of loops that share a study


def executor_for(
    options: Options, logs: Callable[[], Path], held: ExitStack
) -> tuple[Executor, Callable[[], Starter], list[str]]:
    """Start the workers, which `held` ends; `logs` returns the folder of their logs, once there is a job.

    Returns:
        their executor; a function that returns the starter of other programs that need Keras; and lines that describe
        the workers.
    """
    if options.executor == "ray":
        from ..executors.ray import RayExecutor  # Ray need not be installed

        address = "auto" if options.ray_address is None else options.ray_address
        cluster = held.enter_context(
            closing(RayExecutor(address, options.workers, options.workers_per_gpu, most=options.memory))
        )
        note = [f"  note: {cluster.note}"] if cluster.note else []
        # On this machine Keras is needed only at the end.
        programs = cache(lambda: held.enter_context(closing(starter(IMPORTED, gpus=bool(this_machine().gpus)))))
        return cluster, programs, [f"{counted(cluster.slots, 'worker')} on the Ray cluster", *note]
    machine = this_machine()
    shared = shares(machine, options.workers, options.workers_per_gpu, options.gpus, options.memory)
    program_starter = held.enter_context(closing(starter_for(shared)))
    executor = held.enter_context(closing(LocalExecutor(logs, shared, starter=program_starter)))
    return executor, lambda: program_starter, worker_lines(shared, machine)


def database_of(
    folder: StudyFolder, storage: str | None, held: ExitStack, identity: str | None = None
) -> Database | None:
    """Open the database of a shared study, if it is one; `held` closes it.

    `identity` is that of a study which is in the folder already: the folder may have been renamed since.

    Raises:
        InputError: it cannot be reached.
    """
    if storage is None:
        return None
    try:
        database = held.enter_context(closing(Database(storage, folder.name)))
        if identity is not None:
            database.find(identity)
        return database
    except WorkError as error:
        raise InputError(f"--storage: {error}") from error


def engine_for(prepared: Prepared, budget: Budget, workers: int = 1, memory: Memory | None = None) -> Engine:
    """Open the study's engine: it proposes new candidates that can be finished in time, known good networks first.

    They fit into the `memory` that the workers have now, if it is known: it may be less than the study began with.
    """
    study, record, database = prepared.study, prepared.record, prepared.database
    tried = [trial.hash for trial in record.trials.values() if trial.state not in ("interrupted", "running")]
    proposals = Proposals(prepared.space, study.seed, tried, exhaustive=study.algorithm == "grid")
    proposals.over = lambda: budget.over
    if memory is not None:
        proposals.fits = memory.holds
    images = len(prepared.split.train)
    proposals.affordable = lambda candidate, epochs: (
        Costs.of(record, images).trial(candidate, epochs or study.epochs) <= budget.search_left
    )
    if study.algorithm != "grid":  # which sees everything, in its own order
        for values in (*study.warm_values, *guesses(prepared.space, images, study.first_size)):
            proposals.enqueue(values)
    method, costs = (study.algorithm, study.pruner, study.epochs), len(study.objectives) - 1
    if database is None:
        folder = prepared.folder.path
        return open_engine(folder, study.engine, *method, study.seed, proposals, costs, len(record.trials), workers)
    loop = str(study.loop)
    seed = study.seed + LOOPS_APART * database.join(loop)
    inner = OptunaEngine(*method, seed, proposals, costs, len(record.trials), workers)
    return SharedEngine(inner, database, loop, record, study.objectives, trials=lambda: budget.trials)
