"""Why it won: how much each dimension of the space had to do with ending among the best.

PED-ANOVA, Optuna's own: it compares how a dimension is distributed among the best trials with how it is among all
(Watanabe, Bansal and Hutter, 2023), and knows dimensions that not every trial has, as the filters of a sixth layer. It
is the same for all engines, because it reads the record, not their storages.
"""

import warnings
from dataclasses import dataclass

import optuna

from ...spaces.space import SearchSpace
from ..study.record import Record
from .sampling import distribution

METHOD = "PED-ANOVA"
FEWEST = 10  # trials; of fewer nothing can be said
BEST_SHARE, BEST_LEAST = 0.1, 3  # of the trials count as the best, and at least so many


@dataclass(frozen=True)
class Importances:
    """The share of each dimension, the largest first (they add up to 1), and the number of trials they rest on."""

    shares: dict[str, float]
    trials: int


def importances(space: SearchSpace, record: Record) -> Importances | None:
    """Return the importances of a space's open dimensions, or None where there are too few trials.

    Trials that were cut off count with what they had reached.
    """
    known = [trial for trial in record.trials.values() if trial.value is not None]
    if len(known) < FEWEST:
        return None
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # takes a second to import

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
            for trial in known
        ]
    )
    best = max(BEST_SHARE, BEST_LEAST / len(known))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dimensions that few trials have; how many trials there are we say
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=best))
    return Importances(dict(found), len(known))
