"""Two to four trials side by side: their networks, what differs, their curves in one figure."""

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from ...spaces.architecture import Candidate
from ...spaces.draw_svg import draw_svg
from .. import shown
from ..figures.curves import NAMES, curves

MOST = 4


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Compare")
    study = shown.chosen_study(home)
    numbers = study.trials["trial"].tolist()
    best = study.trials.dropna(subset=["validation"]).nlargest(2, "validation")["trial"].tolist()
    chosen = st.multiselect("Trials", numbers, best, key="trials", bind="query-params", max_selections=MOST)
    if len(chosen) < 2:
        st.info("Choose two to four of them.", title="Nothing to compare yet")
        return
    table = study.trials.set_index("trial").loc[chosen]
    store = shown.store(home)
    texts = {number: store.text(table.loc[number, "run"], "architecture.json") for number in chosen}
    for number in chosen:
        with st.container(border=True):
            value = table.loc[number, "validation"]
            st.markdown(f"**Trial {number}**" + ("" if pd.isna(value) else f" — {value:.1%}"))
            if (text := texts[number]) is None:
                st.caption("MLflow has no architecture.json of it.")
                continue
            architecture = Candidate.model_validate(json.loads(text)).architecture
            st.image(draw_svg(architecture), alt=f"The volumes of {architecture}", width="stretch")
    measure = st.selectbox(
        "Curve", list(NAMES), format_func=NAMES.__getitem__, key="compared", bind="query-params", width=220
    )
    found = store.curves(study, chosen)
    shown.figure(curves(found, measure, study.trials), f"{study.name}-compared", "Curves of the compared trials")
    _differences(table)


def _differences(table: pd.DataFrame) -> None:
    st.subheader("What differs")
    rows = table.drop(columns=["run", "hash", "began", "ended", "lost", "worker"]).T
    differing = rows[rows.astype(str).nunique(axis=1) > 1]
    differing.index = differing.index.str.removeprefix("option.")
    shown_rows = differing.astype(str).replace({"nan": "–", "None": "–", "<NA>": "–"})
    st.dataframe(shown_rows.reset_index(names=""), hide_index=True, key="differences", alt="What differs between them")
