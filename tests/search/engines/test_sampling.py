"""What Optuna's samplers are asked: the groups of dimensions, and that what is wished is learnt from."""

import random

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.search_space.group_decomposed import _SearchSpaceGroup

from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.engines.sampling import divided
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace, Values

NAMES = st.sets(st.sampled_from("abcdefgh"), min_size=1).map(lambda names: tuple(sorted(names)))


@given(st.lists(NAMES, min_size=1))
def test_groups_are_the_coarsest_of_which_every_trial_has_all_or_nothing(trials: list[tuple[str, ...]]) -> None:
    groups: list[list[str]] = []
    for had in trials:
        groups = divided(groups, had)
    members = [name for group in groups for name in group]
    assert sorted(members) == sorted({name for had in trials for name in had})
    for had in trials:
        for group in groups:
            assert set(group) <= set(had) or not set(group) & set(had)
    optunas = _SearchSpaceGroup()
    for had in trials:
        optunas.add_distributions({name: FloatDistribution(0, 1) for name in had})
    assert {frozenset(group) for group in groups} == {frozenset(space) for space in optunas.search_spaces}


@pytest.mark.parametrize(("depth", "name"), [(4, "layer4.filters"), (2, "layer2.filters")])
def test_a_layers_dimensions_are_learnt_from_the_trials_that_have_that_layer(depth: int, name: str) -> None:
    """Networks are good by their depth, and by the filters of their last layer."""
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    opened = OptunaEngine("tpe", "none", 5, 0, Proposals(space, 0))
    source = random.Random(1)

    def reached(values: Values) -> float:
        return 0.5 * (values["layers"] == depth) + 0.5 * (values.get(name) == 96)

    for number in range(60):
        values = space.draw(source)
        opened.learn(number, values, "complete", (reached(values),))
    found = []
    for _ in range(40):
        proposal = opened.ask()
        assert proposal is not None
        opened.tell(proposal.number, "complete", reached(proposal.values))
        found.append(proposal.values)
    assert sum(values["layers"] == depth for values in found) >= 20  # eight by chance
    assert sum(values.get(name) == 96 for values in found) >= 20


def test_of_a_network_without_a_layer_optuna_stores_nothing_of_it() -> None:
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    opened = OptunaEngine("tpe", "none", 5, 0, Proposals(space, 0))
    for _ in range(30):
        proposal = opened.ask()
        assert proposal is not None
        opened.tell(proposal.number, "complete", 0.5)
    for trial in opened.study.get_trials():
        assert trial.state == optuna.trial.TrialState.COMPLETE
        missing = [f"layer{number}.filters" for number in range(trial.params["layers"] + 1, 7)]
        assert not set(missing) & trial.params.keys()
