"""From the best trial to the bundle: trains it once more, tests it once, exports it, and writes `result.json`."""

import logging

from ..export.verify import Verifier
from ..loop.budget import Budget
from ..loop.prepared import Prepared
from ..study.objectives import front
from ..study.result import Result, Training
from ..study.trial import now
from ..system.backend import import_keras
from ..system.files import write_text
from .long_training import Winner

log = logging.getLogger(__name__)


def _chosen(prepared: Prepared) -> str | None:
    """Return how one of many good trials was named, where there were several objectives."""
    preference = prepared.study.preference
    if not preference.several:
        return None
    count = len(front(prepared.record.trials.values(), preference.objectives))
    return f"{preference}, of {count} trials that no other one beats in everything"


def test_and_export(prepared: Prepared, winner: Winner, budget: Budget) -> None:
    """Test the winner, once; write the bundle, and `result.json`."""
    folder = prepared.folder
    log.info("testing and exporting")
    with Verifier() as verifier:
        import_keras()
        from ..export.bundle import write_bundle
        from ..export.model_card import Facts
        from ..export.trained import trained_model
        from ..training.evaluation import evaluate

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
