"""The winner's own training: for how long, on which images, and which weights are kept."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from searches import prepared

from convsearch.search.data import Dataset, Split
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.executors.run_jobs import run_one
from convsearch.search.loop.budget import EXPORT_SECONDS, GRACE, Budget
from convsearch.search.loop.jobs import job_of_trial
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial
from convsearch.search.system.programs import Starter
from convsearch.search.values.job import EpochReport, Job, Length, Seconds
from convsearch.search.values.proposal import Proposal
from convsearch.search.winner.long_training import LONGER, MOST, plan_for, train_best, train_winner
from convsearch.search.winner.recipe import MANY
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from convsearch.spaces.arithmetic import Volume

CLOCK = Seconds(building=0.5, tracing=1.0, training=8.0, evaluating=2.0)  # of ten epochs
LONG = Length(epochs=5000, patience=5000)


def trial(value: float, schedule: str = "cosine") -> Trial:
    architecture = Architecture(
        input=Volume(8, 8, 1), layers=(Layer(filters=8),), head=Head(pooling="flatten"), classes=10
    )
    recipe = Recipe(learning_rate=0.01, batch_size=64, schedule=schedule)
    begun = Trial.begin(Proposal(4, {}, Candidate(architecture=architecture, recipe=recipe)))
    return begun.model_copy(update={"state": "complete", "value": value, "epochs": 10, "best_epoch": 9, "clock": CLOCK})


@pytest.fixture(scope="module")
def executor(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    found = LocalExecutor(tmp_path_factory.mktemp("logs"), starter=starter)
    yield found
    found.close()


def job(best: Trial, digits: Dataset, parts: Split, folder: Path, **more: object) -> Job:
    parts.save(folder / "split.npz")
    settings = {
        "number": -1,
        "candidate": best.candidate,
        "data": str(digits.folder),
        "split": str(folder / "split.npz"),
        "length": Length(epochs=3, patience=3),
        "seed": 2,
        "weights": str(folder / "final.weights.h5"),
    }
    return Job.model_validate(settings | more)


# ---------------------------------------------------------------------- how long


def test_without_minutes_the_winner_is_trained_for_twice_the_trials_epochs() -> None:
    plan = plan_for(trial(0.5), 10, None)
    assert (plan.epochs, plan.seconds) == (LONGER * 10, None)


def test_with_minutes_as_many_epochs_as_the_trial_took_for_its_own_are_planned() -> None:
    plan = plan_for(trial(0.5), 10, 31.2)  # a second to trace, a fifth of one to validate the last
    assert (plan.epochs, plan.seconds) == (30, pytest.approx(31.0))


def test_more_images_make_fewer_epochs_which_are_not_validated() -> None:
    plan = plan_for(trial(0.5), 10, 31.2, more=1.25)
    assert (plan.epochs, plan.seconds) == (30, pytest.approx(31.0))  # 0.8 s * 1.25, instead of 0.8 s + 0.2 s
    assert plan_for(trial(0.5), 10, 31.2, more=2.5).epochs == 15


def test_there_is_more_than_time_enough_for_the_most_epochs() -> None:
    plan = plan_for(trial(0.5), 10, 100_000)
    assert (plan.epochs, plan.enough, str(plan)) == (MOST * 10, True, f"for {MOST * 10} epochs")
    assert not plan_for(trial(0.5), 10, MOST * 10 + 1.2).enough


# ---------------------------------------------------------------------- which weights


def test_trained_on_the_validation_images_too_the_winner_keeps_the_trials_validation_accuracy(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    best, told = trial(0.15), list[EpochReport]()
    wanted = job(best, digits, parts, tmp_path, with_validation=True)
    winner = train_winner(
        wanted, best, len(parts.val), Path("4.weights.h5"), executor, Budget(None, None), told.append, ", patiently"
    )
    assert winner.training is not None
    assert winner.training.known is not None
    assert winner.training.known > 0.5
    assert (winner.with_validation, winner.val_accuracy) == (True, 0.15)
    assert winner.weights == tmp_path / "final.weights.h5"
    assert winner.weights.exists()
    assert winner.trained == (
        "It was then trained once more, for 3 epochs, patiently, on the training and the validation images together; "
        "the weights are those of the last epoch."
    )
    assert [report.epoch for report in told] == [1, 2, 3]
    assert told[-1].reached == f"training {told[-1].accuracy:.1%}"


def test_a_training_on_all_images_that_went_wrong_leaves_the_trials_weights(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    best = trial(1.0)  # three epochs end below 98.7 %, the lower end of its interval
    wanted = job(best, digits, parts, tmp_path, with_validation=True)
    winner = train_winner(
        wanted, best, len(parts.val), Path("4.weights.h5"), executor, Budget(None, None), lambda report: None
    )
    assert (winner.with_validation, winner.val_accuracy, winner.weights) == (False, 1.0, Path("4.weights.h5"))
    assert winner.trained == "The weights are those of the trial's best epoch, 9."
    assert winner.why_kept is not None
    assert "the winner, trained on the validation images too, classifies " in winner.why_kept
    assert winner.training is not None


def test_an_image_less_than_the_trial_knew_does_not_make_it_a_training_that_went_wrong(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    wanted, val = job(trial(0.15), digits, parts, tmp_path, with_validation=True), len(parts.val)
    first = train_winner(wanted, trial(0.15), val, Path("4"), executor, Budget(None, None), lambda report: None)
    assert first.training is not None
    assert first.training.known is not None
    best = trial(first.training.known + 1 / val)
    winner = train_winner(wanted, best, val, Path("4"), executor, Budget(None, None), lambda report: None)
    assert winner.with_validation


def test_where_the_rate_does_not_settle_the_best_validated_epoch_is_kept(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    best = trial(0.15, "constant")
    assert not best.candidate.recipe.settles
    wanted = job(best, digits, parts, tmp_path)
    winner = train_winner(
        wanted, best, len(parts.val), Path("4.weights.h5"), executor, Budget(None, None), lambda report: None
    )
    assert winner.training is not None
    assert winner.val_accuracy == winner.training.value == max(winner.training.val_accuracy)
    assert not winner.with_validation
    assert winner.trained.endswith(f"; the weights are those of epoch {winner.training.best_epoch}.")


@pytest.mark.parametrize(
    ("change", "late", "why"),
    [
        ({"data": "/nowhere"}, False, "the winner's long training failed"),
        ({}, False, "the winner's long training was stopped"),
        ({}, True, "the winner's long training did not finish in time"),
    ],
    ids=["failed", "stopped", "late"],
)
def test_a_training_that_does_not_come_to_its_end_leaves_the_trials_weights_and_the_reason(
    executor: LocalExecutor,
    digits: Dataset,
    parts: Split,
    tmp_path: Path,
    change: dict[str, str],
    late: bool,
    why: str,
) -> None:
    best, budget = trial(0.15), Budget(None, 3600.0 if late else None)
    wanted = job(best, digits, parts, tmp_path, with_validation=True).model_copy(update={"length": LONG, **change})

    def on_epoch(report: EpochReport) -> None:
        if late:
            budget.began -= 2 * 3600.0
        else:
            budget.stopped = True  # as by Ctrl-C

    winner = train_winner(wanted, best, len(parts.val), Path("4"), executor, budget, on_epoch)
    assert (winner.weights, winner.with_validation) == (Path("4"), False)
    assert winner.why_kept is not None
    assert winner.why_kept.startswith(why)


def test_a_training_that_does_not_end_with_its_time_is_ended_after_a_grace(
    executor: LocalExecutor, digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    best, seconds, begin = trial(0.15), 60.0, time.monotonic()
    up = seconds - EXPORT_SECONDS
    budget = Budget(None, seconds, began=begin - (up + GRACE - 1))  # a second of the grace is left
    wanted = job(best, digits, parts, tmp_path, with_validation=True)
    wanted = wanted.model_copy(update={"length": LONG})
    winner = train_winner(wanted, best, len(parts.val), Path("4"), executor, budget, lambda report: None)
    assert winner.why_kept == "the winner's long training did not finish in time"
    assert time.monotonic() - begin > 0.9


# ---------------------------------------------------------------------- what it is trained on

SPACE = """
layers: 3
each_layer: {filters: 4}
augmentation: {horizontal_flip: [false, true]}
recipe: {batch_size: 8, learning_rate: 0.01, schedule: cosine}
"""
EPOCHS = -(-MANY // MOST)  # of a trial: where there is time enough, the winner's training has MOST times as many


@pytest.fixture
def study(tmp_path: Path) -> Prepared:
    """A new study of dark and light images, which may be mirrored."""
    labels = np.arange(120) % 2
    images = np.random.default_rng(0).normal(90 + 90 * labels[:, None, None], 20, (120, 8, 8))
    np.savez(tmp_path / "images.npz", x=np.clip(images, 0, 255).astype("uint8"), y=labels)
    (tmp_path / "space.yaml").write_text(SPACE)
    data, space = str(tmp_path / "images.npz"), str(tmp_path / "space.yaml")
    return prepared(Home(tmp_path / "home"), data=data, space=space, epochs=EPOCHS)


@pytest.fixture
def plain(study: Prepared) -> Proposal:
    """Its candidate without mirrored images."""
    values = next(values for values in study.space.enumerate() if not values["augmentation.horizontal_flip"])
    return Proposal(0, values, study.space.candidate(values))


def test_what_the_search_left_of_the_minutes_goes_to_the_winner_with_mirrored_images_where_it_knows_them(
    study: Prepared, plain: Proposal, executor: LocalExecutor
) -> None:
    begun = Trial.begin(plain)
    outcome = run_one(job_of_trial(study, plain, begun), executor, lambda: False, lambda report: None)
    study.record.add(begun.end("complete", outcome, 0.0))
    winner = train_best(study, executor, Budget(1, 3600.0), lambda text: None)
    knows = f"(validation accuracy: plain {outcome.value:.1%}; mirrored {outcome.varied['horizontal_flip']:.1%})"
    assert (
        f"for {MANY} epochs, with mirrored images too {knows}, on the training and the validation images together"
        in winner.trained
    )
    assert winner.candidate.recipe.augmentation.horizontal_flip


def test_where_there_is_much_to_learn_and_time_for_many_epochs_images_are_blended_too(
    study: Prepared, plain: Proposal, executor: LocalExecutor
) -> None:
    known = {"state": "complete", "value": 0.6, "epochs": EPOCHS, "varied": {"horizontal_flip": 0.5}}
    study.record.add(Trial.begin(plain).model_copy(update=known))
    winner = train_best(study, executor, Budget(1, 3600.0), lambda text: None)
    assert f"for {MANY} epochs, with pairs of images blended (mixup), on the training and the valid" in winner.trained
    assert not winner.candidate.recipe.augmentation.horizontal_flip  # it knows them less than plain ones
