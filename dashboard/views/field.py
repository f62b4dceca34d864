"""What the layers of a network see of one of the study's images."""

import streamlit as st

from ...search.data import Dataset
from ...search.images.decoding import resized
from ...search.study.folder import StudyFolder
from ...spaces.architecture import Architecture
from ...spaces.errors import InputError
from ..figures.trial.field import field, fields
from ..page import shown


def show_field(architecture: Architecture, name: str, folder: StudyFolder | None) -> None:
    """Draw the receptive fields over one of the study's images; without its folder there are none."""
    seen_by = fields(architecture)
    if not seen_by:
        return
    st.subheader("Receptive field")
    if (dataset := dataset_of(folder)) is None:
        st.info("They are in the home in which the study was run.", title="The images are not here")
        return
    number = st.number_input("Image", 0, len(dataset) - 1, 0, key="image", bind="query-params", width=160)
    input = architecture.input
    image = resized(dataset.images()[int(number)], (input.height, input.width), dataset.fit)
    shown.figure(field(image, seen_by), f"{name}-field", "The receptive field of each layer's central value")


def dataset_of(folder: StudyFolder | None) -> Dataset | None:
    """Return a study's images; None if they, or its folder, are not here or cannot be read."""
    if folder is None:
        return None
    try:
        return Dataset.load(folder.data(folder.read()))
    except (InputError, OSError):
        return None
