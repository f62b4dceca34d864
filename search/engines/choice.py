"""The engines and the algorithms of each; opens the engine of a study."""

from pathlib import Path
from typing import NamedTuple

from ...spaces.errors import InputError, nearest
from .optuna import ALGORITHMS as OPTUNA_ALGORITHMS
from .optuna import PRUNERS, OptunaEngine, require_installed
from .proposals import Proposals
from .protocol import Engine

ALGORITHMS = {  # of each engine, its default first
    "optuna": OPTUNA_ALGORITHMS,
    "keras-tuner": ("hyperband", "bayesian", "random", "grid"),
}


class Method(NamedTuple):
    """How a study is searched."""

    engine: str
    algorithm: str
    pruner: str


def choose(engine: str | None, algorithm: str | None, pruner: str | None, objectives: int = 1) -> Method:
    """Return engine, algorithm and pruner for a number of objectives, with defaults for those not given.

    Raises:
        InputError: one of them is unknown, not installed, or incompatible with the others.
    """
    engine = "optuna" if engine is None else engine
    if engine not in ALGORITHMS:
        raise InputError(f"--engine {engine}: unknown engine: {nearest(engine, ALGORITHMS)}")
    algorithm = ALGORITHMS[engine][0] if algorithm is None else algorithm
    if algorithm not in ALGORITHMS[engine]:
        raise InputError(f"unknown algorithm '{algorithm}' of {engine}: {nearest(algorithm, ALGORITHMS[engine])}")
    if pruner is not None and pruner not in PRUNERS:
        raise InputError(f"unknown pruner '{pruner}': {nearest(pruner, PRUNERS)}")
    if engine == "keras-tuner":
        if objectives > 1:
            raise InputError(
                f"{objectives} objectives: KerasTuner's {algorithm} takes one; --engine optuna takes several, with "
                "--algorithm tpe or nsga2"
            )
        if pruner not in (None, "none"):
            raise InputError(
                f"--pruner {pruner}: KerasTuner has no pruners; its algorithm 'hyperband' stops weak trials itself"
            )
        return Method(engine, algorithm, "none")
    require_installed(algorithm)
    if objectives > 1:
        if pruner not in (None, "none"):
            raise InputError(
                f"--pruner {pruner}: with {objectives} objectives Optuna does not prune; trials stop by themselves "
                "when they no longer improve"
            )
        return Method(engine, algorithm, "none")
    if pruner is None:  # a grid search is meant to train every candidate to the end
        pruner = "none" if algorithm == "grid" else "hyperband"
    return Method(engine, algorithm, pruner)


def open_engine(
    folder: Path,
    engine: str,
    algorithm: str,
    pruner: str,
    epochs: int,
    seed: int,
    proposals: Proposals,
    costs: int = 0,
    recorded: int = 0,
    workers: int = 1,
) -> Engine:
    """Open the engine of a study whose folder is `folder`, or begin it.

    `costs` is the number of objectives to minimize besides the accuracy, `recorded` the number of trials in the record,
    and `workers` the number of trials that run at a time.
    """
    if engine == "keras-tuner":
        from ..system.backend import import_keras

        import_keras()  # quietly, before KerasTuner does
        from .keras_tuner import KerasTunerEngine

        return KerasTunerEngine(folder, algorithm, epochs, seed, proposals)
    return OptunaEngine(algorithm, pruner, epochs, seed, proposals, costs, recorded, workers)
