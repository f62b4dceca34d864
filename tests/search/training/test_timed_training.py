"""Trainings that end with the time."""

import time

import numpy as np
import pytest
from jobs import MakeJob, always

from convsearch.search.system.backend import import_keras
from convsearch.spaces.architecture import Recipe

import_keras()

from convsearch.search.training.callbacks import TimedSchedule  # noqa: E402
from convsearch.search.training.trial import train  # noqa: E402


def test_a_training_by_the_clock_ends_with_the_time_and_its_rate_has_come_down(job: MakeJob) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, schedule="cosine", batch_size=64)
    seconds = max(10.0, 4 * train(job(recipe, epochs=3), always).seconds.total)  # for some epochs on any machine
    begin = time.perf_counter()
    outcome = train(job(recipe, epochs=100_000, patience=100_000, seconds=seconds), always)
    assert time.perf_counter() - begin >= seconds
    assert outcome.ended == "complete"
    assert 2 <= outcome.epochs < 100_000
    assert outcome.value is not None
    assert outcome.value > 0.2  # a tenth would be chance
    # Where the rate has come down, the last epochs hardly differ.
    assert max(outcome.val_accuracy[-2:]) - min(outcome.val_accuracy[-2:]) < 0.05


def test_a_training_that_is_through_before_its_time_ends_with_a_rate_that_has_come_down_too(job: MakeJob) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, schedule="cosine", batch_size=64)
    outcome = train(job(recipe, epochs=20, patience=20, seconds=1000.0), always)
    assert (outcome.ended, outcome.epochs) == ("complete", 20)
    steps = np.abs(np.diff(outcome.val_loss))
    assert steps[-1] < steps[:5].mean() / 10  # with a rate near 0 nothing moves any more


def test_only_every_so_many_epochs_and_the_last_are_validated_and_reported(job: MakeJob) -> None:
    epochs: list[int] = []
    outcome = train(job(epochs=7, validate_every=3), lambda report: epochs.append(report.epoch) or True)
    assert epochs == [3, 6, 7]
    assert (outcome.ended, outcome.epochs, len(outcome.val_accuracy)) == ("complete", 7, 3)
    assert outcome.best_epoch in epochs
    assert outcome.value == max(outcome.val_accuracy)


def test_the_rate_by_the_clock_is_the_recipes_schedule() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.05, schedule="warmup_cosine")
    clock = TimedSchedule(recipe, began=0.0, seconds=1.0, most_steps=100)
    assert clock.rate(0.0) == pytest.approx(0.0, abs=1e-6)
    assert clock.rate(0.05) == pytest.approx(0.05, rel=0.01)  # warmed up
    assert clock.rate(0.525) == pytest.approx(0.025, rel=0.02)  # half-way down
    assert clock.rate(1.0) == pytest.approx(0.0, abs=1e-6)
    assert TimedSchedule(Recipe(learning_rate=0.05, schedule="constant"), 0.0, 1.0, 100).rate(0.7) == pytest.approx(
        0.05
    )
