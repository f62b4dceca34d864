"""One trial: the network as the volumes that flow through it, its arithmetic, its learning, where its time went."""

import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ...search.explain import explained
from ...search.home import StudyFolder
from ...spaces.architecture import Candidate
from ...spaces.draw_svg import draw_svg
from .. import shown
from ..bundle import BundleError, bundle, command, folder_of, winner
from ..figures.curves import FEW
from ..store import MEASURES, Study
from .tested import show_test, test_of

SECONDS = " (s)"  # how the measures of a part of the time end


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
    folder = _folder(home, study, trial)
    if (found := test_of(home, study)) is not None and found[0] == number:
        show_test(found[1], f"{study.name}-{number}", folder)
    _bundle(home, study, trial, folder)


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
    if len(table) <= FEW:
        figure.update_xaxes(dtick=1)
    figure.update_layout(xaxis_title="epoch", yaxis_title="accuracy", yaxis_tickformat=".0%", uirevision="learning")
    shown.figure(figure, f"{study.name}-{number}-learning", "Accuracy by epoch")


def _time(trial: "pd.Series[Any]", name: str) -> None:
    times = [name for name in MEASURES.values() if name.endswith(SECONDS)]
    parts = {part.removesuffix(SECONDS): trial[part] for part in times if pd.notna(trial[part])}
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


def _folder(home: Path, study: Study, trial: "pd.Series[Any]") -> StudyFolder | None:
    try:
        return folder_of(home, study.name, int(trial["trial"]), trial["run"])
    except BundleError as error:
        st.info(str(error), title="Its files are not here")
        return None


def _bundle(home: Path, study: Study, trial: "pd.Series[Any]", folder: StudyFolder | None) -> None:
    if folder is None:
        return
    st.subheader("Take it away")
    number = int(trial["trial"])
    is_winner = winner(folder) == number
    if not is_winner and number not in folder.kept():
        kept = ", ".join(map(str, folder.kept())) or "none"
        st.info(f"Kept are those of the trials {kept}.", title="Its weights are not kept")
        return
    if is_winner:
        st.caption("The study's winner: trained to the end, tested once on images that nothing else has seen.")
    asked = None if is_winner else number
    st.code("convsearch " + shlex.join([*command(home, study.name, asked), "--to", "DIR"]), language="shell")
    st.download_button(
        "Download the bundle",
        lambda: bundle(home, study.name, asked),
        f"{study.name}-{number}.zip",
        "application/zip",
        icon=":material/download:",
        help="The model, its labels, its card and a program that predicts. It is checked in a fresh process first.",
        on_click="ignore",
    )
