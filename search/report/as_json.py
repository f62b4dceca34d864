"""`show --json`: the results of a study, in the documented form for scripts."""

from typing import Any

from ...spaces.space import SearchSpace
from ..engines.importance import METHOD, importances
from ..study.folder import StudyFolder
from ..study.objectives import OBJECTIVES, front_facts
from ..study.record import Record
from ..study.repeats import Repeats
from ..study.runs import Runs
from ..study.settings import StudySettings
from ..study.trial import Trial
from .spread import spread_in_home
from .standings import chosen, known_first_two, known_standings, verdict_of


def as_json(folder: StudyFolder) -> dict[str, Any]:
    """Return the study as `show --json` prints it."""
    study, record, result = folder.read(), folder.record(), folder.result()
    best = next(iter(record.best()), None)
    repeats, again = folder.repeats(), folder.standing(record)
    runs = Runs(folder.path)
    data = study.data
    return {
        "study": study.name,
        "engine": study.engine,
        "algorithm": study.algorithm,
        "objective": study.objectives[0],
        "direction": OBJECTIVES[study.objectives[0]].direction,
        "objectives": [{"name": name, "direction": OBJECTIVES[name].direction} for name in study.objectives],
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "input": list(data.input),
            "input_sizes": [list(size) for size in study.sizes],
            "classes": len(data.classes),
            "train": data.train,
            "val": data.val,
            "test": data.test,
        },
        "seconds": sum(trial.seconds for trial in record.trials.values()),
        "counts": record.counts(),
        "trials": [_trial(trial, runs) for trial in sorted(record.trials.values(), key=lambda t: t.number)],
        "best": {"number": best.number, "value": best.value} if best else None,
        "front": front_facts(record, study.objectives) if study.preference.several else [],
        "winner": {
            "number": result.best,
            "val_accuracy": result.val_accuracy,
            "mean": again.mean if again else None,
            "spread": again.spread if again else None,
            "with_validation": result.with_validation,
            "trained": result.trained,
            "chosen": chosen(study, result),
        }
        if result
        else None,
        "repeats": [
            {"number": one.trial.number, "values": one.values, "mean": one.mean, "spread": one.spread}
            for one in known_standings(record, repeats, study.preference)
            if one.spread is not None
        ],
        "lead": _lead(folder, record, repeats, study),
        "importances": _importances(folder.space(study, record), record),
        "test": {"accuracy": result.test.accuracy, "interval_95": result.test.interval_95} if result else None,
        "bundle": str(folder.bundle) if result else None,
    }


def _importances(space: SearchSpace, record: Record) -> dict[str, Any] | None:
    found = importances(space, record)
    return None if found is None else {"method": METHOD, "trials": found.trials, "dimensions": found.shares}


def _lead(folder: StudyFolder, record: Record, repeats: Repeats, study: StudySettings) -> dict[str, Any] | None:
    found = known_first_two(record, repeats, study.preference)
    if found is None:
        return None
    first, second = found
    within_noise, _ = verdict_of(first, second, study.data.val, lambda: spread_in_home(folder))
    return {
        "first": first.trial.number,
        "second": second.trial.number,
        "difference": first.mean - second.mean,
        "within_noise": within_noise,
    }


def _trial(trial: Trial, runs: Runs) -> dict[str, Any]:
    return trial.model_dump(mode="json", exclude={"values"}) | {
        "size_kb": trial.candidate.architecture.size_kb,
        "mlflow_run_id": trial.mlflow_run_id or runs.of(trial.number),
    }
