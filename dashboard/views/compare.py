"""Two to four trials or studies side by side: their networks, what differs, their curves in one figure."""

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from ...spaces.architecture import Candidate
from ...spaces.draw_svg import draw_svg
from .. import shown
from ..figures.course import race
from ..figures.curves import NAMES, curves
from ..progress import progress_of
from ..store import Study

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
    kinds[kind](home)


def _trials(home: Path) -> None:
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


def _studies(home: Path) -> None:
    names = shown.names_or_stop(home)
    chosen = st.multiselect("Studies", names, names[:2], key="studies", bind="query-params", max_selections=MOST)
    if len(chosen) < 2:
        st.info("Choose two to four of them.", title="Nothing to compare yet")
        return
    found = {name: shown.read(home, name) for name in chosen}
    shown.figure(race({name: study.trials for name, study in found.items()}), "studies", "The best of each over time")
    facts = {name: _facts(study) for name, study in found.items()}
    st.dataframe(pd.DataFrame(facts).reset_index(names=""), hide_index=True, key="facts", alt="The studies' figures")
    for name, study in found.items():
        if study.best is None:
            continue
        text = shown.store(home).text(study.best["run"], "architecture.json")
        with st.container(border=True):
            st.text(f"{name}: trial {study.best['trial']}, {study.best['validation']:.1%}")
            if text is not None:
                architecture = Candidate.model_validate(json.loads(text)).architecture
                st.image(draw_svg(architecture), alt=f"The volumes of {architecture}", width="stretch")


def _facts(study: Study) -> dict[str, str]:
    best = study.best
    facts = {
        "data": study.data,
        "space": study.space,
        "engine": study.engine,
        "state": progress_of(study).told,
        "trials": shown.counts(study.trials) or "none",
    }
    if best is not None:
        facts |= {
            "best validation": f"{best['validation']:.1%}",
            "network": str(best["architecture"]),
            "parameters": f"{int(best['parameters']):,}",
            "MACs": f"{int(best['MACs']):,}",
            "seconds of all trials": f"{study.trials['seconds'].sum():,.0f}",
        }
    return facts
