"""Record and engine after a kill: neither says that anything runs, and what was lost is proposed again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convsearch.search.engines.keras_tuner import KerasTunerEngine
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.engines.protocol import Engine
from convsearch.search.loop.recovery import settle
from convsearch.search.study.objectives import DEFAULT
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal, State
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.space import SearchSpace

EPOCHS = 9
SPACE = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)
Open = Callable[[Record], Engine]


def proposals(record: Record) -> Proposals:
    return Proposals(SPACE, 0, [t.hash for t in record.trials.values() if t.state not in ("interrupted", "running")])


@pytest.fixture(params=["optuna", "random", "bayesian"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one engine after the other, as often as it is asked to."""

    def make(record: Record) -> Engine:
        if request.param == "optuna":
            return OptunaEngine("random", "none", EPOCHS, 0, proposals(record))
        return KerasTunerEngine(tmp_path, request.param, EPOCHS, 0, proposals(record))

    return make


def ask(engine: Engine) -> Proposal:
    proposal = engine.ask()
    assert proposal is not None
    return proposal


def ended(proposal: Proposal, state: State, epochs: int, value: float) -> Trial:
    return Trial.begin(proposal).model_copy(
        update={"state": state, "epochs": epochs, "value": value, "val_accuracy": (value,) * epochs}
    )


def test_a_trial_that_ran_is_interrupted_in_both_and_proposed_again(opened: Open, tmp_path: Path) -> None:
    record = Record(tmp_path)
    engine = opened(record)
    lost = ask(engine)
    record.add(Trial.begin(lost))
    engine.close()
    again = opened(record)
    settle(record, again, DEFAULT)
    assert record.trials[lost.number].state == "interrupted"
    once_more = ask(again)
    assert once_more.candidate == lost.candidate
    assert again.open_trials() == {once_more.number: 0}


def test_an_end_that_the_engine_was_not_told_is_told(opened: Open, tmp_path: Path) -> None:
    record = Record(tmp_path)
    engine = opened(record)
    done = ask(engine)
    record.add(ended(done, "complete", EPOCHS, 0.5))
    engine.close()
    again = opened(record)
    settle(record, again, DEFAULT)
    assert again.open_trials() == {}
    assert ask(again).candidate != done.candidate


def test_a_storage_that_was_moved_away_learns_all_that_the_record_has(opened: Open, tmp_path: Path) -> None:
    record = Record(tmp_path)
    elsewhere = KerasTunerEngine(tmp_path / "old", "random", EPOCHS, 0, proposals(record))
    for value in (0.25, 0.5):
        record.add(ended(ask(elsewhere), "complete", EPOCHS, value))
    made = opened(record)
    settle(record, made, DEFAULT)
    assert [made.knows(number) for number in range(3)] == [True, True, False]
    assert ask(made).number == 2


FILTERS = [4, 5, 6, 7, 8]


def grid(folder: Path, record: Record) -> KerasTunerEngine:
    """A grid search of a space of five candidates, in their order."""
    text = f"layers: 1\neach_layer: {{filters: {FILTERS}, kernel_size: 3}}\n"
    space = SearchSpace(parse(text, "grid.yaml"), Volume(8, 8, 1), 10)
    hashes = [t.hash for t in record.trials.values() if t.state not in ("interrupted", "running")]
    return KerasTunerEngine(folder, "grid", EPOCHS, 0, Proposals(space, 0, hashes, exhaustive=True))


def to_its_end(engine: Engine) -> list[Proposal]:
    """What an engine still proposes, each of which is completed before the next one."""
    found = []
    while proposal := engine.ask():
        found.append(proposal)
        engine.tell(proposal.number, "complete", 0.5)
    return found


def two_of_the_grid(engine: KerasTunerEngine, record: Record) -> None:
    for number, value in enumerate((0.25, 0.5)):
        record.add(ended(ask(engine), "complete", EPOCHS, value))
        engine.tell(number, "complete", value)


def test_a_grid_of_keras_tuner_whose_storage_was_moved_away_proposes_the_rest_of_the_space(tmp_path: Path) -> None:
    record = Record(tmp_path)
    two_of_the_grid(grid(tmp_path / "old", record), record)
    again = grid(tmp_path / "new", record)
    settle(record, again, DEFAULT)
    assert [proposal.values["layer1.filters"] for proposal in to_its_end(again)] == FILTERS[2:]


def test_a_grid_of_keras_tuner_whose_loop_was_killed_goes_on_to_each_candidate_once(tmp_path: Path) -> None:
    record = Record(tmp_path)
    engine = grid(tmp_path, record)
    two_of_the_grid(engine, record)
    record.add(Trial.begin(ask(engine)))  # it runs when the kill comes
    again = grid(tmp_path, record)
    settle(record, again, DEFAULT)
    rest = [(proposal.number, proposal.values["layer1.filters"]) for proposal in to_its_end(again)]
    assert rest == list(enumerate(FILTERS))[2:]


def hyperband(folder: Path, record: Record) -> KerasTunerEngine:
    return KerasTunerEngine(folder, "hyperband", EPOCHS, 0, proposals(record))


def first_rung(engine: KerasTunerEngine, record: Record) -> None:
    for number in range(9):  # so many have KerasTuner's first rung, of one epoch
        proposal = ask(engine)
        assert (proposal.number, proposal.epochs) == (number, 1)
        engine.report(number, 1, number / 10)
        record.add(ended(proposal, "pruned", 1, number / 10))
        engine.tell(number, "pruned", number / 10)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_trial_on_its_way_to_the_next_rung_goes_on_whether_or_not_it_had_begun(
    tmp_path: Path, recorded: bool
) -> None:
    record = Record(tmp_path)
    engine = hyperband(tmp_path, record)
    first_rung(engine, record)
    promoted = ask(engine)
    assert (promoted.number, promoted.epochs) == (8, 3)
    if recorded:
        record.add(record.trials[8].resume())
    again = hyperband(tmp_path, record)
    settle(record, again, DEFAULT)
    assert ask(again) == promoted
    assert record.trials[8].epochs == 1


def test_a_rung_that_was_reached_and_not_told_counts(tmp_path: Path) -> None:
    record = Record(tmp_path)
    engine = hyperband(tmp_path, record)
    first_rung(engine, record)
    promoted = ask(engine)
    record.add(ended(promoted, "pruned", 3, 0.95))
    again = hyperband(tmp_path, record)
    settle(record, again, DEFAULT)
    following = ask(again)
    assert (following.number, following.epochs) == (7, 3)


def test_what_was_proposed_and_never_came_to_be_a_trial_does_not_keep_its_rung_open(tmp_path: Path) -> None:
    record = Record(tmp_path)
    lost = ask(hyperband(tmp_path, record))
    again = hyperband(tmp_path, record)
    settle(record, again, DEFAULT)
    assert ask(again) == lost
