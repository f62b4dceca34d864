"""What loops that share a study tell each other, and whose weights are exported where the best trial ran elsewhere."""

from pathlib import Path
from typing import cast

import pytest
import searches

from convsearch.search.data import Dataset, split
from convsearch.search.executors.protocol import Executor
from convsearch.search.launch.wiring import engine_for
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home
from convsearch.search.study.shared import fingerprint, shared_of, study_of
from convsearch.search.study.trial import Trial
from convsearch.search.values.job import Outcome
from convsearch.search.winner.long_training import train_best
from convsearch.spaces.errors import WorkError


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """A new study of the digits."""
    return searches.prepared(Home(tmp_path / "home"), space="tiny")


def test_a_loop_that_joins_has_the_study_as_it_is_but_a_database_and_a_name_of_its_own(prepared: Prepared) -> None:
    study = prepared.study.model_copy(update={"storage": "postgresql://me@localhost/x", "loop": "first"})
    shared = shared_of(study, "layers: [1]", prepared.split)
    assert not {"storage", "loop", "versions"} & shared.study.keys()
    one, two = study_of(shared, "postgresql://me@host/x"), study_of(shared, "postgresql://me@host/x")
    assert one.storage == "postgresql://me@host/x"
    assert one.loop != two.loop
    own = {"storage": None, "loop": None, "versions": {}}
    assert one.model_copy(update=own) == prepared.study.model_copy(update=own)


def test_a_split_is_known_by_which_images_are_in_which_part(digits: Dataset) -> None:
    assert fingerprint(split(digits, 0)) == fingerprint(split(digits, 0))
    assert fingerprint(split(digits, 0)) != fingerprint(split(digits, 1))


def two_trials(prepared: Prepared) -> None:
    """Have the record hold a trial that ran elsewhere, and one that ran here and is not as good."""
    engine = engine_for(prepared, Budget(None, None))
    for value, loop in ((0.9, "elsewhere"), (0.8, None)):
        proposal = engine.ask()
        assert proposal is not None
        outcome = Outcome(number=proposal.number, ended="complete", value=value, best_epoch=1, epochs=1)
        trial = Trial.begin(proposal).end("complete", outcome, 0.0)
        prepared.record.add(trial.model_copy(update={"loop": loop}))


def test_where_the_best_ran_elsewhere_and_is_not_trained_again_the_best_that_ran_here_is_exported(
    prepared: Prepared, caplog: pytest.LogCaptureFixture
) -> None:
    two_trials(prepared)
    (weights := prepared.folder.weights(1)).touch()
    stopped = Budget(None, None, stopped=True)
    winner = train_best(prepared, cast(Executor, None), stopped, lambda text: None)
    assert (winner.trial.number, winner.weights, winner.val_accuracy) == (1, weights, 0.8)
    assert "the weights of trial 0 are in elsewhere, where it ran: exporting trial 1" in caplog.text


def test_where_no_weights_are_here_it_is_said_where_they_are(prepared: Prepared) -> None:
    two_trials(prepared)
    with pytest.raises(WorkError, match="trial 0 is the best, but it ran in elsewhere, where its weights are"):
        train_best(prepared, cast(Executor, None), Budget(None, None, stopped=True), lambda text: None)


def test_where_the_best_has_no_weights_because_repeats_put_it_first_the_best_that_has_is_exported(
    prepared: Prepared, caplog: pytest.LogCaptureFixture
) -> None:
    two_trials(prepared)
    prepared.record.add(prepared.record.trials[0].model_copy(update={"loop": None}))
    stopped = Budget(None, None, stopped=True)
    with pytest.raises(WorkError, match="trial 0 is the best, but its weights were not kept, and there are none here"):
        train_best(prepared, cast(Executor, None), stopped, lambda text: None)
    prepared.folder.weights(1).touch()
    assert train_best(prepared, cast(Executor, None), stopped, lambda text: None).trial.number == 1
    assert "the weights of trial 0 were not kept: exporting trial 1" in caplog.text


def test_the_weights_that_are_kept_are_those_of_trials_that_ran_here(prepared: Prepared) -> None:
    two_trials(prepared)
    assert [trial.number for trial in prepared.record.best(2)] == [0, 1]
    assert [trial.number for trial in prepared.record.best_here(2)] == [1]
