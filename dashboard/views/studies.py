"""All studies, one per line: their progress, and the best that each has found."""

from pathlib import Path
from urllib.parse import quote

import pandas as pd
import streamlit as st

from ..page import live
from ..page.words import counts
from ..reading.progress import progress_of
from ..reading.study import Study

POINTS = 40  # of a sparkline


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Studies")
    names = live.names_or_stop(home)
    studies = [study for name in names if (study := live.read(home, name)) is not None]
    st.dataframe(
        pd.DataFrame([_row(study, home) for study in studies]),
        hide_index=True,
        key="studies",
        alt="All studies, the newest first",
        column_config={
            "study": st.column_config.LinkColumn(display_text=r"study=(.*)$", pinned=True),
            "test": st.column_config.NumberColumn("test accuracy", format="percent"),
            "best": st.column_config.NumberColumn("best validation", format="percent"),
            "network": st.column_config.TextColumn(width="large"),
            "best over time": st.column_config.LineChartColumn(),
            "began": st.column_config.DatetimeColumn(format="distance"),
        },
    )
    if len(studies) > 1:
        st.page_link(st.session_state["pages"]["compare"], label="Compare studies", query_params={"what": "Studies"})
    live.watch(home, studies)


def _row(study: Study, home: Path) -> dict[str, object]:
    known = study.trials.dropna(subset=["validation"])
    best = study.best
    return {
        "study": f"/study?study={quote(study.name)}",
        "state": progress_of(study, home).text,
        "test": study.test_accuracy,
        "best": None if best is None else best["validation"],
        "network": "" if best is None else best["architecture"],
        "best over time": list(known["validation"].cummax().iloc[:: -max(1, len(known) // POINTS)])[::-1],
        "trials": counts(study.trials),
        "data": study.data,
        "engine": study.engine,
        "began": study.created,
    }
