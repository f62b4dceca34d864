"""Two to four trials or studies side by side: their networks, what differs, their curves in one figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ...search.report.compare import incomparable
from ...spaces.drawing.text import differing
from ..figures.course import race
from ..figures.learning_curves import NAMES, curves
from ..page import address, live, shown
from ..page.words import counts, plain
from ..reading.folders import study_folder
from ..reading.progress import progress_of
from ..reading.rows import heading
from ..reading.study import Study

MOST = 4


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Compare")
    kinds = {"Trials": _trials, "Studies": _studies}
    kind = st.segmented_control(
        "What",
        list(kinds),
        key="what",
        default="Trials",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    live.watch(home, kinds[kind](home))


def _trials(home: Path) -> list[Study]:
    """Compare trials of a study, and return it."""
    study = live.chosen_study(home)
    numbers = study.trials["trial"].tolist()
    best = study.trials.dropna(subset=["validation"]).nlargest(2, "validation")["trial"].tolist()
    address.begin_with("trials", best, numbers, best)
    chosen = st.multiselect("Trials", numbers, key="trials", bind="query-params", max_selections=MOST)
    if len(chosen) < 2:
        st.info("Choose two to four of them.", title="Nothing to compare yet")
        return [study]
    table = study.trials.set_index("trial", drop=False).loc[chosen]
    _drawings(home, {f"Trial {number}": trial for number, trial in table.iterrows()}, study.name)
    measure = st.selectbox(
        "Curve", list(NAMES), format_func=NAMES.__getitem__, key="compared", bind="query-params", width=220
    )
    found = live.store(home).curves(study, chosen)
    shown.zoomable(curves(found, measure, study.trials), f"{study.name}-compared", "Curves of the compared trials")
    _differences(table.drop(columns="trial"))
    return [study]


def _drawings(home: Path, trials: Mapping[str, "pd.Series[Any]"], name: str) -> None:
    """Draw networks, one under the other, highlighting what another of them does not have."""
    places = {label: st.container(border=True) for label in trials}
    candidates = {}
    for label, trial in trials.items():
        with places[label]:
            value = "" if pd.isna(trial["validation"]) else f": {trial['validation']:.1%}"
            st.markdown(f"**{plain(label)}**{value}")
            if (candidate := live.candidate(home, trial)) is not None:
                candidates[label] = candidate.architecture
    for (label, architecture), marked in zip(candidates.items(), differing(list(candidates.values())), strict=True):
        with places[label]:
            live.part("The network", shown.drawing, architecture, f"{name}-{label}".replace(" ", "-"), marked)
    st.caption("Highlighted in yellow: layers that another of them lacks, or has with other settings.")


def _differences(table: pd.DataFrame) -> None:
    """Show the measures and options in which trials differ, one column per trial."""
    st.subheader("What differs")
    rows = {}
    for name in table.columns.drop(["run", "hash", "began", "ended", "lost", "spells", "worker"]):
        words = [_word(name, value) for value in table[name]]
        if table[name].astype(str).nunique() > 1:
            rows[heading(name)] = words
    differing = pd.DataFrame.from_dict(rows, orient="index", columns=[f"trial {number}" for number in table.index])
    st.dataframe(differing.reset_index(names=""), hide_index=True, key="differences", alt="What differs between them")


def _word(name: str, value: Any) -> str:
    if pd.isna(value):
        return "–"
    if name in ("validation", "gap"):
        return f"{value:.2%}"
    if name in ("parameters", "MACs"):
        return f"{value:,.0f}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _studies(home: Path) -> list[Study]:
    """Compare studies, and return them."""
    names = live.names_or_stop(home)
    address.begin_with("studies", names[:2], names, names[:2])
    chosen = st.multiselect("Studies", names, key="studies", bind="query-params", max_selections=MOST)
    found = {name: study for name in chosen if (study := live.read(home, name)) is not None}
    if len(found) < 2:
        st.info("Choose two to four of them.", title="Nothing to compare yet")
        return list(found.values())
    shown.zoomable(race({name: study.trials for name, study in found.items()}), "studies", "The best of each over time")
    facts = {name: _facts(study, home) for name, study in found.items()}
    st.dataframe(pd.DataFrame(facts).reset_index(names=""), hide_index=True, key="facts", alt="The studies' figures")
    live.part("Whether they can be compared", _warning, home, list(found.values()))
    bests = {
        f"{name}: trial {best['trial']}": best for name, study in found.items() if (best := study.best) is not None
    }
    _drawings(home, bests, "studies")
    return list(found.values())


def _warning(home: Path, studies: Sequence[Study]) -> None:
    """Say it if the studies have other images, or divide them differently; their folders know."""
    folders = [study_folder(home, study.name, study.identity) for study in studies]
    note = incomparable([folder for folder in folders if folder is not None])
    if note is not None:
        st.warning(note)


def _facts(study: Study, home: Path) -> dict[str, str]:
    best = study.best
    facts = {
        "data": study.data,
        "space": study.space,
        "engine": study.engine,
        "state": progress_of(study, home).text,
        "trials": counts(study.trials) or "none",
    }
    if best is not None:
        facts |= {
            "best validation": f"{best['validation']:.1%}",
            "network": str(best["architecture"]),
            "parameters": _word("parameters", best["parameters"]),
            "MACs": _word("MACs", best["MACs"]),
            "seconds of all trials": f"{study.trials['seconds'].sum():,.0f}",
        }
    return facts
