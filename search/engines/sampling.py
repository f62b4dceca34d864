"""Optuna's samplers, asked for whole proposals: a suggestion is fitted to the space before Optuna stores it.

So a sampler learns from the values that networks really have.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from ...spaces.dimension import Choice, Dimension, Options
from ...spaces.space import Values
from ..values.proposal import Proposal
from .optuna_internals import frozen, suggest
from .proposals import Proposals

LEARNT_FROM = (TrialState.COMPLETE, TrialState.PRUNED)


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's distribution of a dimension."""
    if isinstance(dimension, Options):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


class FittedSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Proposes by another of Optuna's samplers, and hands values out to Optuna one by one.

    Optuna's own suggest calls only read what `note` gives.
    """

    def __init__(self, inner: optuna.samplers.BaseSampler, proposals: Proposals) -> None:
        self.inner = inner
        self.proposals = proposals
        self.distributions = {name: distribution(d) for name, d in proposals.space.dimensions.items()}
        self._given: Values = {}

    def propose(self, study: optuna.Study, trial: Trial, number: int) -> Proposal | None:
        """Return the proposal of a trial that Optuna has just opened, under the study's number, or None."""
        stored = frozen(study, trial)
        found = self.proposals.next(number, lambda: self.suggest(study, stored))
        return Proposal(number, *found) if found else None

    def suggest(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        """Return the inner sampler's suggestion: sampled jointly, and where that leaves gaps, one by one."""
        joint = self.inner.infer_relative_search_space(study, trial)
        values = dict(self.inner.sample_relative(study, trial, joint))
        for name, dist in self.distributions.items():
            if name not in values:
                values[name] = self.inner.sample_independent(study, trial, name, dist)
        return values

    def note(self, trial: Trial, values: Values) -> None:
        """Have Optuna ask for each value, and store it."""
        with self._giving(values):
            for name in values:
                suggest(trial, name, self.distributions[name])

    @contextmanager
    def _giving(self, values: Values) -> Iterator[None]:
        self._given = values
        try:
            yield
        finally:
            self._given = {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Pass a trial's begin on to the inner sampler."""
        self.inner.before_trial(study, trial)
        if isinstance(self.inner, optuna.samplers.NSGAIISampler):  # which counts it only when it samples
            self.inner.get_trial_generation(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Leave nothing for Optuna to sample jointly."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample nothing jointly."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Choice:
        """Return a value that is given."""
        return self._given[param_name]

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Pass a trial's end on to the inner sampler."""
        self.inner.after_trial(study, trial, state, values)


class ExhaustiveSampler(FittedSampler):
    """Suggests every candidate of the space, one after the other."""

    def suggest(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        """Return the first candidate that was not tried."""
        return self.proposals.first_untried() or {}


class GroupedSampler(FittedSampler):
    """Suggests group by group: the dimensions of a fourth layer are learnt from the trials that have a fourth layer.

    Like `group=True` of Optuna's TPE, at half the cost: the groups are found once, and a network with three layers is
    not sampled for a fourth.
    """

    def __init__(self, inner: optuna.samplers.BaseSampler, proposals: Proposals, seed: int) -> None:
        super().__init__(inner, proposals)
        self._random = random.Random(seed)
        self._groups: list[list[str]] = []  # of the dimensions that the same trials have
        self._seen: set[tuple[str, ...]] = set()

    def suggest(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        """Sample each group jointly that has a meaning, given the values sampled before it."""
        values: Values = {}
        for group in self._groups:
            if all(self._has_meaning(name, values) for name in group):
                values |= self.inner.sample_relative(study, trial, {name: self.distributions[name] for name in group})
        for name, dimension in self.proposals.space.dimensions.items():
            if name not in values:  # it has no meaning here, or nothing was learnt yet
                values[name] = dimension.draw(self._random)
        return values

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Split the groups of which a trial has a part only."""
        super().after_trial(study, trial, state, values)
        if state in LEARNT_FROM and (had := tuple(trial.params)) not in self._seen:
            self._seen.add(had)
            order = list(self.distributions)
            self._groups = sorted(divided(self._groups, had), key=lambda group: min(map(order.index, group)))

    def _has_meaning(self, name: str, values: Mapping[str, Choice]) -> bool:
        needs = self.proposals.space.condition(name)
        return needs is None or needs[0] not in values or int(values[needs[0]]) >= needs[1]


def divided(groups: list[list[str]], had: tuple[str, ...]) -> list[list[str]]:
    """Split groups of names into what is in `had`, the names of a trial, and what is not; new names form a group."""
    grouped = {name for group in groups for name in group}
    parts = [[name for name in group if (name in had) == inside] for group in groups for inside in (True, False)]
    parts.append([name for name in had if name not in grouped])
    return [part for part in parts if part]
