"""Logs a study's results to MLflow and registers the winner's model: a program (`main`), because it needs Keras."""

import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.objectives import front_facts
from ..system.backend import import_keras
from ..system.programs import answer

# With MLflow's pauses, which double from 2 s on, a minute in all: as long as the delivery waits at the end.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def main(connection: Connection) -> None:
    """Publish a study; `winner/result.py` has the question and the answer."""
    import_keras(start=False)
    from ..delivery import tracking  # noqa: F401 - MLflow takes long to import

    def work(question: dict[str, Any]) -> dict[str, Any]:
        return publish(StudyFolder(Path(question["folder"])), question["parent"])

    answer(connection, work)


def publish(folder: StudyFolder, parent: str) -> dict[str, str]:
    """Log a study's results to its launch `parent`, register the model, and return what a Result keeps of it.

    Raises:
        WorkError: MLflow cannot be reached or written to.
    """
    from ..data import Dataset, Split
    from ..delivery.tracking import Tracker
    from ..engines.importance import importances
    from ..images.resizing import at_size

    study, record, result = folder.read(), folder.record(), folder.result()
    assert result is not None, "a study is published when it has a result"
    tracker = Tracker(Home(folder.path.parent), study)
    if study.storage is not None:
        tracker.close_launches()
    tracker.restored(parent)
    if found := importances(folder.space(study, record), record):
        tracker.log_importances(parent, found, result.at)
    if study.preference.several:
        tracker.log_front(parent, front_facts(record, study.objectives))
    tracker.log_test(parent, result.best, result.test)
    figures = {"test_accuracy": result.test.accuracy, "best_val_accuracy": result.val_accuracy}
    standing = folder.repeats().standing(record.trials[result.best])
    if standing.spread is not None:
        figures |= {"mean_val_accuracy": standing.mean, "val_accuracy_spread": standing.spread}
    model = import_keras().saving.load_model(folder.bundle / "model.keras", safe_mode=True)
    dataset = at_size(Dataset.load(folder.data(study)), model.input_shape[1:3])
    example = Split.load(folder.split).examples(dataset, 2).astype("float32")
    model_uri = tracker.log_model(parent, model, example, figures)
    return {"model_uri": model_uri, "mlflow": tracker.uri, "store": tracker.store}
