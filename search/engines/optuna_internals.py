"""The private attributes of Optuna that we need for lack of public ones, used in this file only.

A test fails if one of them is gone.
"""

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial


def study_id(study: optuna.Study) -> int:
    """Return the number of a study in its storage."""
    return int(study._study_id)


def frozen(study: optuna.Study, trial: Trial) -> FrozenTrial:
    """Return a running trial as its storage has it."""
    return study._storage.get_trial(trial._trial_id)


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> None:
    """Have a trial ask its sampler for a parameter of any distribution; the public calls take no distribution."""
    trial._suggest(name, distribution)


def newest(study: optuna.Study) -> Trial:
    """Return the trial that was last added to a study, as a running one: `add_trial` returns nothing."""
    return Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)
