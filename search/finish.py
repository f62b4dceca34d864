"""From the best trial to the bundle: trains it once more, tests it once, exports it, and writes `result.json`."""

import json
from typing import Any

from rich.console import Console

from .backend import import_keras
from .budget import Budget
from .executors.protocol import Executor
from .files import write_text
from .final import NUMBER, Winner, as_in_its_trial, epochs_for, train_winner
from .job import Job
from .mirroring import LONG, for_long_training
from .preparation import Prepared


def job_of(prepared: Prepared, number: int, candidate: Any, epochs: int) -> Job:
    """Return the job that trains a candidate of the study, as a trial or (NUMBER) as the winner."""
    study, folder = prepared.study, prepared.folder
    weights = folder.final_weights if number == NUMBER else folder.weights(number)
    return Job(
        number=number,
        candidate=candidate,
        data=str(prepared.dataset.folder.resolve()),
        split=str(folder.split.resolve()),
        epochs=epochs,
        patience=max(5, epochs // 3),
        seed=(study.seed * 1_000_003 + number) % 2**31,
        weights=str(weights.resolve()),
        class_weights=study.class_weights,
    )


def train_the_best(prepared: Prepared, executor: Executor, budget: Budget, console: Console) -> Winner:
    """Train the best trial once more, as far as the time that is left permits."""
    best = prepared.record.best()[0]
    weights = prepared.folder.weights(best.number)
    epochs = epochs_for(best, prepared.study.epochs, budget.final_seconds)
    if budget.stopped or epochs < best.epochs:
        return as_in_its_trial(best, weights)
    candidate, manner = best.candidate, ""
    if epochs >= LONG * prepared.study.epochs:
        candidate, manner = for_long_training(candidate, weights, prepared.space, prepared.dataset, prepared.split)
    console.print(
        f"training the winner, {candidate.architecture}, for up to {epochs} epochs{manner}",
        highlight=False,
        soft_wrap=True,
    )
    job = job_of(prepared, NUMBER, candidate, epochs)
    with console.status("training the winner ...") as status:

        def told(report: Any, of: int) -> None:
            status.update(f"training the winner: epoch {report.epoch} of {of}, validation {report.val_accuracy:.1%}")

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
