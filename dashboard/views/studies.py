"""All studies, a line each."""

from pathlib import Path

import pandas as pd
import streamlit as st

from .. import runs


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Studies")
    names = runs.study_names(home)
    if not names:
        st.info(f"No study in {home} yet. Type `convsearch run` to make one.")
        return
    rows = []
    for name in names:
        trials = runs.trials(home, name)
        best = trials.sort_values("validation", ascending=False).head(1)
        rows.append(
            {
                "study": name,
                "trials": len(trials),
                "best validation": best["validation"].max() if len(best) else None,
                "architecture": best["architecture"].iloc[0] if len(best) else "",
                "open": f"/study?study={name}",
            }
        )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "best validation": st.column_config.NumberColumn(format="percent"),
            "open": st.column_config.LinkColumn(display_text="open"),
        },
    )
