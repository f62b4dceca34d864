"""A trial of the record as Optuna stores it, in a database or a file."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..study.objectives import costs
from ..study.trial import Trial


def frozen(
    trial: Trial, state: TrialState, distributions: Mapping[str, BaseDistribution], objectives: Sequence[str]
) -> FrozenTrial:
    """Return a trial of the record as Optuna has it."""
    measured = state in (TrialState.COMPLETE, TrialState.PRUNED) and len(objectives) == 1
    ended = None if trial.ended_at is None or state == TrialState.RUNNING else _local(trial.ended_at)
    made = create_trial(
        state=state,
        values=[trial.value, *costs(trial, objectives)] if state == TrialState.COMPLETE else None,
        params=trial.values,
        distributions={name: distributions[name] for name in trial.values},
        user_attrs={
            "architecture": str(trial.candidate.architecture),
            "hash": trial.hash,
            **({"interrupted": True} if trial.state == "interrupted" else {}),
        },
        intermediate_values=dict(enumerate(trial.val_accuracy, start=1)) if measured else {},
    )
    made.datetime_start, made.datetime_complete = _local(trial.started_at), ended
    return made


def _local(moment: str) -> datetime:
    """Return a moment of the record as Optuna has it: this machine's time, without a zone."""
    return datetime.fromisoformat(moment).astimezone().replace(tzinfo=None)
