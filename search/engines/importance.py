"""Importances: how much each dimension of the space decides whether a trial ends among the best.

PED-ANOVA, from Optuna: it compares how a dimension is distributed among the best trials with how it is among all
(Watanabe, Bansal and Hutter, 2023), and handles dimensions that not every trial has, such as the filters of a sixth
layer. It works for all engines, because it reads the record, not their storages.
"""

import warnings
from dataclasses import dataclass

import optuna

from ...spaces.space import SearchSpace
from ..study.record import Record
from ..system.imports import without
from .sampling import distribution

METHOD = "PED-ANOVA"
FEWEST = 10  # trials; fewer say nothing
BEST_SHARE, BEST_LEAST = 0.1, 3  # the share of trials that count as the best, and how many at least


@dataclass(frozen=True)
class Importances:
    """The share of each dimension, the largest first (they add up to 1), and the number of trials they rest on."""

    shares: dict[str, float]
    trials: int


def importances(space: SearchSpace, record: Record) -> Importances | None:
    """Return the importances of a space's open dimensions, or None where there are too few trials, or all are equal.

    Trials that were pruned count with the value that they had reached.
    """
    measured = [trial for trial in record.trials.values() if trial.value is not None]
    if len(measured) < FEWEST or len({trial.value for trial in measured}) == 1:
        return None
    with without(("sklearn",)):  # it takes more than a second, for another evaluator
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: distribution(dimension) for name, dimension in space.dimensions.items()}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=trial.value,
                params=dict(trial.values),
                distributions={name: distributions[name] for name in trial.values},
            )
            for trial in measured
        ]
    )
    best = max(BEST_SHARE, BEST_LEAST / len(measured))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about dimensions that few trials have; the result has the number of trials
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=best))
    return Importances(dict(found), len(measured))
