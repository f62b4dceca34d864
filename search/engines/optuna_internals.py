"""What we need of Optuna and it does not offer: its private attributes, used in this file alone.

A test fails when one of them is gone.
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
    """Return the trial that a study was given last, as one that runs: `add_trial` returns nothing."""
    return Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)
