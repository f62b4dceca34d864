"""From the winner to `result.json`: programs test, export and publish it; this module stores their results."""

import logging

from ..loop.budget import Budget
from ..loop.prepared import Prepared
from ..study.folder import StudyFolder
from ..study.result import Result, Training
from ..study.trial import now
from ..system.files import write_text
from ..system.programs import Call, Starter
from ..values.evaluation import Evaluation
from .winner import Winner

TEST, PUBLISH = f"{__package__}.test", f"{__package__}.publish"
log = logging.getLogger(__name__)


def export_winner(prepared: Prepared, winner: Winner, budget: Budget, starter: Starter) -> None:
    """Have the winner tested, once, and its bundle written; store the results in `result.json`.

    Raises:
        WorkError: the bundle cannot be made, or does not load in a fresh process.
    """
    folder = prepared.folder
    log.info("testing and exporting")
    with Call(starter, TEST, folder.logs / "export.log") as call:
        found = call.ask(folder=str(folder.path.resolve()), winner=winner.model_dump(mode="json"))
    budget.laps["testing"] = found["testing"]
    budget.lap("export")
    result = Result(
        at=now(),
        trials=prepared.record.finished(),
        tests=folder.tests(),
        cut=winner.cut,
        best=winner.trial.number,
        repeats=prepared.study.repeats,
        under=prepared.study.under,
        val_accuracy=winner.val_accuracy,
        with_validation=winner.with_validation,
        trained=winner.trained,
        test=Evaluation.model_validate(found["test"]),
        model_uri=None,
        mlflow=None,
        seconds=_rounded(budget),
        final=None if winner.training is None else Training.of(winner.training),
    )
    write_text(folder.result_file, result.model_dump_json(indent=2) + "\n")


def is_published(folder: StudyFolder, store: str, model: str | None) -> bool:
    """Whether MLflow has the model and the results: the store that the study is delivered to now.

    `model` is the address of the model that was published last, if this store had it when the delivery began.
    """
    result = folder.result()
    if result is None or result.model_uri is None or result.store not in (None, store):
        return False
    return result.model_uri == model


def publish_result(prepared: Prepared, parent: str, budget: Budget, call: Call) -> None:
    """Publish the results to MLflow, and note in `result.json` where the model is.

    `call` is to the program PUBLISH, which may have been started long before.

    Raises:
        WorkError: MLflow cannot be reached or written to.
    """
    folder = prepared.folder
    found = call.ask(folder=str(folder.path.resolve()), parent=parent)
    budget.lap("publishing")
    result = folder.result()
    assert result is not None, "a study is published when it has a result"
    published = result.model_copy(update={**found, "seconds": _rounded(budget)})
    write_text(folder.result_file, published.model_dump_json(indent=2) + "\n")


def _rounded(budget: Budget) -> dict[str, float]:
    return {name: round(seconds, 2) for name, seconds in budget.laps.items()}
