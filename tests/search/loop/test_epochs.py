"""What fits into the minutes, and what a trial costs."""

import re
from pathlib import Path

import pytest

from convsearch.search.engines.proposals import Proposals
from convsearch.search.loop.cost import SPREAD, Costs
from convsearch.search.loop.epochs import FEWEST, LONGEST, MOST, USUAL, USUAL_STEPS, epochs_for, usual_epochs
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.job import Seconds
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.errors import InputError
from convsearch.spaces.known.portfolio import guesses
from convsearch.spaces.space import SearchSpace, Values


def space(*input: int) -> SearchSpace:
    return SearchSpace(load("classic"), Volume(*input), 10)


def small_and_large(here: SearchSpace) -> list[Candidate]:
    found = sorted((here.candidate(values) for values in guesses(here, 4000)), key=lambda one: one.architecture.macs)
    return [found[0], found[-1]]


def cheap_and_dear(here: SearchSpace) -> tuple[Values, Values]:
    found = sorted(guesses(here, 4000), key=lambda values: here.candidate(values).architecture.macs)
    return found[0], found[-1]


def finished(number: int, candidate: Candidate, seconds: float, epochs: int = 4) -> Trial:
    """A trial whose epochs took so many seconds each, and two to trace."""
    clock = Seconds(building=0.5, tracing=1.5, training=seconds * epochs * 0.9, evaluating=seconds * epochs * 0.1)
    begun = Trial.begin(Proposal(number, {}, candidate))
    return begun.model_copy(update={"state": "complete", "value": 0.5, "epochs": epochs, "clock": clock})


# ---------------------------------------------------------------------- costs


def test_more_images_larger_networks_and_more_steps_cost_more() -> None:
    small, large = small_and_large(space(32, 32, 3))
    assert Costs(4000).epoch(large) > 1.5 * Costs(4000).epoch(small)
    assert Costs(8000).epoch(small) == pytest.approx(2 * Costs(4000).epoch(small), rel=0.02)
    often = small.model_copy(update={"recipe": small.recipe.model_copy(update={"batch_size": 8})})
    assert Costs(4000).epoch(often) > Costs(4000).epoch(small)


def test_measured_trials_correct_what_is_foretold_for_others(tmp_path: Path) -> None:
    small, large = small_and_large(space(32, 32, 3))
    plain, record = Costs(4000), Record(tmp_path)
    record.add(finished(0, small, seconds=3 * plain.epoch(small)))  # a machine of a third of the speed
    learnt = Costs.of(record, 4000)
    assert learnt.epoch(small) == pytest.approx(3 * plain.epoch(small))
    assert learnt.epoch(large) == pytest.approx(3 * plain.epoch(large))
    assert learnt.trial(large, 10) == pytest.approx(2.0 + SPREAD * 10 * learnt.epoch(large))


def test_one_trial_that_was_slow_by_chance_is_not_believed(tmp_path: Path) -> None:
    small, _ = small_and_large(space(32, 32, 3))
    record = Record(tmp_path)
    for number, factor in enumerate((1.0, 20.0, 1.0)):
        record.add(finished(number, small, seconds=factor * Costs(4000).epoch(small)))
    assert Costs.of(record, 4000).epoch(small) == pytest.approx(Costs(4000).epoch(small))


def test_a_trial_that_never_came_to_an_epoch_teaches_nothing(tmp_path: Path) -> None:
    small, _ = small_and_large(space(32, 32, 3))
    record = Record(tmp_path)
    record.add(finished(0, small, seconds=0.0, epochs=0))
    assert Costs.of(record, 4000).epoch(small) == Costs(4000).epoch(small)


# ---------------------------------------------------------------------- epochs


def test_more_minutes_give_longer_trials_within_bounds() -> None:
    here = space(32, 32, 3)
    found = [epochs_for(here, 4000, minutes) for minutes in (2, 10, 30, 600)]
    assert found == sorted(found)
    assert found[0] >= FEWEST
    assert found[1] < found[2]
    assert found[-1] == MOST


def test_more_images_give_shorter_trials() -> None:
    here = space(32, 32, 3)
    assert epochs_for(here, 40_000, 10) < epochs_for(here, 4000, 10)


def test_without_minutes_a_few_images_get_the_epochs_that_make_enough_steps() -> None:
    here = space(32, 32, 3)
    assert usual_epochs(here, 50_000) == usual_epochs(here, 4000) == USUAL
    assert usual_epochs(here, 160) == USUAL_STEPS / 5  # of 32 images
    assert usual_epochs(here, 10) == LONGEST


def test_with_minutes_enough_a_few_images_get_more_epochs_than_many() -> None:
    here = space(32, 32, 3)
    assert MOST < epochs_for(here, 160, 600) <= LONGEST
    assert epochs_for(here, 4000, 600) == MOST


def test_minutes_in_which_nothing_can_be_done_are_refused_with_what_could() -> None:
    with pytest.raises(InputError, match=r"--minutes 0\.1: too short\. .*: use at least --minutes [\d.]+\. "):
        epochs_for(space(32, 32, 3), 4000, 0.1)


def test_epochs_for_which_there_is_no_time_are_refused_with_what_could_be_done() -> None:
    here = space(32, 32, 3)
    assert epochs_for(here, 4000, 10, requested=5) == 5
    with pytest.raises(InputError, match=r"5,000 epochs of a first network about \d+: .*, or fewer --epochs\. "):
        epochs_for(here, 4000, 10, requested=5000)


@pytest.mark.parametrize(
    ("size", "requested", "new", "minutes", "said"),
    [
        ((128, 128), None, True, 0.5, r"use at least --minutes [\d.]+\. "),
        ((128, 129), None, True, 0.5, r"use at least --minutes [\d.]+, or --image-size 64x64\. "),
        ((3000, 4000), 5, True, 0.5, r"use at least --minutes [\d.]+, or fewer --epochs, or --image-size 64x64\. "),
        ((3000, 4000), 5, False, 0.5, r"use at least --minutes [\d.]+\. "),  # a study keeps both
        ((3000, 4000), 5, True, 0.1, r"use at least --minutes [\d.]+\. "),  # starting alone takes longer
    ],
)
def test_where_images_are_large_smaller_ones_are_named_too_if_they_would_help(
    size: tuple[int, int], requested: int | None, new: bool, minutes: float, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        epochs_for(space(*size, 3), 4000, minutes, requested, new=new)


def test_with_the_images_that_the_message_names_there_is_time() -> None:
    with pytest.raises(InputError, match="or --image-size 64x64"):
        epochs_for(space(3000, 4000, 3), 60, 2)
    assert epochs_for(space(64, 64, 3), 60, 2) >= FEWEST


def test_the_minutes_that_the_message_names_are_enough() -> None:
    here = space(32, 32, 3)
    with pytest.raises(InputError) as caught:
        epochs_for(here, 4000, 0.1)
    named = float(re.findall(r"at least --minutes (\d+(?:\.\d+)?)", str(caught.value))[0])
    assert epochs_for(here, 4000, named) == FEWEST


# ---------------------------------------------------------------------- what there is time for


def test_a_wish_for_which_there_is_no_time_ends_the_search() -> None:
    here = space(32, 32, 3)
    proposals = Proposals(here, seed=0)
    dear = next(guesses(here, 4000))
    proposals.affordable = lambda candidate, epochs: False
    assert proposals.next(0, lambda: dear) is None
    proposals.affordable = lambda candidate, epochs: True
    found = proposals.next(0, lambda: dear)  # it was not counted as tried
    assert found is not None
    assert found[0] == dear


def test_of_several_wishes_one_for_which_there_is_time_is_taken() -> None:
    here = space(32, 32, 3)
    small, large = cheap_and_dear(here)
    proposals = Proposals(here, seed=0)
    limit = here.candidate(small).architecture.macs
    proposals.affordable = lambda candidate, epochs: candidate.architecture.macs <= limit
    wishes = iter([large, small])
    found = proposals.next(0, lambda: next(wishes))
    assert found is not None
    assert found[0] == small


def test_what_was_enqueued_and_is_too_dear_is_passed_over() -> None:
    here = space(32, 32, 3)
    small, large = cheap_and_dear(here)
    proposals = Proposals(here, seed=0)
    for values in (large, small):
        proposals.enqueue(values)
    limit = here.candidate(small).architecture.macs
    proposals.affordable = lambda candidate, epochs: candidate.architecture.macs <= limit
    found = proposals.next(0, dict)
    assert found is not None
    assert found[0] == small
    assert not proposals.suggested
