"""One trial: the network as the volumes that flow through it, its arithmetic, its learning, where its time went."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ...search.explain import explained
from ...spaces.architecture import Candidate
from ...spaces.draw_svg import draw_svg
from .. import shown
from ..store import Study

TIMES = ("waiting (s)", "building (s)", "tracing (s)", "training (s)", "evaluating (s)")


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Trial")
    study = shown.chosen_study(home)
    if study.trials.empty:
        st.info("The first trial is about to begin.", title="No trial yet")
        return
    numbers = study.trials["trial"].tolist()
    best = numbers[0] if study.best is None else study.best["trial"]
    number = st.selectbox("Trial", numbers, numbers.index(best), key="trial", bind="query-params")
    trial = study.row(number)
    _head(trial)
    text = shown.store(home).text(trial["run"], "architecture.json")
    if text is None:
        st.warning(
            "MLflow does not have it: the trial runs still, or the file was deleted.", title="No architecture.json"
        )
    else:
        candidate = Candidate.model_validate(json.loads(text))
        _network(candidate, f"{study.name}-{number}")
    _learning(home, study, int(number))
    _time(trial, f"{study.name}-{number}")


def _head(trial: "pd.Series[Any]") -> None:
    with st.container(horizontal=True):
        for label, value in (
            ("State", trial["state"]),
            ("Validation", "–" if pd.isna(trial["validation"]) else f"{trial['validation']:.1%}"),
            ("Train − validation", "–" if pd.isna(trial["gap"]) else f"{trial['gap']:.1%}"),
            ("Parameters", "–" if pd.isna(trial["parameters"]) else f"{int(trial['parameters']):,}"),
            ("MACs", "–" if pd.isna(trial["MACs"]) else f"{int(trial['MACs']):,}"),
        ):
            st.metric(label, value, border=True)
    if isinstance(trial["error"], str):
        st.error(trial["error"], title="Why it failed")


def _network(candidate: Candidate, name: str) -> None:
    architecture = candidate.architecture
    st.subheader("Network")
    st.code(str(architecture), language=None)
    drawing = draw_svg(architecture)
    st.image(drawing, alt=f"The volumes of {architecture}", width="stretch")
    st.download_button("SVG", drawing, f"{name}.svg", "image/svg+xml", icon=":material/download:", on_click="ignore")
    rows = pd.DataFrame(explained(architecture)["steps"])
    table = pd.DataFrame(
        {
            "layer": rows["name"],
            "in": rows["before"].map(_volume),
            "out": rows["after"].map(_volume),
            "O = (W − K + 2P) / S + 1": rows["formula"].map(lambda lines: "; ".join(lines) if lines else ""),
            "sees": rows["receptive_field"],
            "parameters": rows["parameters"],
            "share of parameters": rows["parameters"] / max(1, architecture.parameters),
            "MACs": rows["macs"],
            "share of MACs": rows["macs"] / max(1, architecture.macs),
        }
    )
    share = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(
        table,
        hide_index=True,
        key="layers",
        alt="The arithmetic, layer by layer",
        column_config={
            "share of parameters": share,
            "share of MACs": share,
            "parameters": st.column_config.NumberColumn(format="localized"),
            "MACs": st.column_config.NumberColumn(format="localized"),
        },
    )
    shown.csv(table, f"{name}-layers")
    st.subheader("Recipe")
    recipe = candidate.recipe.model_dump(mode="json")
    varied = {f"augmentation: {name}": value for name, value in recipe.pop("augmentation").items() if value}
    told = [(name, f"{value:g}" if isinstance(value, float) else str(value)) for name, value in recipe.items()]
    told += [(name, str(value)) for name, value in varied.items()]
    st.dataframe(pd.DataFrame(told, columns=["", "value"]), hide_index=True, key="recipe", alt="The recipe")


def _volume(sides: list[int]) -> str:
    return " × ".join(map(str, sides))


def _learning(home: Path, study: Study, number: int) -> None:
    st.subheader("Learning")
    table = shown.store(home).curves(study, [number])[number]
    if table.dropna(how="all").empty:
        st.info("Curves are written when a trial ends.", title="No curve yet")
        return
    figure = go.Figure()
    for name, told in (("accuracy", "training"), ("val_accuracy", "validation")):
        figure.add_scatter(x=table.index, y=table[name], mode="lines+markers", name=told)
    figure.update_layout(xaxis_title="epoch", yaxis_title="accuracy", yaxis_tickformat=".0%", uirevision="learning")
    shown.figure(figure, f"{study.name}-{number}-learning", "Accuracy by epoch")


def _time(trial: "pd.Series[Any]", name: str) -> None:
    parts = {part.removesuffix(" (s)"): trial[part] for part in TIMES if pd.notna(trial[part])}
    if not parts:
        return
    st.subheader("Where the time went")
    figure = go.Figure()
    for part, seconds in parts.items():
        figure.add_bar(
            x=[seconds], y=[""], orientation="h", name=part, hovertemplate=f"{part}: %{{x:.1f}} s<extra></extra>"
        )
    figure.update_layout(barmode="stack", xaxis_title="seconds", height=200, legend={"orientation": "h", "y": 1.4})
    shown.figure(figure, f"{name}-time", "Seconds by what they went to")
