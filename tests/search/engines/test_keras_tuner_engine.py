"""KerasTuner as an engine: its proposals are valid, its storage is KerasTuner's own, and it goes on where it was."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import keras_tuner
import pytest

from convsearch.search.engines.hyperparameters import decoded, encoded, hyperparameters
from convsearch.search.engines.keras_tuner import KerasTunerEngine
from convsearch.search.engines.oracles import FOLDER, INITIAL_POINTS, STATE
from convsearch.search.engines.proposals import Proposals
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.dimension import Options, Range
from convsearch.spaces.errors import InputError, WorkError
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


def preset(name: str, *input: int) -> SearchSpace:
    return SearchSpace(load(name), Volume(*input), 10)


def small() -> SearchSpace:
    return SearchSpace(parse(SMALL, "small.yaml"), Volume(8, 8, 1), 10)


def engine(
    folder: Path, space: SearchSpace, algorithm: str = "random", seed: int = 0, tried: tuple[str, ...] = ()
) -> KerasTunerEngine:
    proposals = Proposals(space, seed, tried, exhaustive=algorithm == "grid")
    return KerasTunerEngine(folder, algorithm, EPOCHS, seed, proposals)


def quality(proposal: Proposal) -> float:
    """A value that prefers many parameters, so that the algorithms have something to learn."""
    return 1 - 1 / math.log(10 + proposal.candidate.architecture.parameters)


def search(engine: KerasTunerEngine, count: int) -> list[Proposal]:
    """So many proposals, each trained (reported and told) before the next; fewer where nothing is left."""
    found = []
    for _ in range(count):
        proposal = engine.ask()
        if proposal is None:
            break
        engine.report(proposal.number, proposal.epochs or EPOCHS, quality(proposal))
        engine.tell(proposal.number, "pruned" if proposal.epochs else "complete", quality(proposal))
        found.append(proposal)
    return found


# ---------------------------------------------------------------------- dimensions there and back


@pytest.mark.parametrize("name", ["classic", "tiny", "all_convolutional", "network_in_network", "textbook"])
def test_every_dimension_of_a_preset_is_a_hyperparameter_with_the_same_values(name: str) -> None:
    space = preset(name, 32, 32, 3)
    stored = {hp.name: hp for hp in hyperparameters(space).space}
    assert list(stored) == list(space.dimensions)
    for dimension_name, dimension in space.dimensions.items():
        if isinstance(dimension, Options):
            assert [decoded(dimension, value) for value in stored[dimension_name].values] == list(dimension.values)


@pytest.mark.parametrize("values", [(0, 0.1, 0.2), ("same", 1, 2), (True, False), (3, 5), ("relu", "gelu")])
def test_options_of_any_mixture_come_back_as_they_were(values: tuple[str | int | float | bool, ...]) -> None:
    dimension = Options(values)
    for value in values:
        back = decoded(dimension, encoded(dimension, value))
        assert (back, type(back)) == (value, type(value))


def test_a_number_beyond_a_range_comes_back_within_it() -> None:
    assert decoded(Range(1e-4, 1e-2, log=True), 0.010000000000000002) == 1e-2


def test_the_dimensions_of_a_layer_are_active_only_where_there_is_such_a_layer() -> None:
    hps = hyperparameters(preset("classic", 32, 32, 3))
    for layers in (2, 4):
        hps.values["layers"] = layers
        active = {hp.name for hp in hps.space if hps.is_active(hp)}
        assert ("layer3.filters" in active) is (layers >= 3)
        assert "layer2.filters" in active
        assert "layer6.filters" not in active


# ---------------------------------------------------------------------- valid by construction


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "bayesian"])
@pytest.mark.parametrize(("name", "input"), [("classic", (8, 8, 1)), ("textbook", (32, 32, 3))])
def test_nothing_is_stored_that_does_not_fit_or_was_tried_before(
    tmp_path: Path, algorithm: str, name: str, input: tuple[int, ...]
) -> None:
    space = preset(name, *input)
    found = search(engine(tmp_path, space, algorithm), INITIAL_POINTS + 5)
    first = {p.number: p for p in found}
    hashes = {p.candidate.hash for p in first.values()}
    assert len(hashes) == len(first)  # trials that go on keep number and candidate
    files = sorted((tmp_path / FOLDER).glob("trial_*/trial.json"))
    assert len(files) == len(found)
    for file in files:
        stored = json.loads(file.read_text())["hyperparameters"]["values"]
        values = space.fit(
            {
                n: decoded(space.dimensions[n], stored[n]) if n in stored else any_of(d)
                for n, d in space.dimensions.items()
            }
        )
        assert space.candidate(values).hash in hashes
        assert space.excess(space.candidate(values)) is None
        for key, value in values.items():
            assert encoded(space.dimensions[key], value) == stored[key]


def any_of(dimension: Options | Range) -> str | int | float | bool:
    return dimension.values[0] if isinstance(dimension, Options) else dimension.low


def test_the_gaussian_process_learns(tmp_path: Path) -> None:
    found = search(engine(tmp_path, preset("classic", 32, 32, 3), "bayesian"), INITIAL_POINTS + 15)
    values = [quality(proposal) for proposal in found]
    chance, learnt = values[:INITIAL_POINTS], values[INITIAL_POINTS:]
    assert sum(learnt) / len(learnt) > sum(chance) / len(chance)


@pytest.mark.parametrize("algorithm", ["random", "grid", "hyperband"])
def test_a_small_space_is_searched_to_its_end(tmp_path: Path, algorithm: str) -> None:
    space = small()
    opened = engine(tmp_path, space, algorithm)
    found = search(opened, 500)
    candidates = {p.candidate.hash for p in found}
    assert candidates == {space.candidate(values).hash for values in space.enumerate()}
    assert opened.ask() is None


def test_the_same_seed_proposes_the_same(tmp_path: Path) -> None:
    space = preset("classic", 32, 32, 3)
    one, other = (search(engine(tmp_path / name, space, "hyperband"), 8) for name in ("one", "other"))
    assert one == other
    assert search(engine(tmp_path / "third", space, "hyperband", seed=1), 8) != one


# ---------------------------------------------------------------------- rungs


def test_hyperband_goes_on_with_the_best_third_under_their_own_numbers(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("classic", 32, 32, 3), "hyperband")
    # Nine epochs make rungs at 1, 3 and 9. KerasTuner's first bracket begins with nine candidates.
    rung1 = search(opened, 9)
    assert [p.epochs for p in rung1] == [1] * 9
    assert [p.number for p in rung1] == list(range(9))
    assert opened.resumable() == set(range(9))
    rung2 = search(opened, 3)
    best = sorted(rung1, key=quality, reverse=True)[:3]
    assert [p.epochs for p in rung2] == [3] * 3
    assert [p.number for p in rung2] == [p.number for p in best]
    assert [p.candidate for p in rung2] == [p.candidate for p in best]
    top = search(opened, 1)
    assert [(p.number, p.epochs) for p in top] == [(best[0].number, None)]


def test_hyperband_proposes_only_what_there_is_time_for_to_the_next_rung(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("classic", 32, 32, 3), "hyperband")
    reached: list[int | None] = []

    def affordable(candidate: Candidate, epochs: int | None) -> bool:
        reached.append(epochs)
        return epochs is not None and epochs < 2

    opened.proposals.affordable = affordable
    assert len(search(opened, 20)) == 9  # to the first rung
    assert set(reached[:-1]) == {1}
    assert reached[-1] == 2  # from the first epoch to the third
    assert opened.resumable() == set(range(9))
    opened.proposals.affordable = lambda candidate, epochs: True
    best = max(opened.resumable(), key=lambda number: opened._current(number).score)
    again = opened.ask()
    assert again is not None
    assert (again.number, again.epochs) == (best, 3)


def test_without_new_candidates_only_those_at_a_rung_go_on(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("classic", 32, 32, 3), "hyperband")
    assert opened.ask(new=False) is None
    known = {p.number for p in search(opened, 9)}
    for _ in range(4):
        proposal = opened.ask(new=False)
        assert proposal is not None
        assert proposal.number in known
        opened.report(proposal.number, proposal.epochs or EPOCHS, quality(proposal))
        opened.tell(proposal.number, "pruned", quality(proposal))
    assert opened.ask(new=False) is None
    for algorithm in ("random", "bayesian", "grid"):
        assert engine(tmp_path / algorithm, small(), algorithm).ask(new=False) is None


def test_a_rung_that_no_new_candidate_will_fill_is_halved_as_it_is(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("classic", 32, 32, 3), "hyperband")
    five = search(opened, 5)  # of the nine that the bracket would have
    best = [p.number for p in sorted(five, key=quality, reverse=True)]
    went_on = []
    while (proposal := opened.ask(new=False)) is not None:
        went_on.append((proposal.number, proposal.epochs))
        opened.report(proposal.number, proposal.epochs or EPOCHS, quality(proposal))
        opened.tell(proposal.number, "pruned" if proposal.epochs else "complete", quality(proposal))
    assert went_on == [(best[0], 3), (best[1], 3), (best[0], None)]
    again = engine(tmp_path, preset("classic", 32, 32, 3), "hyperband")
    assert again.ask(new=False) is None
    assert again.resumable() == opened.resumable()


def test_while_a_trial_runs_a_rung_is_not_halved_without_it(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("classic", 32, 32, 3), "hyperband")
    search(opened, 5)
    running = opened.ask()
    assert running is not None
    assert opened.ask(new=False) is None


def test_many_failures_in_a_row_do_not_end_a_search(tmp_path: Path) -> None:
    opened = engine(tmp_path, preset("classic", 32, 32, 3), "random")
    for _ in range(8):  # KerasTuner itself gives up after three
        proposal = opened.ask()
        assert proposal is not None
        opened.tell(proposal.number, "failed", None)
    assert opened.ask() is not None


# ---------------------------------------------------------------------- on disk


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "bayesian", "grid"])
def test_a_search_that_is_opened_again_goes_on_where_it_was(tmp_path: Path, algorithm: str) -> None:
    space = small() if algorithm == "grid" else preset("classic", 32, 32, 3)
    whole = search(engine(tmp_path / "whole", space, algorithm), 13)
    first = search(engine(tmp_path / "parts", space, algorithm), 6)
    tried = tuple(p.candidate.hash for p in first)
    rest = search(engine(tmp_path / "parts", space, algorithm, tried=tried), 7)
    assert [p.number for p in first + rest] == [p.number for p in whole]
    assert first + rest == whole


def cut_off(
    folder: Path, space: SearchSpace, algorithm: str, finished: int = 0, begin: int = 0
) -> tuple[Proposal, KerasTunerEngine]:
    """What was proposed last, to go on from epoch `begin`, and the engine opened again to try it once more."""
    opened = engine(folder, space, algorithm)
    search(opened, finished)
    lost = opened.ask()
    assert lost is not None
    again = engine(folder, space, algorithm)
    assert again.open_trials() == {lost.number: begin}
    again.tell(lost.number, "interrupted", None)
    again.requeue(lost.number, lost.values)
    return lost, again


def test_a_trial_that_was_cut_off_is_open_and_can_be_proposed_again_under_its_number(tmp_path: Path) -> None:
    space = preset("classic", 32, 32, 3)
    lost, again = cut_off(tmp_path, space, "hyperband", finished=3)
    assert again.ask() == lost
    again.tell(lost.number, "complete", 0.5)
    assert again.open_trials() == {}


def test_what_was_cut_off_is_not_tried_again_without_time_or_beyond_the_trials_that_were_asked_for(
    tmp_path: Path,
) -> None:
    space = preset("classic", 32, 32, 3)
    lost, again = cut_off(tmp_path, space, "random")
    assert again.ask(new=False) is None
    again.proposals.affordable = lambda candidate, epochs: candidate.hash != lost.candidate.hash
    other = again.ask()
    assert other is not None
    assert other.number != lost.number
    again.proposals.affordable = lambda candidate, epochs: True
    assert again.ask() == lost


def test_what_was_cut_off_on_its_way_to_the_next_rung_goes_on_where_no_new_trial_may_begin(tmp_path: Path) -> None:
    space = preset("classic", 32, 32, 3)
    promoted, again = cut_off(tmp_path, space, "hyperband", finished=9, begin=1)
    assert again.ask(new=False) == promoted


def test_a_kill_before_a_proposal_was_stored_in_whole_leaves_nothing_of_it(tmp_path: Path) -> None:
    space = preset("classic", 32, 32, 3)
    tried = tuple(proposal.candidate.hash for proposal in search(engine(tmp_path, space), 2))
    before = (tmp_path / FOLDER / STATE).read_bytes()
    lost = engine(tmp_path, space, tried=tried).ask()
    (tmp_path / FOLDER / STATE).write_bytes(before)  # KerasTuner writes the trial first, then the state of the search
    again = engine(tmp_path, space, tried=tried)
    assert again.open_trials() == {}
    assert again.ask() == lost


def test_a_kill_before_the_first_state_was_stored_leaves_a_search_that_begins(tmp_path: Path) -> None:
    space = preset("classic", 32, 32, 3)
    first = engine(tmp_path, space).ask()
    (tmp_path / FOLDER / STATE).unlink()
    again = engine(tmp_path, space)
    assert again.open_trials() == {}
    assert again.ask() == first


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    opened = engine(tmp_path, small())
    search(opened, 1)
    (tmp_path / FOLDER / STATE).unlink()
    (tmp_path / FOLDER / STATE).mkdir()
    with pytest.raises(WorkError, match="keras_tuner: Is a directory"):
        opened.ask()
    assert not list((tmp_path / FOLDER).glob("**/*.partial"))


def test_keras_tuner_itself_opens_what_was_stored(tmp_path: Path) -> None:
    opened = engine(tmp_path, small(), "random")
    found = search(opened, 5)
    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("val_accuracy", "max"), hyperparameters=hyperparameters(small())
    )
    oracle._set_project_dir(str(tmp_path), FOLDER)
    oracle.reload()
    assert oracle.get_best_trials()[0].score == max(map(quality, found))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "oracle.json").write_text("{"),
        lambda folder: (folder / "oracle.json").write_text("{}"),
        lambda folder: next(folder.glob("trial_*/trial.json")).write_text("[]"),
        lambda folder: next(folder.glob("trial_*/trial.json")).unlink(),
        lambda folder: (folder / "oracle.json").unlink(),
    ],
    ids=["half a file", "nothing in it", "another trial", "no trial", "no state"],
)
def test_a_damaged_storage_is_named(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    search(engine(tmp_path, small(), "random"), 3)
    damage(tmp_path / FOLDER)
    with pytest.raises(InputError, match=r"keras_tuner: KerasTuner's storage is damaged or of another version"):
        engine(tmp_path, small(), "random")


def edit(file: Path, **more: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | more))


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("trial_0001/trial.json", {"status": "DONE"}),
        ("trial_0001/trial.json", {"score": None}),
        ("trial_0001/trial.json", {"score": 1e300}),
        ("trial_0001/trial.json", {"metrics": {"metrics": {"val_accuracy": {"direction": "max", "observations": []}}}}),
        ("oracle.json", {"start_order": ["0000", "0002"], "end_order": ["0000", "0002"]}),
        ("oracle.json", {"start_order": ["0000", "0001", "0002", "0002"]}),
        ("oracle.json", {"end_order": ["0007"]}),
        ("oracle.json", {"seed_state": "many"}),
        ("oracle.json", {"run_times": {"0000": None}}),
        ("oracle.json", {"current_bracket": 3}),
        ("oracle.json", {"brackets": [{"bracket_num": 2, "rounds": [[]]}]}),
        ("oracle.json", {"brackets": [{"bracket_num": 0, "rounds": [[{"past_id": None, "id": "0007"}]]}]}),
    ],
    ids=str,
)
def test_a_storage_that_does_not_fit_together_is_refused_before_anything_is_proposed(
    tmp_path: Path, file: str, more: dict[str, object]
) -> None:
    search(engine(tmp_path, small(), "hyperband"), 3)
    edit(tmp_path / FOLDER / file, **more)
    with pytest.raises(InputError, match=r"keras_tuner: KerasTuner's storage is damaged or of another version"):
        engine(tmp_path, small(), "hyperband")


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "bayesian", "grid"])
def test_what_the_study_says_itself_is_not_taken_from_the_storage(tmp_path: Path, algorithm: str) -> None:
    search(engine(tmp_path / "whole", small(), algorithm), 3)
    shutil.copytree(tmp_path / "whole", tmp_path / "damaged")
    nothing = {"space": [], "values": {}}
    wrong = {"seed": "x", "max_epochs": 10**9, "factor": 0, "hyperband_iterations": None, "beta": [], "alpha": None}
    edit(tmp_path / "damaged" / FOLDER / STATE, hyperparameters=nothing, display=None, **wrong)
    for file in (tmp_path / "damaged" / FOLDER).glob("trial_*/trial.json"):
        edit(file, hyperparameters=json.loads(file.read_text())["hyperparameters"] | {"space": []})
    whole, damaged = (search(engine(tmp_path / name, small(), algorithm), 3) for name in ("whole", "damaged"))
    assert damaged == whole


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "bayesian"])
def test_a_storage_that_was_lost_is_made_anew_from_what_the_record_has(tmp_path: Path, algorithm: str) -> None:
    space = preset("classic", 32, 32, 3)
    found = search(engine(tmp_path / "old", space, algorithm), 6)
    made = engine(tmp_path / "new", space, algorithm, tried=tuple(p.candidate.hash for p in found))
    for proposal in found[1:]:  # trial 0 never came into the record
        assert not made.knows(proposal.number)
        made.learn(proposal.number, proposal.values, "complete", (0.25, quality(proposal)))
    again = engine(tmp_path / "new", space, algorithm, tried=tuple(p.candidate.hash for p in found))
    for opened in (made, again):
        assert [opened.knows(number) for number in range(7)] == [True] * 6 + [False]
    (proposed,) = search(again, 1)
    assert proposed.number == 6
    assert proposed.candidate.hash not in {proposal.candidate.hash for proposal in found}
