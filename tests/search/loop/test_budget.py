"""How long a search may go on."""

import math
import os
import signal
import time

import pytest

from convsearch.search.loop.budget import EXPORT_SECONDS, REPEATS_SHARE, SEARCH_SHARE, Budget, Interruption
from convsearch.search.study.trial import Trial
from convsearch.search.values.job import Seconds
from convsearch.search.winner.long_training import LONGER, MOST, Plan, plan_for, validate_every
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume


def ago(seconds: float) -> float:
    return time.monotonic() - seconds


def finished_trial(*, epochs: int, training: float, evaluating: float = 0.0, tracing: float = 0.0) -> Trial:
    candidate = Candidate(architecture=Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4),), classes=2))
    return Trial(
        number=0,
        state="complete",
        value=0.5,
        epochs=epochs,
        started_at="2026-01-01T00:00:00.000+00:00",
        candidate=candidate,
        values={},
        hash=candidate.hash,
        parameters=candidate.architecture.parameters,
        macs=candidate.architecture.macs,
        clock=Seconds(training=training, evaluating=evaluating, tracing=tracing),
    )


def test_so_many_trials_may_begin_and_no_more() -> None:
    budget = Budget(trials=3, seconds=None)
    assert [budget.allows(begun) for begun in range(5)] == [True, True, True, False, False]


def test_without_a_number_of_trials_any_number_may_begin() -> None:
    assert Budget(trials=None, seconds=None).allows(10**6)


def test_no_trial_begins_when_the_searchs_share_of_the_minutes_is_spent() -> None:
    assert Budget(trials=None, seconds=600, began=ago(600 * SEARCH_SHARE - 30), has_result=True).allows(0)
    spent = Budget(trials=None, seconds=600, began=ago(600 * SEARCH_SHARE + 10), has_result=True)
    assert spent.over
    assert not spent.allows(0)


def test_the_search_ends_while_there_is_time_to_train_the_best_again() -> None:
    budget = Budget(trials=None, seconds=600, has_result=True, repeat_seconds=50)
    assert budget.repeats_left - budget.search_left == pytest.approx(50, abs=1)
    budget.began = ago(600 * SEARCH_SHARE - 40)
    assert budget.over
    assert budget.repeats_left > 30


def test_slow_trials_do_not_give_all_of_the_searchs_time_to_their_repeats() -> None:
    budget = Budget(trials=None, seconds=600, has_result=True, repeat_seconds=1000)
    assert budget.search_left > (SEARCH_SHARE - REPEATS_SHARE) * 500
    assert Budget(trials=5, seconds=None, repeat_seconds=1000).search_left == math.inf


def test_the_winner_has_what_is_left_when_the_export_is_provided_for() -> None:
    budget = Budget(trials=None, seconds=600, began=ago(400))
    assert budget.winner_seconds == pytest.approx(200 - EXPORT_SECONDS, abs=1)
    assert Budget(trials=5, seconds=None).winner_seconds is None


def test_without_minutes_the_winner_trains_longer_than_a_trial_by_a_fixed_factor() -> None:
    assert plan_for(finished_trial(epochs=3, training=9.0), 12, None) == Plan(LONGER * 12)


def test_with_minutes_the_winner_trains_by_the_clock_until_its_last_validation_has_to_begin() -> None:
    trial = finished_trial(epochs=4, training=6.0, evaluating=2.0, tracing=10.0)  # 1.5 s an epoch and 0.5 s
    plan = plan_for(trial, 12, 100.0)
    assert plan == Plan(int((99.5 - 10.0) / 2.0), 99.5)
    assert str(plan) == "for 1 min 40 s, about 44 epochs"


def test_the_winner_never_trains_for_more_than_a_fixed_multiple_of_a_trial() -> None:
    assert plan_for(finished_trial(epochs=4, training=0.004), 12, 3600.0) == Plan(MOST * 12, 3600.0, enough=True)


def test_where_no_time_is_left_the_winner_is_not_trained_again() -> None:
    trial = finished_trial(epochs=4, training=8.0)
    for seconds in (1.0, 0.0, -5.0):
        assert plan_for(trial, 12, seconds).epochs < trial.epochs


def test_a_long_training_is_validated_some_twenty_times_and_a_short_one_after_each_epoch() -> None:
    assert [validate_every(epochs) for epochs in (0, 3, 24, 68, 240)] == [1, 1, 1, 3, 12]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_first_signal_ends_the_search_tidily_and_a_second_one_at_once(number: signal.Signals) -> None:
    budget = Budget(trials=None, seconds=None)
    with Interruption(budget):
        os.kill(os.getpid(), number)
        assert budget.stopped
        assert not budget.allows(0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_after_the_search_signals_mean_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption(Budget(trials=None, seconds=None)):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
