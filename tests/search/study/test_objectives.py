"""Several objectives: what may be asked for, which trials no other one beats, and which of them is named."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convsearch.search.study.objectives import (
    OBJECTIVES,
    Preference,
    checked_limit,
    checked_objectives,
    costs,
    front,
    measured,
)
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.errors import InputError

TWO = ("val_accuracy", "parameters")
THREE = ("val_accuracy", "parameters", "latency_ms")


def trial(number: int, value: float | None, parameters: int, latency: float | None = None, **more: object) -> Trial:
    candidate = Candidate(architecture=Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4),), classes=10))
    known = {"state": "complete", "value": value, "parameters": parameters, "latency_ms": latency}
    return Trial.begin(Proposal(number, {}, candidate)).model_copy(update=known | more)


def record(folder: Path, *trials: Trial) -> Record:
    made = Record(folder)
    for one in trials:
        made.add(one)
    return made


# ---------------------------------------------------------------------- what may be asked for


def test_accuracy_comes_first_and_alone_where_nothing_is_said() -> None:
    assert checked_objectives(()) == ("val_accuracy",)
    assert checked_objectives(("macs", "val_accuracy")) == ("val_accuracy", "macs")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("acuracy",), "unknown objective: did you mean 'val_accuracy'"),
        (("val_accuracy", "macs", "macs"), "--objective macs: given twice"),
        (("parameters",), "add --objective val_accuracy"),
    ],
)
def test_objectives_that_make_no_sense_are_named(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as raised:
        checked_objectives(names)
    assert said in str(raised.value)


def test_a_limit_may_be_written_as_people_write_numbers() -> None:
    assert checked_limit("parameters=50_000", TWO) == ("parameters", 50_000)
    assert checked_limit("latency_ms=2.5", THREE) == ("latency_ms", 2.5)


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("parameters=5000", ("val_accuracy",), "this study has one objective"),
        ("macs=5000", TWO, "'macs' is not a cost of this study: Known: parameters"),
        ("val_accuracy=0.5", TWO, "'val_accuracy' is not a cost of this study"),
        ("parameters", TWO, "write MEASURE=NUMBER"),
        ("parameters=few", TWO, "write MEASURE=NUMBER"),
        ("parameters=-1", TWO, "write MEASURE=NUMBER"),
    ],
)
def test_limits_that_make_no_sense_are_named(text: str, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as raised:
        checked_limit(text, names)
    assert said in str(raised.value)


# ---------------------------------------------------------------------- the front

TRIALS = st.lists(
    st.builds(
        lambda value, parameters, latency: (value / 8, 10 * parameters, latency / 2),
        st.integers(0, 8),
        st.integers(1, 6),
        st.integers(1, 6),
    ),
    max_size=12,
).map(lambda rows: [trial(number, *row) for number, row in enumerate(rows)])


def beats(one: Trial, other: Trial) -> bool:
    """Whether one is at least as good in everything, and better in something: the definition, written out."""
    pairs = [(one.value, other.value), (-one.parameters, -other.parameters), (-one.latency_ms, -other.latency_ms)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@given(TRIALS)
def test_a_trial_is_on_the_front_exactly_where_no_other_one_beats_it(trials: list[Trial]) -> None:
    expected = {one.number for one in trials if not any(beats(other, one) for other in trials)}
    found = front(trials, THREE)
    assert {one.number for one in found} == expected
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)
    assert front(reversed(trials), THREE) == found


@given(TRIALS)
@settings(max_examples=40)
def test_whoever_is_named_is_on_the_front_and_the_most_accurate_under_a_limit(trials: list[Trial]) -> None:
    found = front(trials, THREE)
    with TemporaryDirectory() as name:
        made = record(Path(name), *trials)
    ranked = Preference(THREE).ranked(made)
    assert {one.number for one in ranked} == {one.number for one in found}
    limit = 30.0
    within = [one.value for one in found if one.parameters <= limit]
    under = Preference(THREE, ("parameters", limit))
    if within:
        assert [one.value for one in under.ranked(made)] == sorted(within, reverse=True)
    elif found:
        with pytest.raises(InputError, match="no trial is within that limit"):
            under.ranked(made)


def test_only_complete_trials_whose_measures_are_all_known_are_on_the_front() -> None:
    trials = [
        trial(0, 0.5, 100, 1.0),
        trial(1, 0.9, 50, None),
        trial(2, 0.9, 50, 0.5, state="pruned"),
        trial(3, None, 10, 0.1, state="failed"),
    ]
    assert [one.number for one in front(trials, THREE)] == [0]
    assert [one.number for one in front(trials, TWO)] == [1]


def test_what_a_trial_costs_does_not_depend_on_how_it_ended() -> None:
    assert costs(trial(0, None, 100, state="failed"), TWO) == (100.0,)
    assert costs(trial(0, 0.5, 100), ("val_accuracy",)) == ()
    assert measured(trial(0, 0.5, 100), THREE) is None
    one = trial(0, 0.5, 100, 2.0)
    assert OBJECTIVES["size_kb"].of(one) == 4 * one.candidate.architecture.parameters / 1000


# ---------------------------------------------------------------------- who is named


def test_with_one_objective_the_most_accurate_is_named(tmp_path: Path) -> None:
    made = record(tmp_path, trial(0, 0.5, 10), trial(1, 0.9, 10_000), trial(2, 0.7, 100))
    assert [one.number for one in Preference().ranked(made)] == [1, 2, 0]


def test_the_knee_is_where_more_parameters_begin_to_bring_little(tmp_path: Path) -> None:
    # the first 900 bring 40 points, the next 9,000 one, the next 90,000 one again
    trials = (trial(0, 0.50, 100), trial(1, 0.90, 1_000), trial(2, 0.91, 10_000), trial(3, 0.92, 100_000))
    ranked = Preference(TWO).ranked(record(tmp_path, *trials))
    assert ranked[0].number == 1
    assert {one.number for one in ranked} == {0, 1, 2, 3}


def test_an_accuracy_that_repeats_did_not_confirm_moves_the_knee(tmp_path: Path) -> None:
    trials = [trial(0, 0.50, 100), trial(1, 0.85, 20_000), trial(2, 0.84, 10_000), trial(3, 0.92, 100_000)]
    preference = Preference(TWO)
    ranked = preference.ranked(record(tmp_path, *trials))
    assert ranked[0].number == 2
    score = preference.scores(ranked)
    assert score(trials[2], 0.60) < score(trials[1], 0.85)


def test_under_a_limit_the_most_accurate_is_named(tmp_path: Path) -> None:
    trials = (trial(0, 0.50, 100), trial(1, 0.90, 1_000), trial(2, 0.91, 10_000), trial(3, 0.92, 100_000))
    preference = Preference(TWO, ("parameters", 50_000.0))
    assert [one.number for one in preference.ranked(record(tmp_path, *trials))] == [2, 1, 0]
    assert str(preference) == "the most accurate with parameters up to 50,000"


def test_a_limit_holds_too_where_every_trial_was_cut_off(tmp_path: Path) -> None:
    made = record(tmp_path, trial(0, 0.9, 1_000, state="interrupted"), trial(1, 0.5, 100, state="interrupted"))
    assert [one.number for one in Preference(TWO, ("parameters", 500.0)).ranked(made)] == [1]


def test_what_was_never_measured_keeps_no_limit(tmp_path: Path) -> None:
    made = record(tmp_path, trial(0, 0.9, 1_000, state="interrupted"), trial(1, 0.5, 100, state="interrupted"))
    assert made.trials[0].latency_ms is None
    with pytest.raises(InputError, match=r"--under latency_ms=2: it was not measured for any trial"):
        Preference(THREE, ("latency_ms", 2.0)).ranked(made)


def test_a_limit_that_no_trial_keeps_is_said_with_the_least_there_is(tmp_path: Path) -> None:
    made = record(tmp_path, trial(4, 0.50, 100), trial(5, 0.90, 1_000))
    with pytest.raises(InputError, match=r"no trial is within that limit; the lowest is 100, by .* accuracy 50\.0%"):
        Preference(TWO, ("parameters", 99.0)).ranked(made)
    assert Preference(TWO, ("parameters", 99.0)).ranked(Record(tmp_path / "empty")) == []
