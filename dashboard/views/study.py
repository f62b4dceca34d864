"""One study: its trials and how the best grew."""

from pathlib import Path

import streamlit as st

from .. import charts, runs


def page(home: Path) -> None:
    """Draw the page; `?study=NAME` chooses the study."""
    names = runs.study_names(home)
    if not names:
        st.info(f"No study in {home} yet. Type `convsearch run` to make one.")
        return
    asked = st.query_params.get("study")
    name = st.selectbox("Study", names, index=names.index(asked) if asked in names else 0)
    st.query_params["study"] = name
    trials = runs.trials(home, name)
    if trials["validation"].isna().all():
        st.info("No trial of this study has finished yet.")
    else:
        st.plotly_chart(charts.best_over_trials(trials))
    st.dataframe(
        trials.sort_values("validation", ascending=False),
        hide_index=True,
        column_config={
            "validation": st.column_config.NumberColumn(format="percent"),
            "train - validation": st.column_config.NumberColumn(format="percent"),
        },
    )
