"""All studies, a line each: how far they are, and the best that each has found."""

from pathlib import Path

import pandas as pd
import streamlit as st

from .. import shown
from ..progress import progress_of

POINTS = 40  # of a sparkline


def page(home: Path) -> None:
    """Draw the page, again and again while somebody looks."""
    st.title("Studies")
    _table(home)


@st.fragment(run_every=shown.LIVE)
@shown.told
def _table(home: Path) -> None:
    rows = []
    for name in shown.names_or_stop(home):
        study = shown.read(home, name)
        trials = study.trials
        known = trials.dropna(subset=["validation"])
        best = study.best
        state = progress_of(study)
        rows.append(
            {
                "study": f"/study?study={name}",
                "state": state.told,
                "best": None if best is None else best["validation"],
                "network": "" if best is None else best["architecture"],
                "best over time": list(known["validation"].cummax().iloc[:: max(1, len(known) // POINTS)]),
                "trials": shown.counts(trials),
                "data": study.data,
                "engine": study.engine,
                "began": study.created,
            }
        )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="studies",
        alt="All studies, the newest first",
        column_config={
            "study": st.column_config.LinkColumn(display_text=r"study=(.*)$", pinned=True),
            "best": st.column_config.NumberColumn("best validation", format="percent"),
            "best over time": st.column_config.LineChartColumn(),
            "began": st.column_config.DatetimeColumn(format="distance"),
        },
    )
