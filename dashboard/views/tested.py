"""A study's winner on the test images: its confusion matrix, and the images that it got wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from ...search.delivery.tracking import TEST_FILE
from ...search.study.folder import StudyFolder
from ...search.values.evaluation import Evaluation
from ..figures.trial.confusion import confusion
from ..page import live, shown
from ..page.words import plain
from ..reading.study import Study
from .field import dataset_of

SHOWN = 24  # images
LARGE = 96  # least pixels of an image as drawn


def test_of(home: Path, study: Study) -> tuple[int, Evaluation] | None:
    """Return the winner's number and its test, by the last launch that tested one."""
    for launch in reversed(study.launches):
        if "test_accuracy" not in launch.metrics:
            continue
        text = live.store(home).text(launch.run_id, TEST_FILE, keep=launch.ended is not None)
        try:
            found: dict[str, Any] = json.loads(text or "")
            return int(found.pop("trial")), Evaluation.model_validate(found)
        except (ValueError, OverflowError, RecursionError, TypeError, KeyError, AttributeError):  # missing or damaged
            continue
    return None


def interval_of(test: Evaluation) -> str:
    """Return between which shares the accuracy on all such images probably is, as text."""
    low, high = test.interval_95
    return f"95 % interval {low:.1%} to {high:.1%}"


def show_test(test: Evaluation, name: str, folder: StudyFolder | None) -> None:
    """Draw the confusion matrix, and the images where they are here."""
    st.subheader("Test")
    count, interval = f"{test.count:,}", interval_of(test)
    st.markdown(f"**{test.accuracy:.1%}** of {count} images that it had never seen before ({interval}).")
    dataset = dataset_of(folder)
    if dataset is not None and len(dataset.classes) != len(test.confusion):
        dataset = None  # of other data
    classes = [str(number) for number in range(len(test.confusion))] if dataset is None else list(dataset.classes)
    shown.figure(confusion(test.confusion, classes), f"{name}-confusion", "Confusion matrix")
    if not test.mistakes:
        return
    st.markdown(
        f"**What it got wrong**, the most confident first ({min(SHOWN, len(test.mistakes))} of {len(test.mistakes)})"
    )
    if dataset is None:
        st.info("They are in the home in which the study was run.", title="The images are not here")
        return
    images = dataset.images()
    with st.container(horizontal=True):
        for mistake in test.mistakes[:SHOWN]:
            if max(mistake.label, mistake.guess) >= len(classes) or mistake.image >= len(images):
                continue  # of other data
            caption = f"{classes[mistake.label]} taken for {classes[mistake.guess]}, {mistake.confidence:.0%}"
            st.image(enlarged(images[mistake.image]), plain(caption), LARGE + 24, alt=caption)


def enlarged(image: np.ndarray) -> np.ndarray:
    """Return an image (height, width, depth) with whole squares for pixels, LARGE or more on its longer side."""
    times = max(1, -(-LARGE // max(image.shape[:2])))
    large = image.repeat(times, axis=0).repeat(times, axis=1)
    return large[..., 0] if large.shape[2] == 1 else large
