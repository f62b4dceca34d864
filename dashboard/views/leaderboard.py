"""The leaderboard of a study: its trials in a table, which may be selected to be opened or compared."""

from pathlib import Path

import pandas as pd
import streamlit as st

from ..reading.order import sortable
from ..reading.rows import MEASURES, NUMBER, OPTION, heading
from ..reading.study import Study

ALWAYS = ["trial", "state", "validation", "architecture"]
ORDERS = HIGHEST, LOWEST = "highest first", "lowest first"
USUAL = ["gap", "parameters", "MACs", "seconds"]
FORMATS = {
    "trial": st.column_config.NumberColumn(pinned=True),
    "validation": st.column_config.NumberColumn(format="percent"),
    "gap": st.column_config.NumberColumn("train − validation", format="percent"),
    "parameters": st.column_config.NumberColumn(format="compact"),
    "MACs": st.column_config.NumberColumn(format="compact"),
    "seconds": st.column_config.NumberColumn(format="%.1f"),
}
SELECTED = "selected"  # the key of the leaderboard, and what the address calls its selected trials


def leaderboard(home: Path, study: Study, trials: pd.DataFrame) -> None:
    """Draw the view."""
    measures = [name for name in MEASURES.values() if name not in ALWAYS]
    columns = [*measures, "worker", "began", "ended", *(OPTION + name for name in study.options)]
    called = {heading(column): column for column in ("validation", "trial", *columns)}
    others = list(map(heading, columns))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        more = st.multiselect("Columns", others, USUAL, key="columns", bind="query-params", width="stretch")
        by = st.selectbox("Sorted by", ["validation", "trial", *others], key="sorted", bind="query-params", width=180)
        order = st.selectbox("Order", ORDERS, key="order", bind="query-params", width=160)
    table = trials.sort_values(called[by], ascending=order == LOWEST, kind="stable", ignore_index=True, key=sortable)
    rows = table[[*ALWAYS, *(called[name] for name in more)]].rename(columns=heading)
    numbers = _selected(table["trial"].tolist(), study.name)
    st.dataframe(
        rows,
        hide_index=True,
        key=SELECTED,
        on_select="rerun",
        selection_mode="multi-row",
        alt=f"Trials by {by}, {order}",
        column_config=FORMATS,
    )
    _links(study.name, numbers)


def _selected(numbers: list[int], study: str) -> list[int]:
    """Return the selected trials; move the selection to their current rows when others have arrived.

    The table knows selected rows only by their index, so the trials of all rows are kept from the last drawing.

    Args:
        numbers: of the trials in the order in which they are about to be shown.
        study: whose trials they are.
    """
    kept: tuple[str | None, list[int], list[int]] = st.session_state.get("drawn", (None, [], []))
    drawn_of, drawn, chosen = kept
    if drawn_of is None:
        chosen = [int(word) for word in st.query_params.get(SELECTED, "").split(",") if NUMBER.fullmatch(word)]
    elif drawn_of != study:
        chosen = []
    elif SELECTED in st.session_state:  # not while another view is shown
        rows = st.session_state[SELECTED]["selection"]["rows"]
        visible = set(drawn)
        hidden = [number for number in chosen if number not in visible]  # by a filter
        chosen = hidden + [drawn[row] for row in rows if row < len(drawn)]
    places = {number: place for place, number in enumerate(numbers)}
    rows = [places[number] for number in chosen if number in places]
    st.session_state["drawn"] = study, numbers, chosen
    st.session_state[SELECTED] = {"selection": {"rows": rows}}
    if chosen:
        st.query_params[SELECTED] = ",".join(map(str, chosen))
    else:
        st.query_params.pop(SELECTED, None)
    return chosen


def _links(name: str, numbers: list[int]) -> None:
    pages = st.session_state["pages"]
    if len(numbers) == 1:
        st.page_link(
            pages["trial"], label=f"Open trial {numbers[0]}", query_params={"study": name, "trial": str(numbers[0])}
        )
    elif 2 <= len(numbers) <= 4:
        query = [("study", name), *(("trials", str(number)) for number in numbers)]
        st.page_link(pages["compare"], label="Compare these trials", query_params=query)
    else:
        st.caption("Select one trial to open it, two to four to compare them.")
