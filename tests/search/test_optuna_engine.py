"""Optuna as an engine: what it proposes is valid, what it stores is plain Optuna, and it goes on where it was."""

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from convsearch.search.engines.choice import choose
from convsearch.search.engines.optuna import FILE, STUDY, OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.engines.protocol import Proposal, State
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
    folder: Path,
    space: SearchSpace,
    algorithm: str = "random",
    pruner: str = "none",
    seed: int = 0,
    tried: tuple[str, ...] = (),
) -> OptunaEngine:
    proposals = Proposals(space, seed, tried, exhaustive=algorithm == "grid")
    return OptunaEngine(folder, algorithm, pruner, EPOCHS, seed, proposals)


def stored(folder: Path) -> optuna.Study:
    """The study as anybody opens it who has Optuna and not Convsearch."""
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{folder / FILE}")


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
    tmp_path: Path, algorithm: str, name: str, input: tuple[int, ...]
) -> None:
    space = preset(name, *input)
    count = 30
    opened = engine(tmp_path, space, algorithm)
    found = search(opened, count)
    opened.close()
    trials = stored(tmp_path).get_trials()
    assert len(trials) == count
    hashes = set()
    for proposal, trial in zip(found, trials, strict=True):
        assert trial.params == proposal.values
        assert space.fit(trial.params) == trial.params
        candidate = space.candidate(trial.params)
        assert space.excess(candidate) is None
        hashes.add(candidate.hash)
    assert len(hashes) == count


def test_a_dimension_keeps_its_options_in_all_trials(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("textbook", 8, 8, 1), "tpe")
    search(opened, 12)
    opened.close()
    seen: dict[str, object] = {}
    for trial in stored(tmp_path).get_trials():
        for name, distribution in trial.distributions.items():
            assert seen.setdefault(name, distribution) == distribution
    assert {"layers", "layer1.kernel_size", "learning_rate"} <= seen.keys()


# ---------------------------------------------------------------------- plain Optuna


def test_optuna_sees_each_trials_state_its_epochs_and_its_architecture(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("tiny", 8, 8, 1), "tpe")
    states: list[State] = ["complete", "pruned", "failed", "interrupted"]
    proposals = []
    for state in states:
        proposal = opened.ask()
        assert proposal is not None
        opened.report(proposal.number, 1, 0.25)
        opened.report(proposal.number, 2, 0.5)
        opened.tell(proposal.number, state, 0.5 if state != "failed" else None)
        proposals.append(proposal)
    running = opened.ask()
    assert running is not None
    opened.close()
    trials = stored(tmp_path).get_trials()
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
    assert stored(tmp_path).best_trial.number == 0
    for proposal, trial in zip([*proposals, running], trials, strict=True):
        assert trial.user_attrs["hash"] == proposal.candidate.hash
        assert trial.user_attrs["architecture"] == str(proposal.candidate.architecture)
    assert [trial.user_attrs.get("interrupted", False) for trial in trials] == [False, False, False, True, False]


def test_the_study_is_maximised(tmp_path: Path) -> None:
    engine(tmp_path, small()).close()
    assert stored(tmp_path).direction == optuna.study.StudyDirection.MAXIMIZE


# ---------------------------------------------------------------------- seeds and going on


def test_the_same_seed_proposes_the_same_and_another_seed_something_else(tmp_path: Path, algorithm: str) -> None:
    found = []
    for number, seed in enumerate((5, 5, 6)):
        folder = tmp_path / str(number)
        folder.mkdir()
        opened = engine(folder, preset("tiny", 8, 8, 1), algorithm, seed=seed)
        found.append(search(opened, 13))
        opened.close()
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_reopened_study_goes_on_with_new_numbers_and_new_candidates(tmp_path: Path, algorithm: str) -> None:
    space = preset("tiny", 8, 8, 1)
    opened = engine(tmp_path, space, algorithm)
    before = search(opened, 11)
    opened.close()
    opened = engine(tmp_path, space, algorithm, tried=tuple(p.candidate.hash for p in before))
    after = search(opened, 5)
    opened.close()
    assert [proposal.number for proposal in after] == list(range(11, 16))
    assert not {p.candidate.hash for p in before} & {p.candidate.hash for p in after}
    assert len(stored(tmp_path).get_trials()) == 16


def test_a_reopened_study_knows_the_trials_whose_end_was_never_told(tmp_path: Path) -> None:
    opened = engine(tmp_path, small())
    first, second, third = opened.ask(), opened.ask(), opened.ask()
    assert first is not None
    assert second is not None
    assert third is not None
    opened.tell(second.number, "complete", 0.5)
    opened.close()  # as if the process had been killed
    opened = engine(tmp_path, small())
    assert opened.open_trials() == {first.number: 0, third.number: 0}
    opened.tell(first.number, "interrupted", None)
    opened.tell(third.number, "complete", 0.75)
    assert opened.open_trials() == {}
    opened.close()
    trials = stored(tmp_path).get_trials()
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert trials[2].value == 0.75


# ---------------------------------------------------------------------- exhausted spaces


def all_of(space: SearchSpace) -> set[str]:
    return {space.candidate(values).hash for values in space.enumerate()}


@pytest.mark.parametrize("algorithm", ["grid", "tpe", "random", "nsga2"])
def test_a_small_space_is_tried_whole_each_candidate_once_and_then_there_is_nothing_left(
    tmp_path: Path, algorithm: str
) -> None:
    space = small()
    expected = all_of(space)
    assert 10 < len(expected) < space.architectures * space.recipes  # the limits leave some, and not all
    opened = engine(tmp_path, space, algorithm)
    found = search(opened, 100)
    assert opened.ask() is None
    opened.close()
    assert len(found) == len(expected)
    assert {proposal.candidate.hash for proposal in found} == expected
    assert len(stored(tmp_path).get_trials()) == len(expected)


def test_a_reopened_grid_tries_only_the_rest(tmp_path: Path) -> None:
    space = small()
    opened = engine(tmp_path, space, "grid")
    before = search(opened, 7)
    opened.close()
    opened = engine(tmp_path, space, "grid", tried=tuple(p.candidate.hash for p in before))
    after = search(opened, 100)
    opened.close()
    hashes = [proposal.candidate.hash for proposal in before + after]
    assert len(hashes) == len(set(hashes))
    assert set(hashes) == all_of(space)


def test_a_grid_goes_through_the_space_in_the_spaces_own_order(tmp_path: Path) -> None:
    space = small()
    opened = engine(tmp_path, space, "grid")
    found = search(opened, 100)
    opened.close()
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
def test_a_pruner_gives_up_bad_trials_and_lets_the_good_ones_run(tmp_path: Path, pruner: str) -> None:
    opened = engine(tmp_path, preset("tiny", 8, 8, 1), pruner=pruner)
    good = run_curves(opened, [curve(0.9)] * 10)
    bad = run_curves(opened, [curve(0.1)] * 10)
    opened.close()
    assert good == [EPOCHS] * 10
    assert sum(length < EPOCHS for length in bad) >= 5
    states = [trial.state for trial in stored(tmp_path).get_trials()]
    assert states.count(TrialState.PRUNED) == sum(length < EPOCHS for length in bad)


def test_without_a_pruner_every_trial_runs_to_its_end(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("tiny", 8, 8, 1), pruner="none")
    assert run_curves(opened, [curve(0.9)] * 10 + [curve(0.1)] * 10) == [EPOCHS] * 20
    opened.close()


# ---------------------------------------------------------------------- wrong names


def test_an_unknown_algorithm_or_pruner_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown algorithm 'nsga' of optuna: did you mean 'nsga2'\?"):
        choose("optuna", "nsga", None)
    with pytest.raises(InputError, match=r"unknown pruner 'hyperbnd': did you mean 'hyperband'\?"):
        choose("optuna", "tpe", "hyperbnd")


# ---------------------------------------------------------------------- a storage that is lost or damaged


def test_a_storage_that_was_lost_is_made_anew_from_what_the_record_has(tmp_path: Path) -> None:
    space = preset("classic", 32, 32, 3)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    found = search(engine(tmp_path / "old", space, "tpe"), 6)
    made = engine(tmp_path / "new", space, "tpe", tried=tuple(p.candidate.hash for p in found))
    states: list[State] = ["complete", "pruned", "failed", "interrupted", "complete"]
    for proposal, state in zip(found[1:], states, strict=True):  # trial 0 never came into the record
        assert not made.knows(proposal.number)
        made.learn(proposal.number, proposal.values, state, (0.25, quality(proposal)) if state != "failed" else ())
        assert made.knows(proposal.number)
    asked = made.ask()
    assert asked is not None
    assert asked.number == 6
    made.close()
    trials = stored(tmp_path / "new").get_trials()
    kinds = [TrialState.FAIL, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]
    assert [trial.state for trial in trials] == [*kinds, TrialState.COMPLETE, TrialState.RUNNING]
    assert trials[1].params == found[1].values
    assert trials[1].value == quality(found[1])
    assert trials[2].intermediate_values == {1: 0.25, 2: quality(found[2])}


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at " * 40, b"SQLite format 3"])
def test_a_damaged_storage_is_named_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(
        InputError, match=r"optuna\.db: Optuna's storage is damaged or of another version .* move it away"
    ):
        engine(tmp_path, preset("classic", 32, 32, 3))


def test_a_storage_of_another_version_of_optuna_is_named(tmp_path: Path) -> None:
    engine(tmp_path, preset("classic", 32, 32, 3)).close()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("update alembic_version set version_num = 'v99.0.0'")
    with pytest.raises(InputError, match=r"Optuna's storage is damaged or of another version"):
        engine(tmp_path, preset("classic", 32, 32, 3))


# ---------------------------------------------------------------------- several objectives


@pytest.mark.parametrize("algorithm", ["tpe", "nsga2", "random", "grid"])
def test_accuracy_and_costs_are_stored_as_optuna_has_several_objectives(tmp_path: Path, algorithm: str) -> None:
    space = small()
    proposals = Proposals(space, 0, exhaustive=algorithm == "grid")
    made = OptunaEngine(tmp_path, algorithm, "none", EPOCHS, 0, proposals, costs=2)
    told = []
    for number in range(14):
        proposal = made.ask()
        assert proposal is not None
        assert made.report(proposal.number, 1, 0.1)  # nothing is pruned
        architecture = proposal.candidate.architecture
        costs = (float(architecture.parameters), float(architecture.macs))
        state: State = "failed" if number == 5 else "complete"
        made.tell(proposal.number, state, None if state == "failed" else quality(proposal), costs)
        told.append(None if state == "failed" else [quality(proposal), *costs])
    made.close()
    study = stored(tmp_path)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert [trial.values for trial in study.get_trials()] == told
    assert study.best_trials


def test_several_objectives_of_a_lost_storage_are_learnt_anew(tmp_path: Path) -> None:
    space = small()
    (tmp_path / "old").mkdir()
    found = search(engine(tmp_path / "old", space), 2)
    made = OptunaEngine(tmp_path, "tpe", "none", EPOCHS, 0, Proposals(space, 0), costs=1)
    for proposal in found:
        made.learn(proposal.number, proposal.values, "complete", (0.25, 0.5), (123.0,))
    made.close()
    assert [trial.values for trial in stored(tmp_path).get_trials()] == [[0.5, 123.0]] * 2


def test_nsga2_comes_nearer_to_a_known_front_than_it_began(tmp_path: Path) -> None:
    space = preset("tiny", 8, 8, 1)
    made = OptunaEngine(tmp_path, "nsga2", "none", EPOCHS, 0, Proposals(space, 0), costs=1)
    found = []
    for _ in range(100):
        proposal = made.ask()
        assert proposal is not None
        parameters = proposal.candidate.architecture.parameters
        # as good as its kernels are small, and half of what the filters cost: a front that can be walked along
        value = 1 - proposal.candidate.architecture.layers[0].kernel_size / 10
        made.tell(proposal.number, "complete", value, (float(parameters),))
        found.append((value, parameters))
    made.close()
    early, late = found[:20], found[-20:]
    assert sum(value for value, _ in late) > sum(value for value, _ in early)
    assert sum(parameters for _, parameters in late) < sum(parameters for _, parameters in early)


def test_keras_tuner_is_refused_several_objectives_and_optuna_a_pruner_for_them() -> None:
    with pytest.raises(InputError, match="2 objectives: KerasTuner's hyperband takes one"):
        choose("keras-tuner", None, None, objectives=2)
    with pytest.raises(InputError, match="--pruner median: with 2 objectives Optuna prunes nothing"):
        choose(None, "tpe", "median", objectives=2)
    assert choose(None, "nsga2", None, objectives=2) == ("optuna", "nsga2", "none")
