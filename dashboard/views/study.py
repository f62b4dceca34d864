"""One study: its result once it is finished, and views of its trials, live while it runs; each has an address."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from ...search.study.trial import STATES
from ...search.values.evaluation import Evaluation
from ..figures.course import OVER, course
from ..figures.fit import fit
from ..figures.front import front, front_figure
from ..figures.importances import importances
from ..figures.learning_curves import NAMES, curves
from ..figures.parallel import MOST as LINES
from ..figures.parallel import parallel
from ..figures.slices import contour_of, has_many, slice_of
from ..figures.thinned import MOST as MARKS
from ..figures.timeline import MOST as BARS
from ..figures.timeline import timeline
from ..page import address, live, shown
from ..page.words import counts, plain
from ..page.zoom import by_mouse
from ..reading.progress import Progress, progress_of
from ..reading.rows import MEASURES, OPTION, heading
from ..reading.study import Study
from .download import files_of, show_bundle
from .leaderboard import FORMATS, leaderboard
from .tested import interval_of, show_test, test_of

RESULT = "Result"  # the view with which a study opens that is finished and has a winner
OVERLAID = 10  # curves shown by default
AXES = 8  # of parallel coordinates, where nothing else is asked for


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Study")
    study = live.chosen_study(home)
    progress, tested = progress_of(study, home), test_of(home, study)
    result = tested if progress.state == "finished" else None
    views = list(VIEWS) if result is None else [RESULT, *VIEWS]
    view = st.segmented_control(
        "View",
        views,
        key="view",
        default=views[0],
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    _head(study, progress, tested)
    if result is not None and view == RESULT:
        _result(home, study, *result)
    else:
        live.part(view, _view, home, study, view)
    live.watch(home, [study])


def _head(study: Study, progress: Progress, tested: tuple[int, Evaluation] | None) -> None:
    best = study.best
    with st.container(horizontal=True):
        if tested is not None and progress.state == "finished":
            st.metric("Test accuracy", f"{tested[1].accuracy:.1%}", border=True, help=interval_of(tested[1]))
        st.metric("Best validation", "–" if best is None else f"{best['validation']:.1%}", border=True)
        st.metric("Trials", f"{len(study.trials):,}", border=True, help=counts(study.trials) or None)
        st.metric("State", progress.state, border=True, help=plain(progress.text))
        st.metric("Data", plain(study.data) or "–", border=True)
        st.metric("Engine", plain(study.engine) or "–", border=True)
    if tested is not None:
        number, test = tested
        st.page_link(
            st.session_state["pages"]["trial"],
            label=f"Winner: trial {number}, {test.accuracy:.1%} of {test.count:,} test images",
            query_params={"study": study.name, "trial": str(number)},
        )
    summary = progress.text
    if best is not None:
        what = "Best" if tested is None else f"Test: {interval_of(tested[1])}; best validation"
        summary = f"{what}: trial {best['trial']}, {best['architecture']}; {summary}"
    st.caption(plain(summary))


def _result(home: Path, study: Study, number: int, test: Evaluation) -> None:
    """Draw what the study has come to: the winner's network, how it was found, its test, and the bundle."""
    name = f"{study.name}-{number}"
    winner = study.row(number) if number in set(study.trials["trial"]) else None
    if winner is not None and (candidate := live.candidate(home, winner)) is not None:
        st.subheader("Network")
        st.code(str(candidate.architecture), language=None)
        live.part("The network", shown.drawing, candidate.architecture, name)
    st.subheader("Best over time")
    live.part("The best over time", _course, home, study, study.trials)
    st.subheader("What mattered")
    live.part("What mattered", _importances, home, study, study.trials)
    folder = None if winner is None else files_of(home, study, winner)
    live.part("The test", show_test, test, name, folder)
    if winner is not None:
        live.part("The bundle", show_bundle, home, study, winner, folder)


def _view(home: Path, study: Study, view: str) -> None:
    if study.trials.empty:
        st.info("The first trial is about to begin; it will appear here.", title="No trial yet")
        return
    trials = _filtered(study)
    if trials.empty:
        st.info("Choose other states, or another text.", title="No trial matches")
    elif view not in ("Leaderboard", "Failures", "Workers") and trials["validation"].isna().all():
        _nothing_finished(trials)
    else:
        VIEWS[view](home, study, trials)


def _nothing_finished(trials: pd.DataFrame) -> None:
    if (trials["state"] == "failed").any():
        st.warning("Failures shows the reasons.", title="All trials so far have failed")
    else:
        st.info("It will appear here.", title="No trial has finished yet")


def _filtered(study: Study) -> pd.DataFrame:
    """Return the trials that match the chosen states and the text in their architecture."""
    trials = study.trials
    with st.container(horizontal=True, vertical_alignment="bottom"):
        states = st.pills("States", STATES, selection_mode="multi", key="states", bind="query-params")
        text = st.text_input("Architecture contains", key="architecture", bind="query-params", width=240)
    if states:
        trials = trials[trials["state"].isin(states)]
    if text:
        trials = trials[trials["architecture"].fillna("").str.contains(text, regex=False)]
    return trials


# ---------------------------------------------------------------------- the views


def _course(home: Path, study: Study, trials: pd.DataFrame) -> None:
    over = st.segmented_control("Over", OVER, key="over", default="trial", required=True, bind="query-params")
    figure = course(trials, over, study.trials)
    shown.zoomable(figure, f"{study.name}-best", "Validation accuracy of all trials and the best so far")
    _of_all(trials, "validation")


def _of_all(trials: pd.DataFrame, *measures: str, most: int = MARKS) -> None:
    """Show a caption if not all trials that have these measures are drawn."""
    count = len(trials.dropna(subset=list(measures)))
    if count > most:
        half = f"{most // 2:,}"
        st.caption(f"{most:,} of {count:,} trials are drawn: the {half} most accurate, and {half} others at random.")


def _curves(home: Path, study: Study, trials: pd.DataFrame) -> None:
    ranked = trials.sort_values("validation", ascending=False)["trial"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = st.selectbox(
            "Curve", list(NAMES), format_func=NAMES.__getitem__, key="curve", bind="query-params", width=220
        )
        by = st.selectbox("Coloured by", ["", *study.options], key="coloured", bind="query-params", width=220)
        most = st.number_input("Of the best", 1, 50, OVERLAID, key="most", bind="query-params", width=140)
    found = live.store(home).curves(study, ranked.head(int(most)))
    drawn = curves(found, measure, trials, OPTION + by if by else None)
    shown.zoomable(drawn, f"{study.name}-{measure}", "Learning curves of the best trials")


def _fit(home: Path, study: Study, trials: pd.DataFrame) -> None:
    st.caption(
        "Far above zero: overfitting, the network has memorised its images. Near zero with low accuracy: underfitting."
    )
    shown.zoomable(fit(trials), f"{study.name}-fit", "How much better trials do on training images")
    _of_all(trials, "validation", "gap")


def _importances(home: Path, study: Study, trials: pd.DataFrame) -> None:
    shares = study.importances
    if not shares:
        st.info("They are computed when the search has ended, from ten trials up.", title="No importances yet")
        return
    shown.figure(importances(shares), f"{study.name}-importances", "What mattered, by PED-ANOVA")


def _parallel(home: Path, study: Study, trials: pd.DataFrame) -> None:
    if not study.options:
        st.info("So far all trials have the same options.", title="No options differ")
        return
    first = sorted(study.options, key=lambda name: -study.importances.get(name, 0.0))[:AXES]
    address.begin_with("axes", first, study.options, first)
    options = st.multiselect("Axes", study.options, key="axes", bind="query-params")
    if not options:
        st.info("Choose one or more of them.", title="No axis")
        return
    drawn = parallel(trials, options)
    chosen = shown.selectable(drawn, f"{study.name}-parallel", "Trials through their options")
    _of_all(trials, "validation", most=LINES)
    if not chosen:
        if by_mouse():
            st.caption("Draw a frame around a part of an axis, and the trials that go through it are listed here.")
        return
    through = trials[trials["trial"].isin(chosen)].sort_values("validation", ascending=False)
    columns = ["trial", "validation", "architecture", *(OPTION + name for name in options)]
    st.dataframe(
        through[columns].rename(columns=heading),
        hide_index=True,
        key="through",
        alt="The trials that go through the frame",
        column_config=FORMATS,
    )


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
        shown.zoomable(slice_of(trials, one), f"{study.name}-slice", f"Validation accuracy by {one}")
        if has_many(trials[OPTION + one]):  # boxes are of all
            _of_all(trials, "validation", OPTION + one)


def _front(home: Path, study: Study, trials: pd.DataFrame) -> None:
    measures = [name for name in MEASURES.values() if trials[name].notna().any()]
    first = measures.index("parameters") if "parameters" in measures else 0
    with st.container(horizontal=True):
        one = st.selectbox("Across", measures, first, key="across", bind="query-params", width=220)
        other = st.selectbox("Up", measures, key="up", bind="query-params", width=220)
    shown.zoomable(front_figure(trials, one, other), f"{study.name}-front", "The trials that none beats in both")
    _of_all(trials, one, other)
    best = front(trials, one, other)[list(dict.fromkeys(["trial", one, other, "architecture"]))]
    st.dataframe(best, hide_index=True, key="front", alt="The front", column_config=FORMATS)


def _workers(home: Path, study: Study, trials: pd.DataFrame) -> None:
    now = pd.Timestamp(datetime.now(UTC))
    shown.zoomable(timeline(trials, now), f"{study.name}-workers", "When each worker ran what")
    if len(trials) > BARS:
        st.caption(f"The last {BARS:,} of {len(trials):,} trials.")


def _failures(home: Path, study: Study, trials: pd.DataFrame) -> None:
    failed = trials[trials["state"] == "failed"]
    if failed.empty:
        st.success("No trial of this study has failed.")
        return
    reasons = failed["error"].fillna("no reason was given")
    # Messages of one kind may differ in an epoch, or a number of bytes.
    alike = reasons.str.replace(r"[0-9]+(\.[0-9]+)?", "#", regex=True)
    for _, rows in sorted(failed.groupby(alike, sort=False), key=lambda found: -len(found[1])):
        with st.container(border=True):
            st.text(reasons[rows.index[0]])
            st.caption(f"{len(rows):,} trials" + ("" if reasons[rows.index].nunique() == 1 else ", of this kind"))
            st.dataframe(
                rows[["trial", "architecture", "worker", "error"]],
                hide_index=True,
                key=f"failed-{rows['trial'].iloc[0]}",
                alt="The trials with this failure",
            )


VIEWS: dict[str, Callable[[Path, Study, pd.DataFrame], None]] = {
    "Leaderboard": leaderboard,
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
