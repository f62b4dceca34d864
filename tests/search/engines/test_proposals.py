"""From suggestions to proposals: fitted, within the limits, new."""

import random

import pytest

from convsearch.search.engines.proposals import ATTEMPTS, Proposals
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.memory.limit import Memory
from convsearch.spaces.space import SearchSpace, Values

TIGHT = """
layers: [3]
each_layer:
  filters: [4, 64, 128, 256]
  kernel_size: [3, 5]
recipe:
  learning_rate: {min: 0.001, max: 0.1, log: true}
limits:
  max_parameters: 1000
"""


@pytest.fixture
def tiny() -> SearchSpace:
    return SearchSpace(load("tiny"), Volume(8, 8, 1), 10)


def drawn(space: SearchSpace, seed: int) -> Values:
    return space.draw(random.Random(seed))


def test_a_wish_that_is_allowed_is_granted_as_it_is(tiny: SearchSpace) -> None:
    wish = next(values for seed in range(100) if tiny.excess(tiny.candidate(values := drawn(tiny, seed))) is None)
    found = Proposals(tiny, seed=0).next(0, lambda: wish)
    assert found == (wish, tiny.candidate(wish))


def test_a_wish_that_was_tried_before_is_varied_a_little(tiny: SearchSpace) -> None:
    proposals = Proposals(tiny, seed=0)
    wish = next(values for seed in range(100) if tiny.excess(tiny.candidate(values := drawn(tiny, seed))) is None)
    calls = []

    def again() -> Values:
        calls.append(1)
        return wish

    first = proposals.next(0, again)
    second = proposals.next(1, again)
    assert first is not None
    assert second is not None
    assert len(calls) == 1 + ATTEMPTS
    assert second[1].hash != first[1].hash
    assert sum(second[0].get(name) != value for name, value in wish.items()) <= 3


def test_however_tight_the_limits_are_no_proposal_exceeds_them() -> None:
    space = SearchSpace(parse(TIGHT, "tight.yaml"), Volume(8, 8, 1), 10)
    source = random.Random(1)
    proposals = Proposals(space, seed=0)
    found = [proposals.next(number, lambda: space.draw(source)) for number in range(20)]
    assert all(item is not None and item[1].architecture.parameters <= 1000 for item in found)


def test_what_does_not_fit_into_the_memory_here_is_not_proposed_though_the_study_allows_it(tiny: SearchSpace) -> None:
    needed = Memory(limit=1).needed
    allowed = [v for v in (drawn(tiny, seed) for seed in range(50)) if tiny.excess(tiny.candidate(v)) is None]
    most = sorted(needed(tiny.candidate(values)) for values in allowed)[len(allowed) // 2]
    large = [values for values in allowed if needed(tiny.candidate(values)) > most]
    proposals = Proposals(tiny, seed=0)
    proposals.fits = Memory(limit=most).holds
    proposals.enqueue(large[0])
    source = random.Random(0)
    found = [proposals.next(number, lambda: source.choice(large)) for number in range(10)]
    assert all(item is not None and needed(item[1]) <= most for item in found)
    assert not proposals.can_run(tiny.candidate(large[0]), None)
    assert proposals.can_run(tiny.candidate(next(v for v in allowed if v not in large)), None)


def test_what_is_enqueued_comes_first_and_only_once(tiny: SearchSpace) -> None:
    proposals = Proposals(tiny, seed=0)
    kept = [v for v in (drawn(tiny, seed) for seed in range(50)) if tiny.excess(tiny.candidate(v)) is None][:3]
    proposals.enqueue(kept[0])
    proposals.enqueue(kept[0])
    proposals.enqueue(kept[1])
    found = [proposals.next(number, lambda: kept[2]) for number in range(3)]
    assert [item and item[0] for item in found] == kept


def test_a_space_of_one_candidate_is_exhausted_after_it() -> None:
    space = SearchSpace(parse("layers: [1]", "one.yaml"), Volume(8, 8, 1), 10)
    proposals = Proposals(space, seed=0)
    assert not proposals.exhausted()
    assert proposals.next(0, dict) is not None
    assert proposals.exhausted()
    assert proposals.next(1, dict) is None


def test_a_search_for_an_untried_candidate_ends_with_the_time_and_goes_on_where_it_stopped() -> None:
    text = "layers: [1, 2]\neach_layer: {filters: [4, 8, 64]}\nlimits: {max_parameters: 300}"
    space = SearchSpace(parse(text, "tight.yaml"), Volume(8, 8, 1), 10)
    expected = list(space.enumerate())
    proposals = Proposals(space, seed=0, exhaustive=True)
    proposals.over = lambda: True
    found: list[Values] = []
    looks = 0
    while len(found) < len(expected):
        looks += 1
        if (values := proposals.first_untried()) is not None:
            found.append(values)
            proposals.tried.add(space.candidate(values).hash)
    assert found == expected
    assert looks > len(expected)
    assert proposals.first_untried() is None
