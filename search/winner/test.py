"""The one test of the winner, and its bundle: a program (`main`), because it needs Keras and the loop does not."""

import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ...spaces.memory.evaluation import evaluation_batch
from ..data import Dataset, Split
from ..export.verify import Verifier
from ..images.resizing import at_size
from ..study.folder import StudyFolder
from ..study.objectives import front
from ..study.record import Record
from ..study.settings import StudySettings
from ..system.backend import import_keras
from ..system.files import replacing_folder
from ..system.programs import answer
from ..values.evaluation import Evaluation
from .winner import Winner


def main(connection: Connection) -> None:
    """Test and export a winner; `winner/result.py` has the question and the answer."""
    import_keras(start=False)

    def work(question: dict[str, Any]) -> dict[str, Any]:
        folder, winner = StudyFolder(Path(question["folder"])), Winner.model_validate(question["winner"])
        test, seconds = test_and_export(folder, winner)
        return {"test": test.model_dump(mode="json"), "testing": seconds}

    answer(connection, work)


def test_and_export(folder: StudyFolder, winner: Winner) -> tuple[Evaluation, float]:
    """Test a study's winner, once, and write its bundle; return the test, and the seconds that it took.

    Raises:
        WorkError: the weights are gone, or the bundle does not load in a fresh process.
    """
    began = time.monotonic()
    with Verifier() as verifier:
        from ..export.bundle import write_bundle
        from ..export.model_card import Facts
        from ..export.trained import trained_model
        from ..training.evaluation import evaluate

        study, record = folder.read(), folder.record()
        dataset, split = Dataset.load(folder.data(study)), Split.load(folder.split)
        images = len(split.train) + (len(split.val) if winner.with_validation else 0)
        model, momentum = trained_model(winner.candidate, winner.weights, images)
        images_at_size = at_size(dataset, model.input_shape[1:3])  # which the disk may have no room for
        folder.note_test(winner.trial.number)
        test = evaluate(model, images_at_size, split.test, evaluation_batch(winner.candidate.architecture))
        seconds = time.monotonic() - began
        standing = folder.repeats().standing(winner.trial)
        facts = Facts(
            study,
            winner.trial,
            winner.candidate,
            {str(state): count for state, count in record.counts().items()},
            winner.val_accuracy,
            winner.trained,
            test,
            tests=folder.tests(),
            chosen=_chosen(study, record),
            with_validation=winner.with_validation,
            repeats=None if standing.spread is None else standing.summary,
        )
        with replacing_folder(folder.bundle) as place:
            write_bundle(place, model, momentum, facts, dataset, split, verifier)
            folder.result_file.unlink(missing_ok=True)  # of the bundle before: a kill must not leave it with this one
    return test, seconds


def _chosen(study: StudySettings, record: Record) -> str | None:
    """Return how the winner was chosen from the front, if there were several objectives."""
    preference = study.preference
    if not preference.several:
        return None
    count = len(front(record.trials.values(), preference.objectives))
    return f"{preference}, out of {count} trials on the front"
