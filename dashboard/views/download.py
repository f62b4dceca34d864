"""The bundle of a trial to download, from the folder of its study."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ...search.study.folder import StudyFolder
from ...search.values.commands import command
from ..page.words import plain, plain_lines
from ..reading.bundle import BundleError, bundle, folder_of, reference, winner
from ..reading.study import Study

BUNDLE = "bundles"  # in the session: the last bundle made, by its trial's run


def files_of(home: Path, study: Study, trial: "pd.Series[Any]") -> StudyFolder | None:
    """Return the folder with the files of a trial; if they are not here, show why and return None."""
    try:
        return folder_of(home, study.name, study.identity, int(trial["trial"]), trial["run"])
    except BundleError as error:
        st.info(plain(str(error)), title="Its files are not here")
        return None


def show_bundle(home: Path, study: Study, trial: "pd.Series[Any]", folder: StudyFolder | None) -> None:
    """Offer the bundle of a trial, where its files are here and its weights are kept."""
    if folder is None:
        return
    st.subheader("Download")
    number = int(trial["trial"])
    is_winner = winner(folder) == number
    if not is_winner and number not in folder.kept():
        kept = ", ".join(map(str, folder.kept())) or "none"
        st.info(f"Weights are kept for these trials: {kept}.", title="Its weights are not kept")
        return
    if is_winner:
        st.caption("The study's winner: trained to the end, and tested once on images that it had never seen.")
    exported = None if is_winner else number
    st.code(command("export", reference(folder.name, exported), "--to", "DIR", home=home), language="shell")
    st.caption("The model, its labels, its card and a program that predicts; it is checked in a fresh process first.")
    made: dict[str, bytes] = st.session_state.setdefault(BUNDLE, {})
    if st.button("Make the bundle", key="make", icon=":material/package_2:"):
        made.clear()  # one at a time is kept
        try:
            with st.spinner("making and checking it"):
                made[trial["run"]] = bundle(home, folder.name, exported)
        except BundleError as error:
            st.error(plain_lines(str(error)), title="It cannot be made")
    if (found := made.get(trial["run"])) is not None:
        st.download_button(
            "Download it",
            found,
            f"{study.name}-{number}.zip",
            "application/zip",
            key="bundle",
            icon=":material/download:",
            on_click="ignore",
            type="primary",
        )
