"""The loop, with a real engine, real workers and a real record; only MLflow and the screen do not listen."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convsearch.search.data import Dataset, Split
from convsearch.search.engines.keras_tuner import KerasTunerEngine
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.executors.shares import shares
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.loop import HOPELESS, KEPT, Loop
from convsearch.search.study.folder import CHECKPOINT
from convsearch.search.study.objectives import DEFAULT, front
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.system.machine import this_machine
from convsearch.search.system.programs import Starter
from convsearch.search.values.job import EpochReport, Job, Length
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import parse
from convsearch.spaces.errors import WorkError
from convsearch.spaces.memory.limit import Memory
from convsearch.spaces.space import SearchSpace

MANY = 12  # epochs: more than a worker gets through before it hears that it has to stop
GOOD = """
layers: [1]
each_layer: {filters: [3, 4, 5, 6, 7, 8]}
recipe: {optimizer: adam, learning_rate: 0.01, schedule: constant, batch_size: 64}
"""
ONE_LARGE = """
layers: [1]
each_layer: {filters: [4, 4096]}
recipe: {batch_size: 64}
"""
DIVERGING = """
layers: [4]
each_layer: {filters: [32, 33], activation: leaky_relu}
head: {pooling: flatten}
recipe: {optimizer: sgd, learning_rate: 10, schedule: constant}
"""


class Listening:
    """Hears everything, and may do something about it."""

    def __init__(self, on_epoch: Callable[[Trial, EpochReport], None] = lambda trial, report: None) -> None:
        self.on_epoch = on_epoch
        self.heard: list[str] = []

    def began(self, trial: Trial) -> None:
        self.heard.append(f"{trial.number} began")

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        self.heard.append(f"{trial.number} epoch {report.epoch}")
        self.on_epoch(trial, report)

    def ended(self, trial: Trial) -> None:
        self.heard.append(f"{trial.number} {trial.state}")

    def tick(self) -> None:
        pass


@pytest.fixture(scope="module")
def executor(starter: Starter, parts: Split, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    made = LocalExecutor(tmp_path_factory.mktemp("logs"), starter=starter)
    yield made
    made.close()


MakeStudy = Callable[..., tuple[Loop, Listening]]


@pytest.fixture
def make(executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path) -> MakeStudy:
    """Makes a study of a space that says nothing of its epochs: two."""

    def made(
        text: str,
        budget: Budget,
        epochs: int = 2,
        listening: Listening | None = None,
        objectives: Sequence[str] = DEFAULT,
    ) -> tuple[Loop, Listening]:
        space = SearchSpace(parse(text, "mine.yaml"), digits.input, 10)
        weights = tmp_path / "weights"
        weights.mkdir()
        heard = listening or Listening()

        def job(proposal: Proposal, trial: Trial) -> Job:
            return Job(
                number=proposal.number,
                candidate=proposal.candidate,
                data=str(digits.folder),
                split=str(digits.folder.parent / "split.npz"),
                seed=proposal.number,
                weights=str(weights / f"{proposal.number}.weights.h5"),
                length=Length(epochs=epochs, patience=epochs),
            )

        engine = OptunaEngine("random", "none", epochs, 0, Proposals(space, 0), len(objectives) - 1)
        study = Loop(engine, executor, Record(tmp_path), [heard], budget, job, weights, objectives=objectives)
        return study, heard

    return made


def test_everything_that_happens_to_a_trial_is_heard_in_its_order_and_recorded(make: MakeStudy) -> None:
    study, listening = make(GOOD, Budget(trials=2, seconds=None))
    study.run()
    assert listening.heard == [
        "0 began",
        "0 epoch 1",
        "0 epoch 2",
        "0 complete",
        "1 began",
        "1 epoch 1",
        "1 epoch 2",
        "1 complete",
    ]
    assert study.record.counts()["complete"] == 2
    for trial in study.record.trials.values():
        assert trial.worker == "worker-0"
        assert trial.seconds == pytest.approx(trial.clock.total)
    assert study.running == {}
    assert study.engine.open_trials() == {}


def test_a_trial_that_a_worker_has_returned_is_interrupted_with_the_reason_and_the_search_goes_on(
    make: MakeStudy, starter: Starter, tmp_path: Path
) -> None:
    study, listening = make(ONE_LARGE, Budget(trials=None, seconds=None), epochs=1)
    space = SearchSpace(parse(ONE_LARGE, "mine.yaml"), Volume(8, 8, 1), 10)
    candidates = [space.candidate({"layer1.filters": filters}) for filters in (4, 4096)]
    small, large = map(Memory(limit=1).needed, candidates)
    share = replace(shares(this_machine(), 1)[0], memory=(small + large) // 2)
    with closing(LocalExecutor(tmp_path / "logs", [share], starter=starter)) as study.executor:
        study.run()
    found = {trial.values["layer1.filters"]: trial for trial in study.record.trials.values()}
    assert found[4].state == "complete"
    assert found[4096].state == "interrupted"
    assert "GB of memory for training in batches of 64 exceed the" in str(found[4096].error)
    assert found[4096].epochs == 0
    assert f"{found[4096].number} interrupted" in listening.heard


def test_a_search_of_an_exhausted_space_ends_and_keeps_the_weights_of_the_best_few(make: MakeStudy) -> None:
    study, _ = make(GOOD, Budget(trials=None, seconds=None), epochs=1)
    study.run()
    assert len(study.record.trials) == 6 > KEPT
    kept = {int(path.name.partition(".")[0]) for path in study.weights.iterdir()}
    assert kept == {trial.number for trial in study.record.best(KEPT)}


def test_what_it_takes_to_train_the_best_again_is_foretold_after_each_trial(make: MakeStudy) -> None:
    budget = Budget(trials=3, seconds=3600)
    study, _ = make(GOOD, budget, epochs=1)
    study.seconds_to_repeat = lambda: 10.0 * study.record.counts()["complete"]
    study.run()
    assert budget.repeat_seconds == 30.0
    assert budget.repeats_left - budget.search_left == pytest.approx(30.0, abs=1)


def test_files_that_are_not_ours_among_the_weights_are_left_alone(make: MakeStudy) -> None:
    study, _ = make(GOOD, Budget(2, None), epochs=1)
    for name in (".DS_Store", "notes.txt", "7.weights.h5.bak"):
        (study.weights / name).write_bytes(b"")
    study.run()
    assert {".DS_Store", "notes.txt", "7.weights.h5.bak"} <= {path.name for path in study.weights.iterdir()}


def test_the_weights_of_what_was_trained_again_are_kept_whatever_comes(make: MakeStudy) -> None:
    study, _ = make(GOOD, Budget(trials=4, seconds=None), epochs=1)
    study.keep, study.always_kept = 1, {0, 3}
    study.run()
    kept = {int(path.name.partition(".")[0]) for path in study.weights.iterdir()}
    assert kept == {study.record.best()[0].number} | {0, 3}


def test_with_several_objectives_the_weights_of_the_whole_front_are_kept(make: MakeStudy) -> None:
    objectives = ("val_accuracy", "parameters")
    study, _ = make(GOOD, Budget(trials=4, seconds=None), epochs=1, objectives=objectives)
    study.keep = 1
    study.run()
    kept = {int(path.name.partition(".")[0]) for path in study.weights.iterdir()}
    of_the_front = {trial.number for trial in front(study.record.trials.values(), objectives)}
    assert kept == {study.record.best()[0].number} | of_the_front
    smallest = min(study.record.trials.values(), key=lambda trial: trial.parameters)
    assert smallest.number in kept


def test_the_weights_of_an_interrupted_trial_that_cannot_go_on_are_kept_only_while_it_is_among_the_best(
    make: MakeStudy,
) -> None:
    budget = Budget(trials=1, seconds=None)

    def stop_after_the_first_epoch(trial: Trial, report: EpochReport) -> None:
        if (trial.number, report.epoch) == (0, 1):
            budget.stopped = True

    study, _ = make(GOOD, budget, epochs=MANY, listening=Listening(stop_after_the_first_epoch))
    study.run()
    assert (study.record.trials[0].state, (study.weights / "0.weights.h5").exists()) == ("interrupted", True)
    study.interrupted, study.keep, budget.stopped = False, 1, False
    study.run()
    assert [path.name for path in study.weights.iterdir()] == ["1.weights.h5"]


@pytest.mark.parametrize("ahead", [None, 1, 0], ids=["no state", "a state that is ahead of the record", "damaged"])
def test_an_interrupted_trial_whose_state_is_not_that_of_the_record_begins_again_under_its_number(
    make: MakeStudy, tmp_path: Path, ahead: int | None
) -> None:
    budget = Budget(trials=1, seconds=None)

    def stop_after_the_first_epoch(trial: Trial, report: EpochReport) -> None:
        if report.epoch == 1:
            budget.stopped = True

    study, _ = make(GOOD, budget, epochs=MANY, listening=Listening(stop_after_the_first_epoch))
    space = SearchSpace(parse(GOOD, "mine.yaml"), Volume(8, 8, 1), 10)
    study.engine = KerasTunerEngine(tmp_path, "random", MANY, 0, Proposals(space, 0))
    study.run()
    interrupted = study.record.trials[0]
    assert interrupted.state == "interrupted"
    if ahead is not None:  # the kill came when the worker had written, and had not told yet
        np.savez(study.weights / f"0{CHECKPOINT}", epochs=interrupted.epochs + ahead, weight0=np.full(9, 0.7))
    if ahead == 0:
        state = study.weights / f"0{CHECKPOINT}"
        state.write_bytes(state.read_bytes().replace(np.full(9, 0.7).tobytes(), np.full(9, 0.8).tobytes()))

    study.engine = KerasTunerEngine(tmp_path, "random", MANY, 0, Proposals(space, 0))
    study.engine.requeue(0, study.record.trials[0].values)
    study.listeners, study.interrupted, study.dry, budget.stopped = [], False, False, False
    study.run()
    (trial,) = study.record.trials.values()
    assert (trial.state, len(trial.val_accuracy)) == ("complete", trial.epochs)
    assert not (study.weights / f"0{CHECKPOINT}").exists()


def test_a_search_in_which_everything_fails_ends_with_the_reason(make: MakeStudy) -> None:
    study, listening = make(DIVERGING, Budget(trials=50, seconds=None))
    with pytest.raises(WorkError, match=r"the first 5 trials all failed, .*: the loss became NaN in epoch 1"):
        study.run()
    assert study.record.counts()["failed"] == HOPELESS
    assert list(study.weights.iterdir()) == []
    assert listening.heard[-1] == "4 failed"


def kill_the_worker(executor: LocalExecutor) -> None:
    (worker,) = executor.processes()
    with suppress(ProcessLookupError):  # it was killed before: a report of its was still on the way
        os.kill(worker, signal.SIGKILL)


def test_a_trial_whose_worker_died_is_run_again_and_the_search_goes_on(
    make: MakeStudy, executor: LocalExecutor
) -> None:
    kills = iter([True])

    def kill_it_once(trial: Trial, report: EpochReport) -> None:
        if (trial.number, report.epoch) == (0, 3) and next(kills, False):
            kill_the_worker(executor)

    study, listening = make(GOOD, Budget(trials=2, seconds=None), epochs=8, listening=Listening(kill_it_once))
    study.run()
    again, other = study.record.trials[0], study.record.trials[1]
    assert (again.state, again.epochs, len(again.val_accuracy)) == ("complete", 8, 8)
    assert again.lost == ("the worker was killed by signal 9 (SIGKILL)",)
    assert (other.state, other.lost) == ("complete", ())
    assert listening.heard.count("0 epoch 3") == 2
    assert listening.heard.count("0 began") == 1
    assert [line for line in listening.heard if line.endswith("complete")] == ["0 complete", "1 complete"]


def test_a_candidate_that_killed_its_worker_twice_is_failed_with_the_reason(
    make: MakeStudy, executor: LocalExecutor
) -> None:
    def kill_it(trial: Trial, report: EpochReport) -> None:
        if trial.number == 0:
            kill_the_worker(executor)

    study, _ = make(GOOD, Budget(trials=2, seconds=None), epochs=4, listening=Listening(kill_it))
    study.run()
    lost, other = study.record.trials[0], study.record.trials[1]
    assert (lost.state, lost.value) == ("failed", None)
    killed = "the worker was killed by signal 9 (SIGKILL)"
    assert lost.error == f"its worker was lost twice: {killed}; then {killed}"
    assert other.state == "complete"


def test_a_trial_whose_worker_died_when_the_search_was_over_is_interrupted_and_would_be_run_again(
    make: MakeStudy, executor: LocalExecutor
) -> None:
    budget = Budget(trials=2, seconds=None)

    def stop_and_kill(trial: Trial, report: EpochReport) -> None:
        if not budget.stopped:
            budget.stopped = True
            kill_the_worker(executor)

    study, _ = make(GOOD, budget, epochs=10_000, listening=Listening(stop_and_kill))
    study.run()
    (trial,) = study.record.trials.values()
    assert (trial.state, len(trial.lost)) == ("interrupted", 1)


def test_two_workers_run_two_trials_at_a_time_and_each_number_ends_once(
    make: MakeStudy, starter: Starter, tmp_path_factory: pytest.TempPathFactory
) -> None:
    study, listening = make(GOOD, Budget(trials=6, seconds=None), epochs=3)
    study.executor = LocalExecutor(tmp_path_factory.mktemp("logs"), shares(this_machine(), 2), starter=starter)
    try:
        study.run()
    finally:
        study.executor.close()
    assert sorted(study.record.trials) == list(range(6))
    assert study.record.counts()["complete"] == 6
    assert {trial.worker for trial in study.record.trials.values()} == {"worker-0", "worker-1"}
    assert sorted(line for line in listening.heard if line.endswith("complete")) == [f"{n} complete" for n in range(6)]
    assert listening.heard[:2] == ["0 began", "1 began"]
    first_end = next(i for i, line in enumerate(listening.heard) if line.endswith("complete"))
    assert {"0 began", "1 began"} <= set(listening.heard[:first_end])


def test_when_the_searchs_time_is_up_the_running_trial_is_interrupted_and_keeps_what_it_reached(
    make: MakeStudy,
) -> None:
    budget = Budget(trials=None, seconds=3600)

    def the_time_flies(trial: Trial, report: EpochReport) -> None:
        if report.epoch == 2:
            budget.began -= 3600  # no trial has ended well, so all the time was the search's

    study, _ = make(GOOD, budget, epochs=10_000, listening=Listening(the_time_flies))
    study.run()
    (trial,) = study.record.trials.values()
    assert trial.state == "interrupted"
    assert trial.epochs >= 2
    assert trial.value == max(trial.val_accuracy)
    assert (study.weights / "0.weights.h5").exists()
    assert [best.number for best in study.record.best()] == [0]
