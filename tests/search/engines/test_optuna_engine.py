"""Optuna as an engine: what it proposes is valid and new, and from what the record has it goes on where it was."""

import math
import random
from collections.abc import Callable

import optuna
import pytest
from optuna.trial import TrialState

from convsearch.search.engines.choice import choose
from convsearch.search.engines.optuna import MANY, SHORT_HISTORY, OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.values.proposal import Proposal, State
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.errors import InputError
from convsearch.spaces.space import SearchSpace

EPOCHS = 9
SMALL = """
layers: [1, 2]
each_layer:
  filters: [4, 8]
  kernel_size: [3, 5]
recipe:
  learning_rate: 0.01
  batch_size: [16, 32]
limits:
  max_parameters: 1000
"""


@pytest.fixture(params=["tpe", "random", "nsga2"])
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def preset(name: str, *input: int) -> SearchSpace:
    return SearchSpace(load(name), Volume(*input), 10)


def small() -> SearchSpace:
    return SearchSpace(parse(SMALL, "small.yaml"), Volume(8, 8, 1), 10)


def engine(
    space: SearchSpace,
    algorithm: str = "random",
    pruner: str = "none",
    seed: int = 0,
    known: tuple[Proposal, ...] = (),
) -> OptunaEngine:
    """An engine, which has learnt that some proposals were completed."""
    proposals = Proposals(space, seed, [p.candidate.hash for p in known], exhaustive=algorithm == "grid")
    made = OptunaEngine(algorithm, pruner, EPOCHS, seed, proposals, recorded=len(known))
    for proposal in known:
        made.learn(proposal.number, proposal.values, "complete", (quality(proposal),))
    return made


def quality(proposal: Proposal) -> float:
    """A value that prefers many parameters, so that the algorithms have something to learn."""
    return 1 - 1 / math.log(10 + proposal.candidate.architecture.parameters)


def search(engine: OptunaEngine, count: int) -> list[Proposal]:
    """So many proposals, each told its value before the next is asked for; fewer where the space is exhausted."""
    found = []
    for _ in range(count):
        proposal = engine.ask()
        if proposal is None:
            break
        engine.tell(proposal.number, "complete", quality(proposal))
        found.append(proposal)
    return found


# ---------------------------------------------------------------------- valid by construction


@pytest.mark.parametrize(
    ("algorithm", "name", "input"),
    [
        ("tpe", "classic", (32, 32, 3)),
        ("tpe", "classic", (8, 8, 1)),
        ("tpe", "textbook", (32, 32, 3)),
        ("tpe", "textbook", (8, 8, 1)),
        ("random", "classic", (32, 32, 3)),
        ("random", "textbook", (8, 8, 1)),
        ("nsga2", "classic", (8, 8, 1)),
        ("nsga2", "textbook", (32, 32, 3)),
    ],
)
def test_nothing_is_stored_that_does_not_fit_or_was_tried_before(
    algorithm: str, name: str, input: tuple[int, ...]
) -> None:
    space = preset(name, *input)
    count = 30
    opened = engine(space, algorithm)
    found = search(opened, count)
    trials = opened.study.get_trials()
    assert len(trials) == count
    hashes = set()
    for proposal, trial in zip(found, trials, strict=True):
        assert trial.params == proposal.values
        assert space.fit(trial.params) == trial.params
        candidate = space.candidate(trial.params)
        assert space.excess(candidate) is None
        hashes.add(candidate.hash)
    assert len(hashes) == count


def test_a_dimension_keeps_its_options_in_all_trials() -> None:
    opened = engine(preset("textbook", 8, 8, 1), "tpe")
    search(opened, 12)
    seen: dict[str, object] = {}
    for trial in opened.study.get_trials():
        for name, distribution in trial.distributions.items():
            assert seen.setdefault(name, distribution) == distribution
    assert {"layers", "layer1.kernel_size", "learning_rate"} <= seen.keys()


# ---------------------------------------------------------------------- what Optuna sees


def test_optuna_sees_each_trials_state_and_its_epochs() -> None:
    opened = engine(preset("tiny", 8, 8, 1), "tpe")
    states: list[State] = ["complete", "pruned", "failed", "interrupted"]
    for state in states:
        proposal = opened.ask()
        assert proposal is not None
        opened.report(proposal.number, 1, 0.25)
        opened.report(proposal.number, 2, 0.5)
        opened.tell(proposal.number, state, 0.5 if state != "failed" else None)
    running = opened.ask()
    assert running is not None
    trials = opened.study.get_trials()
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.state for trial in trials] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.FAIL,
        TrialState.RUNNING,
    ]
    assert trials[0].value == 0.5
    assert trials[0].intermediate_values == {1: 0.25, 2: 0.5}
    assert opened.study.best_trial.number == 0
    assert opened.study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert opened.open_trials() == {running.number: 0}


@pytest.mark.filterwarnings("error")
def test_a_trial_whose_worker_was_lost_may_report_its_epochs_once_more() -> None:
    opened = engine(preset("tiny", 8, 8, 1), pruner="median")
    proposal = opened.ask()
    assert proposal is not None
    for epoch, value in ((1, 0.25), (2, 0.5), (1, 0.125), (2, 0.25), (3, 0.75)):
        assert opened.report(proposal.number, epoch, value)
    opened.tell(proposal.number, "complete", 0.75)
    assert opened.study.get_trials()[0].intermediate_values == {1: 0.25, 2: 0.5, 3: 0.75}


# ---------------------------------------------------------------------- many workers, many trials


@pytest.mark.parametrize("algorithm", ["tpe", "nsga2"])
def test_of_what_runs_at_the_same_time_no_two_are_the_same(algorithm: str) -> None:
    opened = engine(preset("tiny", 8, 8, 1), algorithm)
    search(opened, 12)
    running = [opened.ask() for _ in range(40)]
    hashes = {proposal.candidate.hash for proposal in running if proposal is not None}
    assert len(hashes) == 40


def test_tpe_takes_what_runs_for_bad() -> None:
    """While its proposals run it proposes others than when they have failed at once and count for nothing."""
    found = []
    for failing in (False, True):
        opened = engine(preset("classic", 32, 32, 3), "tpe")
        search(opened, 30)
        candidates = []
        for _ in range(12):
            proposal = opened.ask()
            assert proposal is not None
            candidates.append(proposal.candidate)
            if failing:
                opened.tell(proposal.number, "failed", None)
        found.append(candidates)
    assert found[0][0] == found[1][0]
    assert found[0] != found[1]


def test_of_many_trials_the_sampler_looks_at_the_best_and_a_part_of_the_rest() -> None:
    opened = OptunaEngine("tpe", "hyperband", EPOCHS, 0, Proposals(preset("classic", 32, 32, 3), 0), workers=MANY + 1)
    values: dict[int, float] = {}
    source = random.Random(0)
    running = [opened.ask() for _ in range(5)]
    for _ in range(2 * SHORT_HISTORY + 20):
        proposal = opened.ask()
        assert proposal is not None
        values[proposal.number] = source.random()
        for epoch in range(1, EPOCHS + 1):
            opened.report(proposal.number, epoch, values[proposal.number] * epoch / EPOCHS)
        opened.tell(proposal.number, "complete", values[proposal.number])
    looked_at = [trial for trial in opened.study.get_trials() if trial.state == TrialState.COMPLETE]
    assert SHORT_HISTORY <= len(looked_at) <= SHORT_HISTORY + 20
    best = sorted(values.values(), reverse=True)[: SHORT_HISTORY // 4]
    assert set(best) <= {trial.value for trial in looked_at}
    for proposal in running:  # what runs goes on as if nothing had been forgotten
        assert proposal is not None
        opened.report(proposal.number, 1, 0.5)
        opened.tell(proposal.number, "complete", 0.5)
    assert opened.open_trials() == {}
    following = opened.ask()
    assert following is not None
    assert following.number == len(values) + len(running)


# ---------------------------------------------------------------------- seeds and going on


def test_the_same_seed_proposes_the_same_and_another_seed_something_else(algorithm: str) -> None:
    found = [search(engine(preset("tiny", 8, 8, 1), algorithm, seed=seed), 13) for seed in (5, 5, 6)]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_what_has_learnt_goes_on_with_new_numbers_and_new_candidates(algorithm: str) -> None:
    space = preset("tiny", 8, 8, 1)
    before = search(engine(space, algorithm), 11)
    after = search(engine(space, algorithm, known=tuple(before)), 5)
    assert [proposal.number for proposal in after] == list(range(11, 16))
    assert not {p.candidate.hash for p in before} & {p.candidate.hash for p in after}


def test_trials_of_all_states_are_learnt_from_the_record() -> None:
    space = preset("classic", 32, 32, 3)
    found = search(engine(space, "tpe"), 6)
    made = engine(space, "tpe")
    states: list[State] = ["complete", "pruned", "failed", "interrupted", "complete"]
    for proposal, state in zip(found[1:], states, strict=True):  # trial 0 never came into the record
        assert not made.knows(proposal.number)
        made.learn(proposal.number, proposal.values, state, (0.25, quality(proposal)) if state != "failed" else ())
        assert made.knows(proposal.number)
    trials = made.study.get_trials()
    kinds = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.state for trial in trials] == kinds
    assert trials[0].params == found[1].values
    assert trials[0].value == quality(found[1])
    assert trials[1].intermediate_values == {1: 0.25, 2: quality(found[2])}
    proposal = made.ask()
    assert proposal is not None
    assert proposal.number == 6


def test_nsga2_goes_on_with_the_generation_that_it_had_reached() -> None:
    space = preset("classic", 32, 32, 3)
    found = search(engine(space, "nsga2"), 25)  # its population is 20
    again = engine(space, "nsga2", known=tuple(found))
    key = "NSGAIISampler:generation"
    assert [trial.system_attrs[key] for trial in again.study.get_trials()] == [0] * 20 + [1] * 5


# ---------------------------------------------------------------------- exhausted spaces


def all_of(space: SearchSpace) -> set[str]:
    return {space.candidate(values).hash for values in space.enumerate()}


@pytest.mark.parametrize("algorithm", ["grid", "tpe", "random", "nsga2"])
def test_a_small_space_is_tried_whole_each_candidate_once_and_then_there_is_nothing_left(algorithm: str) -> None:
    space = small()
    expected = all_of(space)
    assert 10 < len(expected) < space.architectures * space.recipes  # the limits leave some, and not all
    opened = engine(space, algorithm)
    found = search(opened, 100)
    assert opened.ask() is None
    assert len(found) == len(expected)
    assert {proposal.candidate.hash for proposal in found} == expected
    assert len(opened.study.get_trials()) == len(expected)


def test_a_reopened_grid_tries_only_the_rest() -> None:
    space = small()
    opened = engine(space, "grid")
    before = search(opened, 7)
    opened = engine(space, "grid", known=tuple(before))
    after = search(opened, 100)
    hashes = [proposal.candidate.hash for proposal in before + after]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) == all_of(space)


def test_a_grid_goes_through_the_space_in_the_spaces_own_order() -> None:
    space = small()
    opened = engine(space, "grid")
    found = search(opened, 100)
    assert [proposal.values for proposal in found] == list(space.enumerate())


# ---------------------------------------------------------------------- pruners


def curve(reached: float) -> Callable[[int], float]:
    return lambda epoch: reached * (1 - 0.5**epoch)


def run_curves(opened: OptunaEngine, curves: list[Callable[[int], float]]) -> list[int]:
    """Report each curve until the engine gives it up; return after how many epochs it did, or EPOCHS."""
    lengths = []
    for values in curves:
        proposal = opened.ask()
        assert proposal is not None
        length, state = EPOCHS, "complete"
        for epoch in range(1, EPOCHS + 1):
            if not opened.report(proposal.number, epoch, values(epoch)) and epoch < EPOCHS:
                length, state = epoch, "pruned"
                break
        opened.tell(proposal.number, state, values(length))  # type: ignore[arg-type]
        lengths.append(length)
    return lengths


@pytest.mark.parametrize("pruner", ["hyperband", "median"])
def test_a_pruner_gives_up_bad_trials_and_lets_the_good_ones_run(pruner: str) -> None:
    opened = engine(preset("tiny", 8, 8, 1), pruner=pruner)
    good = run_curves(opened, [curve(0.9)] * 10)
    bad = run_curves(opened, [curve(0.1)] * 10)
    assert good == [EPOCHS] * 10
    assert sum(length < EPOCHS for length in bad) >= 5
    states = [trial.state for trial in opened.study.get_trials()]
    assert states.count(TrialState.PRUNED) == sum(length < EPOCHS for length in bad)


def test_a_pruner_compares_with_what_was_learnt() -> None:
    space = preset("tiny", 8, 8, 1)
    opened = engine(space, pruner="hyperband")
    source = random.Random(0)
    for number in range(20):
        opened.learn(number, space.draw(source), "complete", [curve(0.9)(epoch) for epoch in range(1, EPOCHS + 1)])
    bad = run_curves(opened, [curve(0.1)] * 10)
    assert sum(length < EPOCHS for length in bad) >= 5


def test_without_a_pruner_every_trial_runs_to_its_end() -> None:
    opened = engine(preset("tiny", 8, 8, 1), pruner="none")
    assert run_curves(opened, [curve(0.9)] * 10 + [curve(0.1)] * 10) == [EPOCHS] * 20


# ---------------------------------------------------------------------- wrong names


def test_an_unknown_algorithm_or_pruner_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown algorithm 'nsga' of optuna: did you mean 'nsga2'\?"):
        choose("optuna", "nsga", None)
    with pytest.raises(InputError, match=r"unknown pruner 'hyperbnd': did you mean 'hyperband'\?"):
        choose("optuna", "tpe", "hyperbnd")


# ---------------------------------------------------------------------- several objectives


@pytest.mark.parametrize("algorithm", ["tpe", "nsga2", "random", "grid"])
def test_accuracy_and_costs_are_stored_as_optuna_has_several_objectives(algorithm: str) -> None:
    space = small()
    proposals = Proposals(space, 0, exhaustive=algorithm == "grid")
    made = OptunaEngine(algorithm, "none", EPOCHS, 0, proposals, costs=2)
    learnt = []
    for number in range(14):
        proposal = made.ask()
        assert proposal is not None
        assert made.report(proposal.number, 1, 0.1)  # nothing is pruned
        architecture = proposal.candidate.architecture
        costs = (float(architecture.parameters), float(architecture.macs))
        state: State = "failed" if number == 5 else "complete"
        made.tell(proposal.number, state, None if state == "failed" else quality(proposal), costs)
        learnt.append(None if state == "failed" else [quality(proposal), *costs])
    study = made.study
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert [trial.values for trial in study.get_trials()] == learnt
    assert study.best_trials


def test_several_objectives_are_learnt_anew() -> None:
    space = small()
    found = search(engine(space), 2)
    made = OptunaEngine("tpe", "none", EPOCHS, 0, Proposals(space, 0), costs=1)
    for proposal in found:
        made.learn(proposal.number, proposal.values, "complete", (0.25, 0.5), (123.0,))
    assert [trial.values for trial in made.study.get_trials()] == [[0.5, 123.0]] * 2


def test_nsga2_comes_nearer_to_a_known_front_than_it_began() -> None:
    space = preset("tiny", 8, 8, 1)
    made = OptunaEngine("nsga2", "none", EPOCHS, 0, Proposals(space, 0), costs=1)
    found = []
    for _ in range(100):
        proposal = made.ask()
        assert proposal is not None
        parameters = proposal.candidate.architecture.parameters
        # as good as its kernels are small, and half of what the filters cost: a front that can be walked along
        value = 1 - proposal.candidate.architecture.layers[0].kernel_size / 10
        made.tell(proposal.number, "complete", value, (float(parameters),))
        found.append((value, parameters))
    early, late = found[:20], found[-20:]
    assert sum(value for value, _ in late) > sum(value for value, _ in early)
    assert sum(parameters for _, parameters in late) < sum(parameters for _, parameters in early)


def test_keras_tuner_is_refused_several_objectives_and_optuna_a_pruner_for_them() -> None:
    with pytest.raises(InputError, match="2 objectives: KerasTuner's hyperband takes one"):
        choose("keras-tuner", None, None, objectives=2)
    with pytest.raises(InputError, match="--pruner median: with 2 objectives Optuna does not prune"):
        choose(None, "tpe", "median", objectives=2)
    assert choose(None, "nsga2", None, objectives=2) == ("optuna", "nsga2", "none")
