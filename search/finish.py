"""From the best trial to the bundle: trains it once more, tests it once, exports it, and writes `result.json`."""

import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from ..spaces.architecture import Candidate
from ..spaces.errors import WorkError
from .augmenting import LONG, asked, for_long_training, may_vary
from .backend import import_keras, preload_keras
from .budget import Budget
from .cost import Costs
from .engines.protocol import Proposal
from .executors.protocol import Executor
from .export.verify import Verifier
from .files import write_text
from .final import MOST, NUMBER, Winner, as_in_its_trial, plan_for, train_winner, validate_every
from .home import Home
from .importance import importances
from .job import EpochReport, Job
from .mixup import alpha_for
from .objectives import front, front_facts
from .preparation import Prepared
from .record import Trial, now
from .repeats import repeat_the_best, standings
from .report import standing_lines
from .result import Result, Training

COMPARED = 2  # of the best: time is kept to train these again, and more are where there is time
SEEDS_APART = 7919  # between the seeds of a trial's trainings


def job_of(prepared: Prepared, number: int, candidate: Candidate, weights: Path, epochs: int) -> Job:
    """Return the job that trains a candidate from its first epoch to `epochs`."""
    study = prepared.study
    return Job(
        number=number,
        candidate=candidate,
        data=str(prepared.dataset.folder.resolve()),
        split=str(prepared.folder.split.resolve()),
        epochs=epochs,
        patience=max(5, epochs // 3),
        seed=(study.seed * 1_000_003 + number) % 2**31,
        weights=str(weights.resolve()),
        class_weights=study.class_weights,
        precision=study.precision,
    )


def job_of_trial(prepared: Prepared, proposal: Proposal, trial: Trial) -> Job:
    """Return the job of a proposal, which may end at a rung or go on from the one that the trial has reached."""
    epochs, folder = prepared.study.epochs, prepared.folder
    job = job_of(prepared, proposal.number, proposal.candidate, folder.weights(proposal.number), epochs)
    job = job.model_copy(update={"measure_latency": "latency_ms" in prepared.study.objectives})
    if proposal.epochs is None:  # on a lower rung it is no use to know
        job = job.model_copy(update={"asked": asked(proposal.candidate, prepared.space)})
    if proposal.epochs is None and not trial.epochs:
        return job
    rung = {
        "epochs": proposal.epochs or epochs,
        "schedule_epochs": epochs,
        "state": str(folder.state(proposal.number).resolve()),
        "begin": trial.epochs,
        "best": trial.value,
    }
    return job.model_copy(update=rung)


def seconds_to_repeat(prepared: Prepared) -> float:
    """Return what it would take to train the best again, as many as it takes to compare."""
    costs = Costs.of(prepared.record, len(prepared.split.train))
    best = [trial for trial in prepared.record.best(min(prepared.study.repeats, COMPARED)) if trial.state == "complete"]
    return sum(costs.trial(trial.candidate, prepared.study.epochs) for trial in best)


def repeat_best(prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> None:
    """Train the best few again with other seeds, as many as the study has it, as far as their time permits."""
    record, repeats, images = prepared.record, prepared.folder.repeats(), len(prepared.split.train)
    epochs, preference = prepared.study.epochs, prepared.study.preference

    def job(trial: Trial, seed: int) -> Job:
        weights = prepared.folder.weights(trial.number).with_name(f"{trial.number}.repeat.weights.h5")
        made = job_of(prepared, trial.number, trial.candidate, weights, epochs)
        return made.model_copy(update={"seed": (made.seed + seed * SEEDS_APART) % 2**31})

    def fits(trial: Trial) -> bool:
        return Costs.of(record, images).trial(trial.candidate, epochs) <= budget.repeats_left

    with console.status("training the best again ...") as status:

        def told(trial: Trial, report: EpochReport | str | None = None) -> None:
            if isinstance(report, str):
                console.print(f"  note: trial {trial.number}: {report}", highlight=False, soft_wrap=True)
                return
            reached = f", epoch {report.epoch}, {report.reached}" if report else ""
            status.update(f"training trial {trial.number} again, with another seed{reached}")

        best = preference.ranked(record)[: prepared.study.repeats]
        done = repeat_the_best(best, repeats, job, fits, executor, budget, told)
    if not repeats.all and not done and not budget.stopped:
        console.print("  note: there was no time to train the best again", highlight=False)
    for line in standing_lines(record, repeats, preference, len(prepared.split.val)):
        console.print(line, highlight=False, soft_wrap=True)


def train_the_best(prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> Winner:
    """Train the trial that is to be named once more, as far as the time that is left permits."""
    best = standings(prepared.record, prepared.folder.repeats(), prepared.study.preference)[0].trial
    weights = prepared.folder.weights(best.number)
    train, val = len(prepared.split.train), len(prepared.split.val)
    with_validation = best.candidate.recipe.settles
    more = (train + val) / train if with_validation else None
    plan = plan_for(best, prepared.study.epochs, _left_for_the_winner(prepared, best, budget), more)
    if budget.stopped or plan.epochs < best.epochs:
        return _whose_weights_are_here(prepared, as_in_its_trial(best, weights), console)
    candidate, manner = best.candidate, ""
    if plan.epochs >= LONG * prepared.study.epochs:
        candidate, manner = for_long_training(best, prepared.space)
    mixup = alpha_for(plan.epochs, best.value or 0.0) if may_vary(prepared.space) else 0.0
    if mixup:
        manner += ", and with pairs of them blended (mixup)" if manner else ", with pairs of images blended (mixup)"
    console.print(
        f"training the winner, {candidate.architecture}, {plan}{manner}",
        highlight=False,
        soft_wrap=True,
    )
    job = job_of(prepared, NUMBER, candidate, prepared.folder.final_weights, plan.epochs)
    job = job.model_copy(update={"mixup": mixup})
    if with_validation:
        job = job.model_copy(update={"with_validation": True, "patience": plan.epochs})
    if plan.seconds is not None:
        by_the_clock = {
            "epochs": MOST * prepared.study.epochs,
            "patience": MOST * prepared.study.epochs,
            "seconds": plan.seconds,
            "validate_every": 1 if with_validation else validate_every(plan.epochs),
        }
        job = job.model_copy(update=by_the_clock)
    preload_keras()  # for the export, which comes next
    preload_tracking()
    with console.status("training the winner ...") as status:

        def told(report: Any) -> None:
            status.update(f"training the winner: epoch {report.epoch} of about {plan.epochs}, {report.reached}")

        winner = train_winner(job, best, val, weights, executor, budget, told, manner)
    if winner.why_kept is not None:
        console.print(f"  note: {winner.why_kept}: the weights of its trial are kept", highlight=False, soft_wrap=True)
    return _whose_weights_are_here(prepared, winner, console)


def _whose_weights_are_here(prepared: Prepared, winner: Winner, console: Console) -> Winner:
    """Return the winner, or the best trial that ran here where the winner is to have the weights of one that did not.

    Raises:
        WorkError: of none are there weights here.
    """
    loop = winner.trial.loop
    if loop is None or winner.weights.exists():
        return winner
    folder, number = prepared.folder, winner.trial.number
    ranked = prepared.study.preference.ranked(prepared.record)
    here = [trial for trial in ranked if folder.weights(trial.number).exists()]
    if not here:
        raise WorkError(
            f"trial {number} is the best, but it ran in {loop}, where its weights are, and none are here: "
            "--resume there goes on, or here with time to train it again"
        )
    console.print(
        f"  note: the weights of trial {number} are where it ran, in {loop}: trial {here[0].number} is exported, "
        "the best whose weights are here",
        highlight=False,
        soft_wrap=True,
    )
    return replace(as_in_its_trial(here[0], folder.weights(here[0].number)), training=winner.training)


def _left_for_the_winner(prepared: Prepared, best: Trial, budget: Budget) -> float | None:
    """Return the seconds in which the winner can be trained, when the test images are still to be seen."""
    if budget.final_seconds is None:
        return None
    validated = max(1, best.epochs * len(prepared.split.val))
    return budget.final_seconds - best.clock.evaluating / validated * len(prepared.split.test)


def _chosen(prepared: Prepared) -> str | None:
    """Return how one of many good trials was named, where there were several objectives."""
    preference = prepared.study.preference
    if not preference.several:
        return None
    count = len(front(prepared.record.trials.values(), preference.objectives))
    return f"{preference}, of {count} trials that no other one beats in everything"


def export(prepared: Prepared, winner: Winner, budget: Budget, console: Console) -> None:
    """Test the winner, once; write the bundle, and `result.json`."""
    folder = prepared.folder
    console.print("testing and exporting")
    with console.status("testing and exporting ..."), Verifier() as verifier:
        import_keras()
        from .evaluation import evaluate
        from .export.bundle import write_bundle
        from .export.model_card import Facts
        from .export.trained import trained_model

        images = len(prepared.split.train) + (len(prepared.split.val) if winner.with_validation else 0)
        model, momentum = trained_model(winner.candidate, winner.weights, images)
        folder.note_test(winner.trial.number)
        test = evaluate(model, prepared.dataset, prepared.split.test)
        budget.lap("testing")
        tests = folder.tests()
        counts = {str(state): count for state, count in prepared.record.counts().items()}
        again = folder.repeats().standing(winner.trial)
        facts = Facts(
            prepared.study,
            winner.trial,
            winner.candidate,
            counts,
            winner.val_accuracy,
            winner.trained,
            test,
            tests=tests,
            chosen=_chosen(prepared),
            with_validation=winner.with_validation,
            again=None if again.spread is None else again.told,
        )
        write_bundle(folder.bundle, model, momentum, facts, prepared.dataset, verifier)
    budget.lap("export")
    result = Result(
        at=now(),
        trials=prepared.record.finished(),
        tests=tests,
        cut=budget.stopped,
        best=winner.trial.number,
        under=prepared.study.under,
        val_accuracy=winner.val_accuracy,
        with_validation=winner.with_validation,
        trained=winner.trained,
        test=test,
        model_uri=None,
        mlflow=None,
        seconds={name: round(seconds, 2) for name, seconds in budget.laps.items()},
        final=None if winner.training is None else Training.of(winner.training),
    )
    write_text(folder.result_file, result.model_dump_json(indent=2) + "\n")


def is_published(prepared: Prepared) -> bool:
    """Whether MLflow has the model and what came of the study."""
    result = prepared.folder.result()
    return result is not None and result.model_uri is not None


def publish(home: Home, prepared: Prepared, parent: str, budget: Budget) -> None:
    """Log to MLflow what came of the study, register the model, and note its address in `result.json`.

    Raises:
        WorkError: MLflow cannot be reached or written to.
    """
    keras = import_keras()
    from .tracking import Tracker

    folder, record, study = prepared.folder, prepared.record, prepared.study
    result = folder.result()
    assert result is not None, "a study is published when it has a result"
    tracker = Tracker(home, study)
    if study.storage is not None:
        tracker.close_launches()
    if found := importances(prepared.space, record):
        tracker.log_importances(parent, found, result.at)
    if study.preference.several:
        tracker.log_front(parent, front_facts(record, study.objectives))
    tracker.log_test(parent, result.best, result.test)
    figures = {"test_accuracy": result.test.accuracy, "best_val_accuracy": result.val_accuracy}
    again = folder.repeats().standing(record.trials[result.best])
    if again.spread is not None:
        figures |= {"mean_val_accuracy": again.mean, "val_accuracy_spread": again.spread}
    model = keras.saving.load_model(folder.bundle / "model.keras", safe_mode=True)
    example = prepared.dataset.images()[:2].astype("float32")
    uri = tracker.log_model(parent, model, example, figures)
    budget.lap("publishing")
    seconds = {name: round(seconds, 2) for name, seconds in budget.laps.items()}
    published = result.model_copy(update={"model_uri": uri, "mlflow": tracker.uri, "seconds": seconds})
    write_text(folder.result_file, published.model_dump_json(indent=2) + "\n")


def preload_tracking() -> None:
    """Begin to import what `publish` needs, in the background."""
    threading.Thread(target=lambda: import_module(f"{__package__}.tracking"), daemon=True).start()
