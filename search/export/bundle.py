"""The bundle: a folder that works without Convsearch. It is checked in a fresh process before it gets its name."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ...spaces.building.program import source
from ..data import Dataset, Split
from ..images.resizing import at_size
from .labels import write_labels
from .model_card import Facts, model_card
from .preprocessing import Preprocessing
from .verify import CHECKED, Verifier


def write_bundle(
    place: Path,
    model: Any,
    batch_norm_momentum: float,
    facts: Facts,
    dataset: Dataset,
    split: Split,
    verifier: Verifier,
) -> float:
    """Write the bundle of a trained model and return by how much its predictions differed in a fresh process.

    Args:
        place: an empty folder, which gets its name only when the bundle in it is complete and checked.
        model: the Keras model, raw images in, probabilities out.
        batch_norm_momentum: what the model was built with.
        facts: for the model card.
        dataset: the data.
        split: the parts of the data; the check uses some of the training images.
        verifier: the process that checks it.

    Raises:
        WorkError: the saved model does not load elsewhere, or predicts something else.
    """
    candidate = facts.candidate
    model.save(place / "model.keras")
    (place / "architecture.json").write_text(
        json.dumps(candidate.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8"
    )
    (place / "model.py").write_text(source(candidate.architecture, batch_norm_momentum), encoding="utf-8")
    write_labels(place / "labels.txt", dataset.classes)
    Preprocessing.of(dataset).write(place)
    program = Path(__file__).with_name("predict.py").read_text(encoding="utf-8")
    (place / "predict.py").write_text(program, encoding="utf-8")
    images = split.examples(at_size(dataset, model.input_shape[1:3]), CHECKED)
    difference = verifier.verify(place, images, model.predict(images, verbose=0))
    card = model_card(dataclasses.replace(facts, difference=difference))
    (place / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return difference
