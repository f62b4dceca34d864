"""Noise: the best few trained again with other seeds, and what follows from it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from convsearch.search.data import Dataset, Split
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.loop.budget import GRACE, Budget
from convsearch.search.study.objectives import Preference
from convsearch.search.study.record import Record
from convsearch.search.study.repeats import FILE, Repeat, Repeats, Spread, Standing, first_two, standings, within_noise
from convsearch.search.study.trial import Trial
from convsearch.search.system.programs import Starter
from convsearch.search.values.job import Job, Length
from convsearch.search.values.proposal import Proposal
from convsearch.search.winner.repeats import repeat_trials
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from convsearch.spaces.arithmetic import Volume


def trial(number: int, value: float | None, state: str = "complete") -> Trial:
    architecture = Architecture(
        input=Volume(8, 8, 1), layers=(Layer(filters=4 + number),), head=Head(pooling="flatten"), classes=10
    )
    candidate = Candidate(architecture=architecture, recipe=Recipe(learning_rate=0.01, batch_size=64))
    begun = Trial.begin(Proposal(number, {}, candidate))
    return begun.model_copy(update={"state": state, "value": value, "epochs": 2})


def record(folder: Path, *values: float) -> Record:
    folder.mkdir(exist_ok=True)
    made = Record(folder)
    for number, value in enumerate(values):
        made.add(trial(number, value))
    return made


def repeat(number: int, value: float) -> Repeat:
    return Repeat(number=number, seed=5, value=value, epochs=2, seconds=1.0)


# ---------------------------------------------------------------------- who is ahead


def test_the_best_on_average_is_first_and_a_lucky_one_is_not(tmp_path: Path) -> None:
    made, repeats = record(tmp_path, 0.70, 0.80, 0.78), Repeats(tmp_path)
    assert [one.trial.number for one in standings(made, repeats, Preference())] == [
        1
    ]  # nothing but the trials' own values
    for again in (repeat(1, 0.70), repeat(2, 0.79)):
        repeats.add(again)
    found = standings(made, repeats, Preference())
    assert [one.trial.number for one in found] == [2, 1]
    assert found[0].mean == pytest.approx(0.785)
    assert found[1].spread == pytest.approx(0.0707, abs=1e-4)


def test_what_came_after_the_repeats_is_named_where_it_alone_reached_more(tmp_path: Path) -> None:
    made, repeats = record(tmp_path, 0.70, 0.80, 0.78), Repeats(tmp_path)
    for again in (repeat(1, 0.70), repeat(2, 0.79)):
        repeats.add(again)
    made.add(trial(3, 0.79))  # no more than trial 1 alone reached, when it was lucky
    assert [one.trial.number for one in standings(made, repeats, Preference())] == [2, 1]
    made.add(trial(4, 0.85))
    assert [one.trial.number for one in standings(made, repeats, Preference())] == [4, 2, 1]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.80, 0.80), (0.70, 0.70), False),
        ((0.80, 0.78), (0.79, 0.77), True),
        ((0.80, 0.79), (0.70, 0.71), False),
        ((0.80,), (0.70,), None),  # one training each tells nothing of how far the next one is
        ((0.80,), (0.79,), True),  # three images of 300, however it was trained
        ((0.80, 0.79), (0.95,), True),  # the other one is ahead, and that is no lead of the first
        ((0.90, 0.86), (0.78, 0.74), True),  # two trainings each say little of how far the next one is: t = 4.3
        ((0.90, 0.89), (0.78, 0.77), False),
        ((0.80, 0.79), (0.795,), True),
        ((1.0, 1.0), (0.997, 0.997), True),  # one image of 300, and trainings that agree by chance
    ],
)
def test_a_difference_is_within_the_noise_where_two_trainings_of_the_same_differ_as_much(
    first: tuple[float, ...], second: tuple[float, ...], expected: bool | None
) -> None:
    assert within_noise(Standing(trial(0, 0.8), first), Standing(trial(1, 0.7), second), 300) is expected


@pytest.mark.parametrize(
    ("second", "spread", "expected"),
    [
        (0.70, Spread(squares=0.0007, freedom=7, trials=7, others=0), False),  # of 1 %
        (0.70, Spread(squares=0.07, freedom=7, trials=7, others=0), True),  # of 10 %
        (0.70, Spread(squares=0.0001, freedom=1, trials=1, others=0), True),  # two trainings say little: t = 12.7
        (0.79, Spread(squares=0.0, freedom=7, trials=7, others=0), True),  # the images alone explain it
    ],
)
def test_where_neither_was_trained_again_the_spread_of_others_tells(
    second: float, spread: Spread, expected: bool
) -> None:
    assert within_noise(Standing(trial(0, 0.8), (0.8,)), Standing(trial(1, second), (second,)), 300, spread) is expected


def test_the_second_is_whatever_comes_nearest_to_the_one_that_is_named(tmp_path: Path) -> None:
    assert first_two(record(tmp_path / "none"), Repeats(tmp_path), Preference()) is None
    assert first_two(record(tmp_path / "one", 0.5), Repeats(tmp_path), Preference()) is None
    made, repeats = record(tmp_path, 0.70, 0.80, 0.78, 0.77), Repeats(tmp_path)

    def numbers() -> list[int]:
        found = first_two(made, repeats, Preference())
        assert found is not None
        return [one.trial.number for one in found]

    assert numbers() == [1, 2]
    repeats.add(repeat(1, 0.70))
    assert numbers() == [1, 2]  # trained once, it reached more than 1 on average, and less than 1 when it was lucky
    repeats.add(repeat(2, 0.79))
    assert numbers() == [2, 3]  # not trained again, and nearer than 1
    repeats.add(repeat(3, 0.60))
    assert numbers() == [2, 1]


# ---------------------------------------------------------------------- on disk


def test_repeats_are_there_when_the_study_is_opened_again(tmp_path: Path) -> None:
    repeats = Repeats(tmp_path)
    repeats.add(repeat(3, 0.5))
    repeats.add(repeat(4, 0.6))
    assert Repeats(tmp_path).all == repeats.all
    with (tmp_path / FILE).open("a") as file:
        file.write('{"number": 5, "se')  # cut off by a kill
    assert Repeats(tmp_path).all == repeats.all


# ---------------------------------------------------------------------- training them


@pytest.fixture(scope="module")
def executor(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    made = LocalExecutor(tmp_path_factory.mktemp("logs"), starter=starter)
    yield made
    made.close()


def job_of(trial: Trial, seed: int, epochs: int, digits: Dataset, place: Path) -> Job:
    return Job(
        number=trial.number,
        candidate=trial.candidate,
        data=str(digits.folder),
        split=str(digits.folder.parent / "split.npz"),
        seed=seed,
        weights=str(place / f"{trial.number}.repeat.weights.h5"),
        length=Length(epochs=epochs, patience=epochs),
    )


def run(
    count: int,
    made: Record,
    repeats: Repeats,
    executor: LocalExecutor,
    digits: Dataset,
    parts: Split,
    place: Path,
    budget: Budget,
    affordable: bool = True,
) -> list[int]:
    """Repeat the best; return the seeds."""
    seeds = []

    def job(trial: Trial, seed: int) -> Job:
        seeds.append(seed)
        return job_of(trial, seed, 2, digits, place)

    repeat_trials(
        made.best(count), repeats, job, lambda trial: affordable, executor, budget, lambda trial, report=None: None
    )
    return seeds


def test_the_best_so_many_are_trained_again_once_each(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    made, repeats = record(tmp_path, 0.1, 0.3, 0.2), Repeats(tmp_path)
    budget = Budget(None, None)
    run(2, made, repeats, executor, digits, parts, tmp_path, budget)
    assert [again.number for again in repeats.all] == [1, 2]
    assert all(again.epochs == 2 and again.value > 0 for again in repeats.all)
    assert not list(tmp_path.glob("*.h5"))  # what they weigh is not kept
    assert run(2, made, repeats, executor, digits, parts, tmp_path, budget) == []  # they have been
    run(3, made, repeats, executor, digits, parts, tmp_path, budget)
    assert [again.number for again in repeats.all] == [1, 2, 0]


def test_without_time_or_after_a_stop_nothing_is_trained_again(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    made, repeats = record(tmp_path, 0.1, 0.3), Repeats(tmp_path)
    stopped = Budget(None, None, stopped=True)
    assert run(2, made, repeats, executor, digits, parts, tmp_path, stopped) == []
    assert run(2, made, repeats, executor, digits, parts, tmp_path, Budget(None, None), affordable=False) == []
    assert repeats.all == []


def test_a_training_that_takes_much_longer_than_was_foretold_is_ended(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, repeats = record(tmp_path, 0.1, 0.3), Repeats(tmp_path)
    budget, begin = Budget(None, 60.0, has_result=True), time.monotonic()
    budget.began -= budget.repeats_left + GRACE - 1  # their time was up before: a second of the grace is left

    def job(trial: Trial, seed: int) -> Job:
        return job_of(trial, seed, 5000, digits, tmp_path)

    assert not repeat_trials(made.best(2), repeats, job, lambda trial: True, executor, budget, lambda *heard: None)
    assert time.monotonic() - begin > 0.9
    assert caplog.messages == ["trial 1: training with another seed did not finish in time"]
    assert repeats.all == []
    assert not list(tmp_path.glob("*.h5"))


def test_whether_the_time_sufficed_is_returned(executor: LocalExecutor, tmp_path: Path) -> None:
    made, repeats, budget = record(tmp_path, 0.1, 0.3), Repeats(tmp_path), Budget(None, None)

    def job(trial: Trial, seed: int) -> Job:
        raise AssertionError("nothing is to be trained")

    def in_time(count: int) -> bool:
        return repeat_trials(made.best(count), repeats, job, lambda trial: False, executor, budget, lambda *heard: None)

    assert not in_time(2)
    assert in_time(1)  # there is nothing to compare


def test_where_only_one_trial_is_complete_there_is_nothing_to_compare(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    made, repeats = record(tmp_path, 0.1), Repeats(tmp_path)
    made.add(trial(1, 0.5, state="pruned"))
    assert run(3, made, repeats, executor, digits, parts, tmp_path, Budget(None, None)) == []
