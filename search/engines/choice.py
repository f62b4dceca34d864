"""Which engines there are, with the algorithms of each; opens the one that a study has."""

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
    """Return engine, algorithm and pruner for so many objectives, with the defaults for what was not said.

    Raises:
        InputError: one of them is unknown, not installed, or does not go with the others.
    """
    engine = engine or "optuna"
    if engine not in ALGORITHMS:
        raise InputError(f"--engine {engine}: unknown engine: {nearest(engine, ALGORITHMS)}")
    algorithm = algorithm or ALGORITHMS[engine][0]
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
                f"--pruner {pruner}: KerasTuner has no pruners; its algorithm 'hyperband' ends weak trials by itself"
            )
        return Method(engine, algorithm, "none")
    require_installed(algorithm)
    if objectives > 1:
        if pruner not in (None, "none"):
            raise InputError(
                f"--pruner {pruner}: with {objectives} objectives Optuna prunes nothing; trials end by themselves when "
                "they get no further"
            )
        return Method(engine, algorithm, "none")
    # A grid is there to see everything to its end.
    return Method(engine, algorithm, pruner or ("none" if algorithm == "grid" else "hyperband"))


def open_engine(
    folder: Path,
    engine: str,
    algorithm: str,
    pruner: str,
    epochs: int,
    seed: int,
    proposals: Proposals,
    costs: int = 0,
    known: int = 0,
    workers: int = 1,
) -> Engine:
    """Open the engine of a study whose folder is `folder`, or begin it.

    `costs` are objectives to be small, `known` the trials that the record has, `workers` run at a time.
    """
    if engine == "keras-tuner":
        from ..system.backend import import_keras

        import_keras()  # quietly; KerasTuner would import it
        from .keras_tuner import KerasTunerEngine

        return KerasTunerEngine(folder, algorithm, epochs, seed, proposals)
    return OptunaEngine(algorithm, pruner, epochs, seed, proposals, costs, known, workers)
