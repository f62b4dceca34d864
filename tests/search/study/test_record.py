"""The record: what stands there is never lost, and a kill costs at most the line being written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from terminal import environment

from convsearch.search.study.record import FILE, Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.job import Outcome, Seconds
from convsearch.search.values.proposal import Proposal, State
from convsearch.spaces.architecture import Architecture, Candidate, Layer, Recipe
from convsearch.spaces.arithmetic import Volume


def begun(number: int) -> Trial:
    candidate = Candidate(
        architecture=Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4 + number),), classes=2),
        recipe=Recipe(learning_rate=0.01),
    )
    return Trial.begin(Proposal(number, {"layer1.filters": 4 + number}, candidate))


def ended(number: int, state: State, value: float | None) -> Trial:
    return begun(number).model_copy(update={"state": state, "value": value})


def test_what_was_added_is_read_again_as_it_was(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.add(begun(0))
    record.add(ended(1, "complete", 0.5))
    assert Record(tmp_path).trials == record.trials
    assert Record(tmp_path).trials[0].candidate == begun(0).candidate


def test_a_folder_without_a_record_has_no_trials(tmp_path: Path) -> None:
    assert Record(tmp_path).trials == {}
    assert Record(tmp_path).best() == []
    assert not (tmp_path / FILE).exists()


def test_the_last_line_of_a_trial_counts(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.add(begun(0))
    record.add(ended(0, "complete", 0.7))
    assert len((tmp_path / FILE).read_text().splitlines()) == 2
    assert Record(tmp_path).trials == {0: record.trials[0]}
    assert Record(tmp_path).trials[0].state == "complete"


INTERRUPTED = """
import random, signal, sys, time
from pathlib import Path
from test_record import begun, ended
from convsearch.search.study.record import Record

folder, source, interrupts = Path(sys.argv[1]), random.Random(0), 0
signal.signal(signal.SIGALRM, signal.default_int_handler)
record = Record(folder)
for number in range(300):
    began = time.perf_counter()
    record.add(begun(number))
    took = time.perf_counter() - began
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + 2 * took * source.random())
        record.add(ended(number, "complete", 0.5))
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupts += 1
        assert record.trials == Record(folder).trials, number
        assert record.counts() == Record(folder).counts(), number
        assert record.best(300) == Record(folder).best(300), number
print(interrupts)
"""


def test_who_is_interrupted_while_a_trials_end_is_written_has_what_stands_on_the_disk(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env=environment(PYTHONPATH=os.pathsep.join(map(str, Path(__file__).parents[:3]))),
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert int(said.stdout) > 20  # of 300


@pytest.mark.parametrize("left", [1, 20, 200])
def test_a_line_that_was_cut_off_is_passed_over_and_the_next_one_takes_its_place(tmp_path: Path, left: int) -> None:
    record = Record(tmp_path)
    record.add(ended(0, "complete", 0.6))
    whole = (tmp_path / FILE).stat().st_size
    record.add(ended(1, "complete", 0.7))
    with (tmp_path / FILE).open("rb+") as file:
        file.truncate(whole + left)
    cut = Record(tmp_path)
    assert list(cut.trials) == [0]
    cut.add(ended(2, "pruned", 0.2))
    assert list(Record(tmp_path).trials) == [0, 2]
    assert (tmp_path / FILE).read_bytes().endswith(b"\n")


def test_a_record_of_nothing_but_a_cut_off_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"number": 0, "sta')
    record = Record(tmp_path)
    assert record.trials == {}
    record.add(ended(0, "complete", 0.6))
    assert list(Record(tmp_path).trials) == [0]


def test_trials_are_counted_by_state_and_interrupted_ones_are_not_finished(tmp_path: Path) -> None:
    record = Record(tmp_path)
    states: list[State] = ["complete", "complete", "pruned", "failed", "interrupted", "running"]
    for number, state in enumerate(states):
        record.add(ended(number, state, None))
    assert record.counts() == {"complete": 2, "pruned": 1, "failed": 1, "interrupted": 1, "running": 1}
    assert record.finished() == 4


def test_the_best_are_complete_trials_and_of_equals_the_first(tmp_path: Path) -> None:
    record = Record(tmp_path)
    for trial in (
        ended(0, "complete", 0.5),
        ended(1, "pruned", 0.9),
        ended(2, "complete", 0.7),
        ended(3, "complete", 0.7),
        ended(4, "failed", None),
    ):
        record.add(trial)
    assert [trial.number for trial in record.best(9)] == [2, 3, 0]


def test_where_no_trial_is_complete_the_best_of_those_cut_off_is_the_best(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.add(ended(0, "pruned", 0.3))
    record.add(ended(1, "interrupted", 0.4))
    record.add(ended(2, "failed", None))
    assert [trial.number for trial in record.best(9)] == [1, 0]


def test_a_trials_end_holds_the_outcome_and_the_wait_for_a_worker() -> None:
    outcome = Outcome(
        number=0,
        ended="complete",
        value=0.8,
        best_epoch=2,
        epochs=2,
        gap=0.1,
        loss=(2.0, 1.0),
        accuracy=(0.5, 0.9),
        val_loss=(2.1, 1.5),
        val_accuracy=(0.4, 0.8),
        seconds=Seconds(waiting=0.5, building=1.0, tracing=2.0, training=3.0, evaluating=4.0),
    )
    trial = begun(0).end("complete", outcome, waited=6.0)
    assert (trial.state, trial.value, trial.epochs, trial.best_epoch, trial.gap) == ("complete", 0.8, 2, 2, 0.1)
    assert trial.val_accuracy == (0.4, 0.8)
    assert trial.clock.waiting == 6.5
    assert trial.seconds == trial.clock.total == 16.5


def test_a_failed_trial_has_its_reason_and_no_value() -> None:
    outcome = Outcome(
        number=0, ended="failed", value=0.8, best_epoch=1, val_accuracy=(0.8,), error="the loss became NaN in epoch 2"
    )
    trial = begun(0).end("failed", outcome, waited=0.0)
    assert (trial.state, trial.value, trial.error) == ("failed", None, "the loss became NaN in epoch 2")
    assert trial.val_accuracy == (0.8,)


@pytest.mark.parametrize("how", ["ended", "lost its worker"])
def test_a_trial_that_fails_has_no_measures_neither_its_own_nor_those_of_a_rung_before(how: str) -> None:
    measures = {"value": 0.75, "best_epoch": 1, "gap": 0.125, "latency_ms": 2.0, "varied": {"flip": 0.5}}
    at_a_rung = begun(0).end("pruned", Outcome(number=0, ended="complete", epochs=2, **measures), waited=0.0)
    for trial in (begun(0), at_a_rung.resume()):
        if how == "ended":
            failed = trial.end("failed", Outcome(number=0, ended="failed", error="NaN", **measures), waited=0.0)
        else:
            failed = trial.lose("failed", "killed twice", just_now=True)
        assert {name: getattr(failed, name) for name in measures} == dict.fromkeys(measures) | {"varied": {}}
        assert failed.spells[-1].value is None
