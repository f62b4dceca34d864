"""Logs to MLflow what a study has found, and registers the winner's model there."""

import threading
from importlib import import_module

from ..engines.importance import importances
from ..loop.budget import Budget
from ..loop.prepared import Prepared
from ..study.home import Home
from ..study.objectives import front_facts
from ..system.backend import import_keras
from ..system.files import write_text


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
    from ..delivery.tracking import Tracker

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
