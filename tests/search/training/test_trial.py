"""One candidate trained: real Keras, real digits, small networks."""

import gc
import time
from pathlib import Path
from typing import Any

import jobs
import numpy as np
import pytest
from jobs import FAST, SMALL, MakeJob, always

from convsearch.search.data import Dataset, Split
from convsearch.search.system.backend import import_keras
from convsearch.search.values.job import EpochReport, Job, Outcome, Probes
from convsearch.spaces.architecture import Augmentation, Layer, Optimizer, Recipe, Schedule

keras = import_keras()

from convsearch.search.training.model import batch_norm_momentum  # noqa: E402
from convsearch.search.training.trial import class_weights, train  # noqa: E402
from convsearch.spaces.building.model import build  # noqa: E402

# Four layers without normalisation, at a learning rate ten thousand times too high.
HOPELESS = tuple(Layer(filters=32) for _ in range(4))
DIVERGING = Recipe(optimizer="sgd", learning_rate=10, schedule="constant")


@pytest.fixture(scope="module")
def followed(digits: Dataset, parts: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Outcome, list[Any]]:
    """A training of four epochs, with all that it reported; read only."""
    weights = tmp_path_factory.mktemp("followed") / "7.weights.h5"
    recipe = Recipe(optimizer="sgd", learning_rate=0.08, schedule="constant", batch_size=64)
    wanted = jobs.job(digits, weights, 7, recipe=recipe, epochs=4)
    reports: list[EpochReport] = []

    def report(epoch: EpochReport) -> bool:
        reports.append(epoch)
        return True

    return wanted, train(wanted, report), reports


# ---------------------------------------------------------------------- the outcome


def test_there_are_heartbeats_whenever_images_are_evaluated(job: MakeJob) -> None:
    signs: list[int] = []  # by the epoch that was reported last
    reported = [0]

    def report(epoch: EpochReport) -> bool:
        reported.append(epoch.epoch)
        return True

    def sign() -> bool:
        signs.append(reported[-1])
        return False

    wanted = job(epochs=3, validate_every=2, probes=Probes(augmentations={"horizontal_flip": 0.0, "translation": 0.1}))
    outcome = train(wanted, report, sign)
    assert set(outcome.varied) == {"horizontal_flip", "translation"}
    steps, passes = 18, 2  # batches of an epoch, and of the validation images
    assert signs.count(0) == 2 * steps + passes
    assert signs.count(2) == steps + passes  # the last epoch, which it was not its turn to be validated
    assert signs.count(3) == 2 * passes


def test_a_training_to_its_end_is_complete_and_its_curves_have_a_value_an_epoch(
    followed: tuple[Job, Outcome, list[EpochReport]],
) -> None:
    _, outcome, _ = followed
    assert (outcome.number, outcome.ended, outcome.error, outcome.epochs) == (7, "complete", None, 4)
    for curve in (outcome.loss, outcome.accuracy, outcome.val_loss, outcome.val_accuracy):
        assert len(curve) == 4
    assert outcome.val_accuracy[-1] > 0.5  # it has learnt something


def test_each_epoch_is_reported_with_the_measures_that_the_curves_have(
    followed: tuple[Job, Outcome, list[EpochReport]],
) -> None:
    _, outcome, reports = followed
    assert [(report.number, report.epoch) for report in reports] == [(7, epoch) for epoch in range(1, 5)]
    assert tuple(report.loss for report in reports) == outcome.loss
    assert tuple(report.accuracy for report in reports) == outcome.accuracy
    assert tuple(report.val_loss for report in reports) == outcome.val_loss
    assert tuple(report.val_accuracy for report in reports) == outcome.val_accuracy


def test_the_value_is_the_best_epochs_and_the_gap_is_how_far_training_was_above_it(
    followed: tuple[Job, Outcome, list[EpochReport]],
) -> None:
    _, outcome, _ = followed
    assert outcome.best_epoch is not None
    assert outcome.value == max(outcome.val_accuracy) == outcome.val_accuracy[outcome.best_epoch - 1]
    assert outcome.gap == outcome.accuracy[outcome.best_epoch - 1] - outcome.value


def test_the_weights_that_are_kept_are_those_of_the_best_epoch_not_of_the_last(
    job: MakeJob, digits: Dataset, parts: Split
) -> None:
    best = 0.0

    def until_it_gets_worse(report: EpochReport) -> bool:
        nonlocal best
        best = max(best, report.val_accuracy)
        return report.val_accuracy == best

    wanted = job(Recipe(optimizer="rmsprop", learning_rate=0.03, schedule="constant", batch_size=64), epochs=60)
    outcome = train(wanted, until_it_gets_worse)
    assert (outcome.ended, outcome.value) == ("stopped", best)
    assert outcome.val_accuracy[-1] < best
    network = build(wanted.candidate.architecture)
    network.load_weights(wanted.weights)
    guesses = network.predict(digits.images()[parts.val], verbose=0).argmax(axis=1)
    assert (guesses == digits.labels()[parts.val]).mean() == pytest.approx(best)


def test_the_time_is_split_into_parts_that_are_not_negative_and_make_up_the_whole(
    followed: tuple[Job, Outcome, list[EpochReport]],
) -> None:
    _, outcome, _ = followed
    clock = outcome.seconds
    shares = {name: getattr(clock, name) for name in ("waiting", "building", "tracing", "training", "evaluating")}
    assert min(shares.values()) >= 0
    assert clock.total == pytest.approx(sum(shares.values()))
    assert min(clock.building, clock.tracing, clock.training, clock.evaluating) > 0


def test_the_time_that_the_loop_takes_to_answer_is_waiting_and_nothing_else(job: MakeJob) -> None:

    def slowly(report: EpochReport) -> bool:
        time.sleep(0.5)
        return True

    began = time.perf_counter()
    outcome = train(job(), slowly)
    assert outcome.seconds.waiting >= 1.0  # two epochs
    assert outcome.seconds.total <= time.perf_counter() - began


# ---------------------------------------------------------------------- how a training ends


def test_a_report_that_is_answered_with_no_stops_the_training_there_and_keeps_the_weights(job: MakeJob) -> None:
    wanted = job(epochs=5)
    outcome = train(wanted, lambda report: report.epoch < 2)
    assert (outcome.ended, outcome.epochs) == ("stopped", 2)
    assert outcome.value == max(outcome.val_accuracy)
    assert Path(wanted.weights).exists()


def test_no_to_the_last_epoch_comes_too_late_to_stop_anything(job: MakeJob) -> None:
    outcome = train(job(epochs=1), lambda report: False)
    assert (outcome.ended, outcome.epochs) == ("complete", 1)


def test_stop_now_ends_the_training_in_the_middle_of_an_epoch_which_then_does_not_count(job: MakeJob) -> None:
    wanted = job(epochs=5)
    batches = iter(range(10**6))
    outcome = train(wanted, always, stop_now=lambda: next(batches) == 25)  # 18 batches an epoch
    assert (outcome.ended, outcome.epochs) == ("stopped", 1)
    assert outcome.value == outcome.val_accuracy[0]
    assert Path(wanted.weights).exists()


def test_stop_now_in_the_first_epoch_leaves_no_value_and_no_weights(job: MakeJob) -> None:
    wanted = job()
    outcome = train(wanted, always, stop_now=lambda: True)
    assert (outcome.ended, outcome.epochs, outcome.value, outcome.best_epoch) == ("stopped", 0, None, None)
    assert not Path(wanted.weights).exists()


def test_a_training_without_progress_ends_after_its_patience(job: MakeJob) -> None:
    still = FAST.model_copy(update={"learning_rate": 1e-30})  # too little to change any weight
    outcome = train(job(still, epochs=20, patience=3), always)
    assert (outcome.ended, outcome.best_epoch, outcome.epochs) == ("complete", 1, 4)


def test_a_loss_that_is_no_number_any_more_fails_the_trial_with_its_reason(job: MakeJob) -> None:
    wanted = job(DIVERGING, HOPELESS)
    outcome = train(wanted, always)
    assert outcome.ended == "failed"
    assert outcome.error == "the loss became NaN in epoch 1"
    assert outcome.val_accuracy == ()
    assert not Path(wanted.weights).exists()


def test_an_error_of_keras_fails_the_trial_with_its_first_line(job: MakeJob, capfd: pytest.CaptureFixture[str]) -> None:
    def report(epoch: EpochReport) -> bool:
        raise ValueError("shapes (3,) and (4,)\nare not aligned")

    outcome = train(job(), report)
    assert (outcome.ended, outcome.error) == ("failed", "ValueError: shapes (3,) and (4,)")
    assert "Traceback" in capfd.readouterr().err  # for the worker's log


# ---------------------------------------------------------------------- seeds


def test_the_same_seed_trains_the_same_and_another_seed_something_else(job: MakeJob) -> None:
    varied = FAST.model_copy(update={"augmentation": Augmentation(translation=0.1)})
    layers = (SMALL[0].model_copy(update={"dropout": 0.2}),)
    first, second, other = (train(job(varied, layers, seed=seed), always) for seed in (1, 1, 2))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert getattr(first, name) == getattr(second, name)
    assert first.loss != other.loss


# ---------------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("name", "rate", "schedule"),
    [
        ("adamw", 0.01, "warmup_cosine"),
        ("adam", 0.01, "cosine"),
        ("nadam", 0.01, "exponential"),
        ("sgd", 0.05, "constant"),
        ("rmsprop", 0.005, "cosine"),
    ],
)
def test_every_optimizer_and_every_schedule_lowers_the_loss(
    job: MakeJob, name: Optimizer, rate: float, schedule: Schedule
) -> None:
    recipe = Recipe(optimizer=name, learning_rate=rate, schedule=schedule, weight_decay=1e-3, batch_size=64)
    outcome = train(job(recipe), always)
    assert outcome.ended == "complete"
    assert outcome.loss[1] < outcome.loss[0]


def test_nothing_of_a_training_is_left_when_the_next_begins(job: MakeJob) -> None:
    def graphs() -> int:
        keras.backend.clear_session()
        gc.collect()
        return sum(type(found).__name__ == "FuncGraph" for found in gc.get_objects())

    before = graphs()
    train(job(FAST.model_copy(update={"weight_decay": 1e-3, "optimizer": "adamw"}), epochs=1), always)
    assert graphs() == before


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(horizontal_flip=True, vertical_flip=True, crop=0.2),
        Augmentation(translation=0.1, rotation=10.0, colour_jitter=0.2),
    ],
    ids=["flips and crop", "moved and jitter"],
)
def test_an_augmented_training_learns_and_keeps_the_weights_of_the_network_alone(
    job: MakeJob, digits: Dataset, parts: Split, augmentation: Augmentation
) -> None:
    wanted = job(FAST.model_copy(update={"augmentation": augmentation}))
    outcome = train(wanted, always)
    assert outcome.ended == "complete"
    network = build(wanted.candidate.architecture)
    network.load_weights(wanted.weights)
    guesses = network.predict(digits.images()[parts.val], verbose=0).argmax(axis=1)
    # Validation saw the images as they are: it is the same without the augmentation.
    assert (guesses == digits.labels()[parts.val]).mean() == pytest.approx(outcome.value)


def test_label_smoothing_raises_the_least_loss_that_can_be_reached(job: MakeJob) -> None:
    plain = train(job(epochs=4), always)
    smoothed = train(job(FAST.model_copy(update={"label_smoothing": 0.4}), epochs=4), always)
    assert smoothed.loss[-1] > plain.loss[-1] + 0.3
    assert smoothed.val_accuracy[-1] > 0.5


# ---------------------------------------------------------------------- class weights, batch normalisation


def test_with_class_weights_every_class_counts_the_same() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2] * 1, dtype=np.int32)
    weights = class_weights(labels, 3)
    assert weights == pytest.approx({0: 10 / 18, 1: 10 / 9, 2: 10 / 3})
    assert {label: weights[label] * count for label, count in enumerate((6, 3, 1))} == pytest.approx(
        dict.fromkeys(range(3), 10 / 3)
    )


def test_a_class_without_images_has_a_weight_and_divides_nothing_by_zero() -> None:
    assert class_weights(np.array([0, 0], dtype=np.int32), 2) == {0: 0.5, 1: 1.0}


def test_class_weights_change_the_training_where_classes_are_unequal(
    job: MakeJob, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    labels = digits.labels()
    few = np.concatenate([parts.train[labels[parts.train] == 0], parts.train[labels[parts.train] != 0][:200]])
    Split(np.sort(few), parts.val, parts.test).save(tmp_path / "unequal.npz")
    plain = train(job(split=str(tmp_path / "unequal.npz")), always)
    weighted = train(job(split=str(tmp_path / "unequal.npz"), class_weights=True), always)
    assert weighted.ended == "complete"
    assert weighted.loss != plain.loss


@pytest.mark.parametrize(
    ("steps", "momentum"), [(1, 0.5), (7, 0.518), (36, 0.88), (63, 0.93), (460, 0.99), (5000, 0.99)]
)
def test_the_momentum_of_batch_normalisation_fits_the_steps_of_an_epoch(steps: int, momentum: float) -> None:
    assert batch_norm_momentum(steps) == pytest.approx(momentum, abs=1e-3)


def test_a_normalised_network_validates_well_after_a_few_epochs(job: MakeJob) -> None:
    layers = (SMALL[0].model_copy(update={"batch_norm": True}),)
    outcome = train(job(layers=layers, epochs=4), always)
    assert outcome.value is not None
    assert outcome.value > 0.7  # by Keras's own momentum of 0.99 it would be near chance


# ---------------------------------------------------------------------- on all images


def test_a_training_on_all_images_learns_from_those_of_validation(
    job: MakeJob, digits: Dataset, tmp_path: Path
) -> None:
    labels = digits.labels()
    low, high = np.flatnonzero(labels < 5), np.flatnonzero(labels >= 5)
    Split(train=low[1:], val=high, test=low[:1]).save(tmp_path / "classes.npz")  # without them, five are unheard of
    reports: list[EpochReport] = []
    wanted = job(epochs=3, with_validation=True, split=str(tmp_path / "classes.npz"))
    outcome = train(wanted, lambda report: reports.append(report) or True)
    assert (outcome.ended, outcome.value, outcome.best_epoch, outcome.gap) == ("complete", None, None, None)
    assert (len(outcome.accuracy), outcome.val_accuracy, outcome.val_loss) == (3, (), ())
    assert outcome.known is not None
    assert outcome.known > 0.5
    assert [(report.epoch, report.val_accuracy) for report in reports] == [(1, None), (2, None), (3, None)]
    network = build(wanted.candidate.architecture)
    network.load_weights(wanted.weights)  # the last epoch's
    answers = network.predict(digits.images()[high].astype("float32"), verbose=0).argmax(axis=1)
    assert (answers == labels[high]).mean() == pytest.approx(outcome.known, abs=0.01)


def test_a_training_on_all_images_that_is_stopped_says_nothing_of_its_worth(job: MakeJob) -> None:
    outcome = train(job(epochs=3, with_validation=True), lambda report: report.epoch < 2)
    assert (outcome.ended, outcome.epochs, outcome.value, outcome.known) == ("stopped", 2, None, None)


# ---------------------------------------------------------------------- blended images


def test_a_network_learns_from_blends_too_but_knows_no_blend_for_certain(job: MakeJob) -> None:
    plain, blended = train(job(epochs=6), always), train(job(epochs=6, mixup=1.0), always)
    assert blended.value is not None
    assert blended.value > 0.6
    assert blended.loss[-1] > plain.loss[-1] + 0.3  # a label between two classes leaves some loss whatever is learnt


def test_class_weights_go_with_blends(job: MakeJob) -> None:
    assert train(job(mixup=1.0, class_weights=True), always).ended == "complete"


# ---------------------------------------------------------------------- precision


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_training_in_half_precision_leaves_weights_in_full_precision_for_the_stock_network(
    job: MakeJob, precision: str
) -> None:
    layers = (Layer(filters=8, batch_norm=True, pooling="max", pool_size=2, pool_stride=2),)
    wanted = job(layers=layers, epochs=4, patience=4, precision=precision)
    outcome = train(wanted, always)
    assert (outcome.ended, outcome.epochs) == ("complete", 4)
    assert outcome.value is not None
    assert outcome.value > 0.5  # ten digits: it has learnt
    keras.config.set_dtype_policy("float32")
    network = build(wanted.candidate.architecture)
    network.load_weights(wanted.weights)
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert network.compute_dtype == "float32"
