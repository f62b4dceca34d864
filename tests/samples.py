"""A study and its trials as they might be, for tests of what is written and shown of them."""

from typing import Any

from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.result import Result
from convsearch.search.study.settings import DataFacts, StudySettings
from convsearch.search.study.trial import Trial
from convsearch.search.values.evaluation import Evaluation
from convsearch.search.values.job import Outcome, Seconds
from convsearch.spaces.arithmetic import Volume


def a_study(**more: Any) -> StudySettings:
    """A study of the digits in the space `tiny`, by Optuna."""
    facts = DataFacts(
        name="digits",
        source="digits",
        fingerprint="f" * 64,
        input=Volume(8, 8, 1),
        classes=tuple("0123456789"),
        folder="ffff-8x8x1",
        train=3,
        val=2,
        test=1,
    )
    settings = {
        "name": "mine",
        "created_at": "2026-01-01T00:00:00+00:00",
        "space": "tiny",
        "data": facts,
        "engine": "optuna",
        "algorithm": "tpe",
        "pruner": "none",
        "epochs": 2,
        "trials": None,
        "seed": 0,
        "class_weights": False,
        "versions": {"python": "3.11.0"},
    }
    return StudySettings(**settings | more)


def completed(trial: Trial) -> Trial:
    """A trial that has begun, after two epochs."""
    outcome = Outcome(
        number=trial.number,
        ended="complete",
        value=0.75,
        best_epoch=2,
        epochs=2,
        gap=0.0,
        loss=(2.0, 1.0),
        accuracy=(0.5, 0.75),
        val_loss=(2.0, 1.5),
        val_accuracy=(0.5, 0.75),
        seconds=Seconds(training=1.0),
    )
    return trial.end("complete", outcome, waited=0.0)


def write_result(folder: StudyFolder, **more: object) -> None:
    """Write the result of a study whose only trial, 0, has won."""
    test = Evaluation(accuracy=0.5, interval_95=(0.3, 0.7), count=20, confusion=((5, 5), (5, 5)))
    facts = {"at": "2026-01-01T00:00:00+00:00", "trials": 1, "tests": 1, "cut": False, "best": 0, "under": None}
    facts |= {"val_accuracy": 0.9, "with_validation": False, "trained": "", "test": test}
    facts |= {"model_uri": None, "mlflow": None, "seconds": {}, "final": None}
    folder.result_file.write_text(Result.model_validate(facts | more).model_dump_json(), encoding="utf-8")
