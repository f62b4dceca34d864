"""A training that goes on from where an earlier one of the same candidate ended, rung by rung."""

from pathlib import Path

import pytest
from jobs import MakeJob, always

from convsearch.search.system.backend import import_keras
from convsearch.search.values.job import Checkpoint
from convsearch.spaces.architecture import Optimizer, Recipe, Schedule

import_keras()

from convsearch.search.training.checkpoint import saved_epochs  # noqa: E402
from convsearch.search.training.trial import train  # noqa: E402


def after(epochs: int, state: str | Path, best: float | None) -> Checkpoint:
    """What a job goes on from."""
    return Checkpoint(file=str(state), epochs=epochs, best=best)


@pytest.mark.parametrize("schedule", ["constant", "warmup_cosine"])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_training_that_goes_on_is_the_training_that_never_stopped(
    job: MakeJob, tmp_path: Path, name: Optimizer, schedule: Schedule
) -> None:
    recipe = Recipe(optimizer=name, learning_rate=0.01, schedule=schedule, batch_size=64)
    whole = train(job(recipe, epochs=4, weights=str(tmp_path / "1.weights.h5")), always)
    state = str(tmp_path / "7.state.npz")
    first = train(job(recipe, epochs=2, schedule_epochs=4, checkpoint=Checkpoint(file=str(state))), always)
    rest = train(
        job(recipe, epochs=4, schedule_epochs=4, checkpoint=after(2, state, first.value)),
        always,
    )
    assert (first.ended, first.epochs, rest.ended, rest.epochs) == ("complete", 2, "complete", 2)
    assert first.loss + rest.loss == pytest.approx(whole.loss, rel=1e-3)
    assert first.val_loss + rest.val_loss == pytest.approx(whole.val_loss, rel=1e-3)


def test_the_weights_are_replaced_only_where_going_on_got_further(job: MakeJob, tmp_path: Path) -> None:
    state, weights = str(tmp_path / "7.state.npz"), tmp_path / "7.weights.h5"
    first = train(job(epochs=1, checkpoint=Checkpoint(file=str(state))), always)
    before = weights.read_bytes()
    assert saved_epochs(Path(state)) == 1
    no_better = train(job(epochs=2, checkpoint=after(1, state, 1.0)), always)
    assert saved_epochs(Path(state)) == 2
    assert (no_better.ended, no_better.value, no_better.best_epoch, no_better.epochs) == ("complete", None, None, 1)
    assert weights.read_bytes() == before
    better = train(job(epochs=3, checkpoint=after(2, state, first.value)), always)
    assert better.value is not None
    assert better.best_epoch == 3
    assert better.val_accuracy == (better.value,)
    assert weights.read_bytes() != before


def test_a_training_that_goes_on_counts_its_epochs_from_the_candidates_first(job: MakeJob, tmp_path: Path) -> None:
    state = str(tmp_path / "7.state.npz")
    train(job(epochs=2, checkpoint=Checkpoint(file=str(state))), always)
    epochs: list[int] = []
    train(
        job(epochs=4, checkpoint=after(2, state, 0.0)),
        lambda report: epochs.append(report.epoch) or True,
    )
    assert epochs == [3, 4]


def test_patience_begins_anew_where_a_training_goes_on(job: MakeJob, tmp_path: Path) -> None:
    state = str(tmp_path / "7.state.npz")
    train(job(epochs=2, checkpoint=Checkpoint(file=str(state))), always)
    rest = train(job(epochs=9, checkpoint=after(2, state, 1.0), patience=3), always)
    assert (rest.ended, rest.epochs) == ("complete", 3)


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "no archive", "gone"])
def test_a_state_that_cannot_be_read_is_named(job: MakeJob, tmp_path: Path, content: bytes | None) -> None:
    state = tmp_path / "7.state.npz"
    if content is not None:
        state.write_bytes(content)
    assert saved_epochs(state) is None
    with pytest.raises(OSError, match=r"7\.state\.npz"):
        train(job(epochs=2, checkpoint=after(1, state, 0.5)), always)
