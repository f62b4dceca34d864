"""The private attributes of Optuna that we use: they are there, and one file uses them."""

import re
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution

from convsearch.search.engines import optuna_internals
from convsearch.search.engines.optuna_internals import frozen, newest, study_id, suggest

PRIVATE = re.compile(r"(?<!self)\._(storage|trial_id|suggest|study_id|backend|cached_frozen_trial)\b")


def test_a_running_trial_can_be_read_and_asked_for_a_parameter_of_any_distribution() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    suggest(trial, "filters", CategoricalDistribution((16, 32)))
    stored = frozen(study, trial)
    assert stored.state == optuna.trial.TrialState.RUNNING
    assert stored.params["filters"] in (16, 32)
    assert isinstance(study_id(study), int)


def test_a_trial_that_was_added_runs_on() -> None:
    study, other = optuna.create_study(), optuna.create_study()
    trial = study.ask()
    trial.report(0.5, 1)
    other.add_trial(frozen(study, trial))
    added = newest(other)
    added.report(0.6, 2)
    other.tell(added, 0.6)
    assert other.trials[-1].intermediate_values == {1: 0.5, 2: 0.6}


def test_no_other_file_uses_them() -> None:
    here = Path(optuna_internals.__file__)
    search = here.parent.parent
    found = {path.name for path in search.rglob("*.py") if PRIVATE.search(path.read_text(encoding="utf-8"))}
    assert found == {here.name}
