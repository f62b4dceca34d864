"""One study: its trials, and what can be seen of them. Live while it runs; every view has its address."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from ...search.record import STATES
from .. import shown
from ..figures.course import OVER, course
from ..figures.curves import NAMES, curves
from ..figures.fit import fit
from ..figures.front import front, front_figure
from ..figures.importances import importances
from ..figures.parallel import parallel
from ..figures.slices import contour_of, slice_of
from ..figures.timeline import timeline
from ..progress import progress_of
from ..store import MEASURES, OPTION, Study

ALWAYS = ["trial", "state", "validation", "architecture"]
USUAL = ["gap", "parameters", "MACs", "seconds"]
OVERLAID = 10  # curves that are shown where nothing else is asked for
AXES = 8  # of parallel coordinates, where nothing else is asked for


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Study")
    study = shown.chosen_study(home)
    view = st.segmented_control(
        "View",
        list(VIEWS),
        key="view",
        default="Leaderboard",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    running = progress_of(study).state == "running"
    st.fragment(shown.told(_live), run_every=shown.LIVE if running else None)(home, study.name, view)


def _live(home: Path, name: str, view: str) -> None:
    study = shown.read(home, name)
    _head(study)
    if study.trials.empty:
        st.info("The first trial is about to begin; it will appear here.", title="No trial yet")
        return
    trials = _filtered(study)
    if view not in ("Leaderboard", "Failures", "Workers") and trials["validation"].isna().all():
        _nothing_finished(study)
        return
    VIEWS[view](home, study, trials)


def _head(study: Study) -> None:
    best, progress = study.best, progress_of(study)
    with st.container(horizontal=True):
        st.metric("Best validation", "–" if best is None else f"{best['validation']:.1%}", border=True)
        st.metric("Trials", f"{len(study.trials):,}", border=True, help=shown.counts(study.trials) or None)
        st.metric("State", progress.state, border=True, help=progress.told)
        st.metric("Data", study.data or "–", border=True)
        st.metric("Engine", study.engine or "–", border=True)
    if best is not None:
        st.caption(f"Trial {best['trial']}: `{best['architecture']}`; {progress.told}")


def _nothing_finished(study: Study) -> None:
    if (study.trials["state"] == "failed").any():
        st.warning("Failures shows the reasons.", title="All trials so far have failed")
    else:
        st.info("It will appear here.", title="No trial has finished yet")


def _filtered(study: Study) -> pd.DataFrame:
    """Return the trials that are asked for, by state and by the words in their architecture."""
    trials = study.trials
    with st.container(horizontal=True, vertical_alignment="bottom"):
        there = [state for state in STATES if (trials["state"] == state).any()]
        states = st.pills("States", there, selection_mode="multi", key="states", bind="query-params")
        text = st.text_input("Architecture contains", key="architecture", bind="query-params", width=240)
    if states:
        trials = trials[trials["state"].isin(states)]
    if text:
        trials = trials[trials["architecture"].fillna("").str.contains(text, regex=False)]
    return trials


# ---------------------------------------------------------------------- the views


def _leaderboard(home: Path, study: Study, trials: pd.DataFrame) -> None:
    measures = [name for name in MEASURES.values() if name not in ALWAYS]
    more = st.multiselect(
        "Columns", [*measures, "worker", "began", "ended", *study.options], USUAL, key="columns", bind="query-params"
    )
    columns = [*ALWAYS, *(name if name in trials else OPTION + name for name in more)]
    table = trials.sort_values("validation", ascending=False, ignore_index=True)
    rows = table[columns].rename(columns=lambda name: name.removeprefix(OPTION))
    chosen = st.dataframe(
        rows,
        hide_index=True,
        key="leaderboard",
        on_select="rerun",
        selection_mode="multi-row",
        alt="Trials, the best first",
        column_config={
            "trial": st.column_config.NumberColumn(pinned=True),
            "validation": st.column_config.NumberColumn(format="percent"),
            "gap": st.column_config.NumberColumn("train − validation", format="percent"),
            "parameters": st.column_config.NumberColumn(format="compact"),
            "MACs": st.column_config.NumberColumn(format="compact"),
            "seconds": st.column_config.NumberColumn(format="%.1f"),
        },
    ).selection.rows
    with st.container(horizontal=True):
        numbers = [int(table["trial"].iloc[row]) for row in chosen if row < len(table)]
        _links(study.name, numbers)
        shown.csv(rows, f"{study.name}-trials")


def _links(name: str, numbers: list[int]) -> None:
    pages = st.session_state["pages"]
    if len(numbers) == 1:
        st.page_link(
            pages["trial"], label=f"Open trial {numbers[0]}", query_params={"study": name, "trial": str(numbers[0])}
        )
    elif 2 <= len(numbers) <= 4:
        asked = {"study": name, "trials": ",".join(map(str, numbers))}
        st.page_link(pages["compare"], label="Compare these trials", query_params=asked)
    else:
        st.caption("Select one trial to open it, two to four to compare them.")


def _course(home: Path, study: Study, trials: pd.DataFrame) -> None:
    over = st.segmented_control("Over", OVER, key="over", default="trial", required=True, bind="query-params")
    shown.figure(course(trials, over), f"{study.name}-best", "Validation accuracy of all trials and the best so far")


def _curves(home: Path, study: Study, trials: pd.DataFrame) -> None:
    ranked = trials.sort_values("validation", ascending=False)["trial"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = st.selectbox(
            "Curve", list(NAMES), format_func=NAMES.__getitem__, key="curve", bind="query-params", width=220
        )
        by = st.selectbox("Coloured by", ["", *study.options], key="coloured", bind="query-params", width=220)
        most = st.number_input("Of the best", 1, 50, OVERLAID, key="most", bind="query-params", width=140)
    found = shown.store(home).curves(study, ranked.head(int(most)))
    drawn = curves(found, measure, trials, OPTION + by if by else None)
    shown.figure(drawn, f"{study.name}-{measure}", "Learning curves of the best trials")


def _fit(home: Path, study: Study, trials: pd.DataFrame) -> None:
    st.caption("Far above zero is overfitted: what is learnt by heart. Around zero with little accuracy: underfitted.")
    shown.figure(fit(trials), f"{study.name}-fit", "How much better trials do on what they learn from")


def _importances(home: Path, study: Study, trials: pd.DataFrame) -> None:
    shares = study.importances
    if not shares:
        st.info("They are worked out when the search has ended, from ten trials on.", title="No importances yet")
        return
    shown.figure(importances(shares), f"{study.name}-importances", "What mattered, by PED-ANOVA")


def _parallel(home: Path, study: Study, trials: pd.DataFrame) -> None:
    first = sorted(study.options, key=lambda name: -study.importances.get(name, 0.0))[:AXES]
    options = st.multiselect("Axes", study.options, first, key="axes", bind="query-params")
    if options:
        shown.figure(parallel(trials, options), f"{study.name}-parallel", "Trials through their options")


def _slice(home: Path, study: Study, trials: pd.DataFrame) -> None:
    if not study.options:
        st.info("All trials have the same options.", title="Nothing to slice")
        return
    with st.container(horizontal=True):
        one = st.selectbox("Option", study.options, key="option", bind="query-params", width=220)
        other = st.selectbox("Against", ["", *study.options], key="against", bind="query-params", width=220)
    if other and other != one:
        shown.figure(contour_of(trials, one, other), f"{study.name}-contour", f"The best at each {one} and {other}")
    else:
        shown.figure(slice_of(trials, one), f"{study.name}-slice", f"Validation accuracy by {one}")


def _front(home: Path, study: Study, trials: pd.DataFrame) -> None:
    measures = [name for name in MEASURES.values() if trials[name].notna().any()]
    with st.container(horizontal=True):
        one = st.selectbox(
            "Across", measures, measures.index("parameters"), key="across", bind="query-params", width=220
        )
        other = st.selectbox("Up", measures, key="up", bind="query-params", width=220)
    shown.figure(front_figure(trials, one, other), f"{study.name}-front", "The trials that none beats in both")
    best = front(trials, one, other)[["trial", one, other, "architecture"]]
    st.dataframe(best, hide_index=True, key="front", alt="The front")


def _workers(home: Path, study: Study, trials: pd.DataFrame) -> None:
    shown.figure(
        timeline(trials, pd.Timestamp(datetime.now(UTC))), f"{study.name}-workers", "When each worker ran what"
    )


def _failures(home: Path, study: Study, trials: pd.DataFrame) -> None:
    failed = trials[trials["state"] == "failed"]
    if failed.empty:
        st.success("No trial of this study has failed.")
        return
    for reason, rows in failed.groupby("error", sort=False, dropna=False):
        with st.container(border=True):
            st.text(str(reason))
            st.caption(f"{len(rows):,} trials")
            st.dataframe(
                rows[["trial", "architecture", "worker"]], hide_index=True, key=f"failed-{rows['trial'].iloc[0]}"
            )


VIEWS: dict[str, Callable[[Path, Study, pd.DataFrame], None]] = {
    "Leaderboard": _leaderboard,
    "Best": _course,
    "Curves": _curves,
    "Fit": _fit,
    "Importances": _importances,
    "Parallel": _parallel,
    "Slice": _slice,
    "Front": _front,
    "Workers": _workers,
    "Failures": _failures,
}
