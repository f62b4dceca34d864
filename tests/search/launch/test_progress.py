"""What a person sees while a search runs, where there is no terminal; the live view is tested in e2e."""

import io

import pytest
from rich.console import Console

from convsearch.search.launch.progress import ProgressView
from convsearch.search.loop.budget import Budget
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal, State
from convsearch.search.values.words import BLOCKS, duration, sparkline
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume


def test_a_sparkline_rises_from_the_lowest_block_to_the_highest() -> None:
    assert sparkline([0.1, 0.5, 0.9]) == "▁▅█"
    assert sparkline([float(i) for i in range(8)]) == BLOCKS


def test_a_sparkline_shows_the_last_values_that_fit() -> None:
    assert sparkline([9.0, 0.0, 1.0], width=2) == "▁█"
    assert len(sparkline([0.1 * i for i in range(100)], width=40)) == 40


def test_a_sparkline_of_equal_values_is_flat_and_of_none_is_empty() -> None:
    assert sparkline([0.5, 0.5]) == "▁▁"
    assert sparkline([0.5]) == "▁"
    assert sparkline([]) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (45.4, "45 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599, "59 min 59 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def candidate(filters: int) -> Candidate:
    return Candidate(architecture=Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=filters),), classes=2))


def ended(number: int, state: State, value: float | None, error: str | None = None) -> Trial:
    trial = Trial.begin(Proposal(number, {}, candidate(4 + number)))
    return trial.model_copy(
        update={"state": state, "value": value, "error": error, "epochs": 3, "seconds": 75.0},
    )


def test_without_a_terminal_each_trial_is_a_plain_line_and_a_better_one_says_so(tmp_path) -> None:
    said = io.StringIO()
    record = Record(tmp_path)
    view = ProgressView(Console(file=said, width=80), record, Budget(None, None), epochs=3)
    with view.shown():
        for trial in (
            ended(0, "complete", 0.5),
            ended(1, "pruned", 0.3),
            ended(2, "failed", None, error="the loss became NaN in epoch 1"),
            ended(3, "complete", 0.75),
        ):
            view.began(trial)
            record.add(trial)
            view.ended(trial)
            view.tick()
    assert said.getvalue().splitlines() == [
        "trial 0: complete, validation 50.0% after 3 epochs in 1 min 15 s, 4c3-gap-2 (best so far)",
        "trial 1: pruned, validation 30.0% after 3 epochs in 1 min 15 s, 5c3-gap-2",
        "trial 2: failed, validation - after 3 epochs in 1 min 15 s, 6c3-gap-2: the loss became NaN in epoch 1",
        "trial 3: complete, validation 75.0% after 3 epochs in 1 min 15 s, 7c3-gap-2 (best so far)",
    ]
    assert "\x1b" not in said.getvalue()
