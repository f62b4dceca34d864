"""From the best trial to the bundle: trains it once more, tests it once, exports it, and writes `result.json`."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from ..spaces.architecture import Candidate
from .backend import import_keras
from .budget import Budget
from .engines.protocol import Proposal
from .executors.protocol import Executor
from .files import write_text
from .final import MOST, NUMBER, Winner, as_in_its_trial, plan_for, train_winner, validate_every
from .job import Job
from .mirroring import LONG, for_long_training
from .preparation import Prepared
from .record import Trial


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
    )


def job_of_trial(prepared: Prepared, proposal: Proposal, trial: Trial) -> Job:
    """Return the job of a proposal, which may end at a rung or go on from the one that the trial has reached."""
    epochs, folder = prepared.study.epochs, prepared.folder
    job = job_of(prepared, proposal.number, proposal.candidate, folder.weights(proposal.number), epochs)
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


def train_the_best(prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> Winner:
    """Train the best trial once more, as far as the time that is left permits."""
    best = prepared.record.best()[0]
    weights = prepared.folder.weights(best.number)
    plan = plan_for(best, prepared.study.epochs, budget.final_seconds)
    if budget.stopped or plan.epochs < best.epochs:
        return as_in_its_trial(best, weights)
    candidate, manner = best.candidate, ""
    if plan.epochs >= LONG * prepared.study.epochs:
        candidate, manner = for_long_training(candidate, weights, prepared.space, prepared.dataset, prepared.split)
        plan = plan_for(best, prepared.study.epochs, budget.final_seconds)  # the question took some time
    console.print(
        f"training the winner, {candidate.architecture}, {plan}{manner}",
        highlight=False,
        soft_wrap=True,
    )
    job = job_of(prepared, NUMBER, candidate, prepared.folder.final_weights, plan.epochs)
    if plan.seconds is not None:
        by_the_clock = {
            "epochs": MOST * prepared.study.epochs,
            "patience": MOST * prepared.study.epochs,
            "seconds": plan.seconds,
            "validate_every": validate_every(plan.epochs),
        }
        job = job.model_copy(update=by_the_clock)
    with console.status("training the winner ...") as status:

        def told(report: Any) -> None:
            status.update(
                f"training the winner: epoch {report.epoch} of about {plan.epochs}, "
                f"validation {report.val_accuracy:.1%}"
            )

        return train_winner(job, best, weights, executor, budget, told, manner)


def export(prepared: Prepared, winner: Winner, tracker: Any, console: Console) -> None:
    """Test the winner, once; write the bundle; log the model; write `result.json`."""
    folder = prepared.folder
    console.print("testing and exporting")
    import_keras()
    with console.status("testing and exporting ..."):
        from .evaluation import evaluate
        from .export.bundle import write_bundle
        from .export.model_card import Facts
        from .export.trained import trained_model

        model, momentum = trained_model(winner.candidate, winner.weights, len(prepared.split.train))
        test = evaluate(model, prepared.dataset, prepared.split.test)
        counts = {str(state): count for state, count in prepared.record.counts().items()}
        facts = Facts(
            prepared.study,
            winner.trial,
            winner.candidate,
            counts,
            winner.val_accuracy,
            winner.trained,
            test,
        )
        write_bundle(folder.bundle, model, momentum, facts, prepared.dataset)
        figures = {"test_accuracy": test.accuracy, "best_val_accuracy": winner.val_accuracy}
        example = prepared.dataset.images()[:2].astype("float32")
        uri = tracker.log_model(model, example, figures)
    result = {
        "best": winner.trial.number,
        "val_accuracy": winner.val_accuracy,
        "test": test.model_dump(mode="json"),
        "model_uri": uri,
        "mlflow": tracker.uri,
    }
    write_text(folder.result_file, json.dumps(result, indent=2) + "\n")
