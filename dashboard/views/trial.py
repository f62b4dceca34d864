"""One trial: the network as the volumes that flow through it, its arithmetic, its learning, where its time went."""

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ...search.report.explain import explained
from ...search.system.addresses import masked
from ...spaces.architecture import Candidate
from ..figures.learning_curves import learning
from ..figures.trial.times import times
from ..page import address, live, shown
from ..page.words import plain
from ..reading.rows import MEASURES
from ..reading.study import Study
from .download import files_of, show_bundle
from .field import show_field
from .tested import show_test, test_of

MLFLOW_PORT = 5000  # MLflow's default
SECONDS = " (s)"  # the suffix of measures that are parts of the time


def page(home: Path) -> None:
    """Draw the page."""
    st.title("Trial")
    with st.container(horizontal=True):
        study = live.chosen_study(home)
        numbers, requested = study.trials["trial"].tolist(), st.query_params.get("trial")
        number = None
        if requested is None or requested in map(str, numbers):
            number = address.chosen("Trial", numbers, _first(home, study), "trial", 160)
    if not numbers:
        st.info("The first trial is about to begin.", title="No trial yet")
    elif number is None:
        st.warning(f"This study has no trial {plain(repr(requested))}.")
        st.page_link(st.session_state["pages"]["study"], label="The study", query_params={"study": study.name})
    else:
        _trial(home, study, study.row(number))
    live.watch(home, [study])


def _first(home: Path, study: Study) -> int | None:
    """Return the trial to begin with: the winner, or else the best, or else the first."""
    if (tested := test_of(home, study)) is not None and tested[0] in set(study.trials["trial"]):
        return tested[0]
    if study.best is not None:
        return int(study.best["trial"])
    return next(iter(study.trials["trial"].tolist()), None)


def _trial(home: Path, study: Study, trial: "pd.Series[Any]") -> None:
    number, name = int(trial["trial"]), f"{study.name}-{trial['trial']}"
    folder = files_of(home, study, trial)
    _head(trial)
    if (candidate := live.candidate(home, trial)) is not None:
        live.part("The network", _network, candidate, name)
        live.part("The receptive field", show_field, candidate.architecture, name, folder)
        live.part("The recipe", _recipe, candidate)
    live.part("The curve", _learning, home, study, number)
    live.part("The time", _time, trial, name)
    if (found := test_of(home, study)) is not None and found[0] == number:
        live.part("The test", show_test, found[1], name, folder)
    live.part("The bundle", show_bundle, home, study, trial, folder)
    _run(home, study, trial)


def _head(trial: "pd.Series[Any]") -> None:
    with st.container(horizontal=True):
        for label, value in (
            ("State", plain(str(trial["state"]))),
            ("Validation", "–" if pd.isna(trial["validation"]) else f"{trial['validation']:.1%}"),
            ("Train − validation", "–" if pd.isna(trial["gap"]) else f"{trial['gap']:.1%}"),
            ("Parameters", "–" if pd.isna(trial["parameters"]) else f"{int(trial['parameters']):,}"),
            ("MACs", "–" if pd.isna(trial["MACs"]) else f"{int(trial['MACs']):,}"),
        ):
            st.metric(label, value, border=True)
    if isinstance(trial["error"], str):
        failed = trial["state"] == "failed"
        (st.error if failed else st.info)(plain(trial["error"]), title=f"Why it {'failed' if failed else 'ended'}")


def _network(candidate: Candidate, name: str) -> None:
    architecture = candidate.architecture
    st.subheader("Network")
    st.code(str(architecture), language=None)
    shown.drawing(architecture, name)
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


def _recipe(candidate: Candidate) -> None:
    st.subheader("Recipe")
    recipe = candidate.recipe.model_dump(mode="json")
    varied = {f"augmentation: {name}": value for name, value in recipe.pop("augmentation").items() if value}
    rows = [(name, f"{value:g}" if isinstance(value, float) else str(value)) for name, value in recipe.items()]
    rows += [(name, str(value)) for name, value in varied.items()]
    st.dataframe(pd.DataFrame(rows, columns=["", "value"]), hide_index=True, key="recipe", alt="The recipe")


def _volume(sides: list[int]) -> str:
    return " × ".join(map(str, sides))


def _learning(home: Path, study: Study, number: int) -> None:
    st.subheader("Learning")
    table = live.store(home).curves(study, [number])[number]
    if table.dropna(how="all").empty:
        st.info("Curves are written when a trial ends.", title="No curve yet")
        return
    shown.zoomable(learning(table), f"{study.name}-{number}-learning", "Accuracy by epoch")


def _time(trial: "pd.Series[Any]", name: str) -> None:
    names = [name for name in MEASURES.values() if name.endswith(SECONDS)]
    parts = {part.removesuffix(SECONDS): trial[part] for part in names if pd.notna(trial[part])}
    if not parts:
        return
    st.subheader("Where the time went")
    shown.figure(times(parts), f"{name}-time", "Seconds by activity")


def _run(home: Path, study: Study, trial: "pd.Series[Any]") -> None:
    st.subheader("MLflow")
    place = f"#/experiments/{study.experiment_id}/runs/{trial['run']}"
    store = live.store(home)
    uri = masked(store.reader.uri)
    if uri.startswith("http"):
        st.link_button("Open the run", f"{uri.rstrip('/')}/{place}", icon=":material/open_in_new:")
        return
    kind = "database" if store.reader.path is None else "file"
    st.caption(f"The store is a {kind}; once it is served, the run has an address.")
    st.code(f"mlflow ui --port {MLFLOW_PORT} --backend-store-uri {shlex.quote(uri)}", language="shell")
    st.link_button("Open the run", f"http://127.0.0.1:{MLFLOW_PORT}/{place}", icon=":material/open_in_new:")
