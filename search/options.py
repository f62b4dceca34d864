"""What `convsearch run` was asked for, and whether each answer can be right by itself."""

import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..spaces.errors import InputError, nearest
from .engines.choice import choose
from .executors.shares import AUTO
from .job import PRECISIONS
from .objectives import check_objectives, check_under

EXECUTORS = ("local", "ray")
DEFAULT_TRIALS = 15  # where neither trials nor minutes are given


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
    repeats: int | None = None
    warm_start: str | None = None
    objectives: tuple[str, ...] = ()
    under: str | None = None
    workers: str = AUTO
    workers_per_gpu: int = 1
    gpus: tuple[int, ...] = ()
    executor: str = EXECUTORS[0]
    ray_address: str | None = None
    precision: str | None = None
    storage: str | None = None
    began: float = field(default_factory=time.monotonic)


def check(options: Options) -> None:
    """Raise an InputError for the first answer that is wrong whatever the data and the space are."""
    if options.resume:
        for option, said in (("warm-start", options.warm_start), ("class-weights", options.class_weights)):
            if said:
                raise InputError(f"--{option} goes with a new study, not with --resume: what a study began with stays")
    else:  # a study that goes on has all three, and says so where others are asked for
        objectives = check_objectives(options.objectives)
        _, algorithm, _ = choose(options.engine, options.algorithm, options.pruner, len(objectives))
        if options.warm_start is not None and algorithm == "grid":
            raise InputError(f"--warm-start {options.warm_start}: a grid search tries everything, in its own order")
        if options.under is not None:
            check_under(options.under, objectives)
    if options.storage is not None:
        if options.study is None:
            raise InputError("--storage goes with --study NAME: the name by which all loops know the study")
        if options.engine == "keras-tuner":
            raise InputError(
                "--storage: KerasTuner keeps what it has learnt in files of one loop; --engine optuna takes several"
            )
        from .storage import checked_storage

        checked_storage(options.storage)
    for name, value in (("trials", options.trials), ("epochs", options.epochs)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: at least 1")
    if options.repeats is not None and options.repeats < 0:
        raise InputError(f"--repeats {options.repeats}: 0 or more")
    if options.minutes is not None and not 0 < options.minutes < 1e6:
        raise InputError(f"--minutes {options.minutes:g}: a number of minutes above 0")
    if options.seed is not None and not 0 <= options.seed < 2**31:
        raise InputError(f"--seed {options.seed}: a whole number from 0 to {2**31 - 1}")
    if options.workers != AUTO and not (options.workers.isdecimal() and int(options.workers) > 0):
        raise InputError(f"--workers {options.workers}: a whole number from 1 on, or '{AUTO}'")
    if options.workers_per_gpu < 1:
        raise InputError(f"--workers-per-gpu {options.workers_per_gpu}: at least 1")
    _check_executor(options)
    if options.precision is not None and options.precision not in PRECISIONS:
        raise InputError(f"--precision {options.precision}: {nearest(options.precision, PRECISIONS)}")


def _check_executor(options: Options) -> None:
    if options.executor not in EXECUTORS:
        raise InputError(f"--executor {options.executor}: {nearest(options.executor, EXECUTORS)}")
    if options.executor != "ray":
        if options.ray_address is not None:
            raise InputError(f"--ray-address {options.ray_address}: goes with --executor ray")
    elif options.gpus:
        raise InputError("--gpus: goes with --executor local; on a cluster Ray says which worker has which GPU")
    elif find_spec("ray") is None:
        raise InputError("--executor ray: Ray is not installed: pip install 'convsearch[ray]'")
