"""Ctrl-C and SIGTERM around the winner's training: whether the study is finished, or has more to do when it goes on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from searches import prepared

from convsearch.search.executors.local import LocalExecutor
from convsearch.search.loop.budget import Budget, Interruption
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.system.programs import Starter
from convsearch.search.values.proposal import Proposal
from convsearch.search.winner.long_training import LONGER, train_best
from convsearch.search.winner.result import export_winner

EPOCHS = 3
SPACE = """
layers: 1
each_layer: {filters: 4}
recipe: {batch_size: 64, learning_rate: 0.01, schedule: cosine}
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def executor(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    found = LocalExecutor(tmp_path_factory.mktemp("logs"), starter=starter)
    yield found
    found.close()


@pytest.fixture
def study(tmp_path: Path) -> Prepared:
    """A study whose only trial has ended, and whose winner is still to be trained."""
    (tmp_path / "space.yaml").write_text(SPACE)
    found = prepared(Home(tmp_path / "home"), space=str(tmp_path / "space.yaml"), epochs=EPOCHS)
    values = next(iter(found.space.enumerate()))
    begun = Trial.begin(Proposal(0, values, found.space.candidate(values)))
    known = {"state": "complete", "value": 0.1, "epochs": EPOCHS, "best_epoch": EPOCHS}
    found.record.add(begun.model_copy(update=known))
    found.folder.weights(0).touch()
    return found


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_winner_is_tested_and_exported_cuts_nothing(
    study: Prepared, executor: LocalExecutor, starter: Starter, number: signal.Signals
) -> None:
    budget = Budget(1, None)
    with Interruption(budget):
        winner = train_best(study, executor, budget, lambda text: None)
        os.kill(os.getpid(), number)
        export_winner(study, winner, budget, starter)
    result = study.folder.result()
    assert result is not None
    assert result.final is not None
    assert (budget.stopped, result.cut, result.final.epochs) == (True, False, LONGER * EPOCHS)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_winner_is_trained_cuts_its_training(
    study: Prepared, executor: LocalExecutor, number: signal.Signals
) -> None:
    budget = Budget(1, None)

    def at_the_first_epoch(text: str) -> None:
        if not budget.stopped:
            os.kill(os.getpid(), number)

    with Interruption(budget):
        winner = train_best(study, executor, budget, at_the_first_epoch)
    assert winner.training is not None
    assert (winner.cut, winner.training.ended) == (True, "stopped")
    assert winner.why_kept == "the winner's long training was stopped"


def test_a_signal_before_the_winner_is_trained_cuts_its_training(study: Prepared, executor: LocalExecutor) -> None:
    winner = train_best(study, executor, Budget(1, None, stopped=True), lambda text: None)
    assert (winner.cut, winner.training) == (True, None)
    out_of_time = train_best(study, executor, Budget(1, 0.0), lambda text: None)
    assert (out_of_time.cut, out_of_time.training) == (False, None)
