"""A training that goes on from where an earlier one of the same candidate ended, rung by rung."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import too_many_open_files
from jobs import MakeJob, always

from convsearch.search.system.backend import import_keras
from convsearch.search.values.job import PRECISIONS, Checkpoint, Precision
from convsearch.spaces.architecture import Optimizer, Recipe, Schedule

import_keras()

from convsearch.search.training.checkpoint import saved_epochs  # noqa: E402
from convsearch.search.training.trial import train  # noqa: E402


def after(epochs: int, state: str | Path, best: float | None) -> Checkpoint:
    """What a job goes on from."""
    return Checkpoint(file=str(state), epochs=epochs, best=best)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "schedule"), [("adamw", "constant"), ("nadam", "cosine"), ("sgd", "warmup_cosine")])
def test_a_training_that_goes_on_is_the_training_that_never_stopped(
    job: MakeJob, tmp_path: Path, name: Optimizer, schedule: Schedule, precision: Precision
) -> None:
    recipe = Recipe(optimizer=name, learning_rate=0.01, schedule=schedule, batch_size=64)
    given = {"recipe": recipe, "schedule_epochs": 4, "precision": precision}
    whole = train(job(**given, epochs=4, weights=str(tmp_path / "1.weights.h5")), always)
    state = str(tmp_path / "7.state.npz")
    first = train(job(**given, epochs=2, checkpoint=Checkpoint(file=str(state))), always)
    rest = train(job(**given, epochs=4, checkpoint=after(2, state, first.value)), always)
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


def test_a_state_in_which_any_bit_was_flipped_is_as_good_as_none_or_as_before(tmp_path: Path) -> None:
    state = tmp_path / "7.state.npz"
    np.savez(state, epochs=np.asarray(3), weight0=np.ones(9, np.float32))
    whole = state.read_bytes()
    found = set()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        state.write_bytes(damaged)
        found.add(saved_epochs(state))
    assert found == {None, 3}


@pytest.mark.parametrize("epochs", [[3], "3", 0.5], ids=repr)
def test_a_state_that_does_not_tell_its_epochs_is_as_good_as_none(tmp_path: Path, epochs: Any) -> None:
    np.savez(tmp_path / "7.state.npz", epochs=epochs)
    assert saved_epochs(tmp_path / "7.state.npz") is None


def test_a_state_that_the_machine_cannot_read_at_the_moment_is_not_taken_for_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "7.state.npz", epochs=3)
    with too_many_open_files(), pytest.raises(OSError, match="Too many open files"):
        saved_epochs(tmp_path / "7.state.npz")
    assert saved_epochs(tmp_path / "7.state.npz") == 3


@pytest.mark.parametrize("name", ["weight0", "optimizer3"])
@pytest.mark.parametrize(
    "damage", [None, np.zeros((1, 2, 3), np.float32), np.asarray("text")], ids=["missing", "shape", "text"]
)
def test_a_state_of_another_network_is_named_with_what_does_not_fit(
    job: MakeJob, tmp_path: Path, name: str, damage: np.ndarray[Any, Any] | None
) -> None:
    state = tmp_path / "7.state.npz"
    train(job(epochs=1, checkpoint=Checkpoint(file=str(state))), always)
    with np.load(state) as file:
        arrays = dict(file)
    del arrays[name]
    np.savez(state, **arrays | ({} if damage is None else {name: damage}))
    with pytest.raises(OSError, match=rf"7\.state\.npz: damaged: {name} is .*, but the network has float32 of shape"):
        train(job(epochs=2, checkpoint=after(1, state, 0.5)), always)


@pytest.mark.parametrize("name", ["weight", "optimizer"])
def test_a_state_of_a_larger_network_is_named_with_how_many_arrays_it_has(
    job: MakeJob, tmp_path: Path, name: str
) -> None:
    state = tmp_path / "7.state.npz"
    train(job(epochs=1, checkpoint=Checkpoint(file=str(state))), always)
    with np.load(state) as file:
        arrays = dict(file)
    count = sum(key.startswith(name) for key in arrays)
    np.savez(state, **arrays | {f"{name}{count}": np.zeros(8, np.float32)})
    says = rf"7\.state\.npz: damaged: it has {count + 1} arrays `{name}`, but the network {count}\. Move it away"
    with pytest.raises(OSError, match=says):
        train(job(epochs=2, checkpoint=after(1, state, 0.5)), always)
