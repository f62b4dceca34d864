"""Logs to MLflow what a study has found, and registers the winner's model: a program (`main`), for it needs Keras."""

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.objectives import front_facts
from ..system.backend import import_keras
from ..system.programs import answer


def main(connection: Connection) -> None:
    """Publish a study; what goes out and comes in is in `winner/result.py`."""
    import_keras(start=False)
    from ..delivery import tracking  # noqa: F401 - MLflow takes its time to be imported

    def work(question: dict[str, Any]) -> dict[str, Any]:
        model_uri, uri = publish(StudyFolder(Path(question["folder"])), question["parent"])
        return {"model_uri": model_uri, "mlflow": uri}

    answer(connection, work)


def publish(folder: StudyFolder, parent: str) -> tuple[str, str]:
    """Log what a study has found to its launch `parent`, register the model, and return its address and MLflow's.

    Raises:
        WorkError: MLflow cannot be reached or written to.
    """
    from ..data import Dataset
    from ..delivery.tracking import Tracker
    from ..engines.importance import importances

    study, record, result = folder.read(), folder.record(), folder.result()
    assert result is not None, "a study is published when it has a result"
    tracker = Tracker(Home(folder.path.parent), study)
    if study.storage is not None:
        tracker.close_launches()
    if found := importances(folder.space(study), record):
        tracker.log_importances(parent, found, result.at)
    if study.preference.several:
        tracker.log_front(parent, front_facts(record, study.objectives))
    tracker.log_test(parent, result.best, result.test)
    figures = {"test_accuracy": result.test.accuracy, "best_val_accuracy": result.val_accuracy}
    again = folder.repeats().standing(record.trials[result.best])
    if again.spread is not None:
        figures |= {"mean_val_accuracy": again.mean, "val_accuracy_spread": again.spread}
    model = import_keras().saving.load_model(folder.bundle / "model.keras", safe_mode=True)
    example = Dataset.load(folder.data(study)).images()[:2].astype("float32")
    return tracker.log_model(parent, model, example, figures), tracker.uri
