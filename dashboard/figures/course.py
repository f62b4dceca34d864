"""How the best accuracy grew: over the trials, or over the time in which some trial ran."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from ..reading.spells import spells_of
from .colours import STATES
from .thinned import thinned

OVER = ("trial", "time")
MINUTES = "minutes in which trials ran"


def course(trials: pd.DataFrame, over: str = "trial", every: pd.DataFrame | None = None) -> go.Figure:
    """Return the validation accuracy of each trial, and the best so far as a line.

    Args:
        trials: as `reading.study.Study` has them.
        over: `trial` counts them; `time` is the minutes in which some trial ran, by the end of each.
        every: all trials of the study, if `trials` are not all of them.
    """
    known = trials.dropna(subset=["validation"])
    x, line = known["trial"], known
    if over == "time":
        spells = spells_of(trials if every is None else every)
        line = spells[spells["trial"].isin(known["trial"])].dropna(subset=["validation"])
        x = known["trial"].map(spells.groupby("trial")["minutes"].max())
    hover = "trial %{customdata[0]}, %{y:.1%}<br>%{customdata[1]}<extra>%{customdata[2]}</extra>"
    figure = go.Figure()
    for state, marks in thinned(known).groupby("state", sort=False):
        figure.add_scatter(
            x=x[marks.index],
            y=marks["validation"],
            mode="markers",
            name=str(state),
            marker={"color": STATES.get(str(state))},
            customdata=marks[["trial", "architecture", "state"]],
            hovertemplate=hover,
            opacity=0.6,
        )
    figure.add_scatter(
        x=line["trial" if over == "trial" else "minutes"],
        y=line["validation"].cummax(),
        mode="lines",
        line_shape="hv",
        name="best so far",
    )
    figure.update_layout(
        xaxis_title="trial" if over == "trial" else MINUTES,
        yaxis_title="validation accuracy",
        yaxis_tickformat=".2~%",
        uirevision=over,
    )
    return figure


def race(studies: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Return the best validation accuracy of several studies over the minutes in which trials of each ran."""
    figure = go.Figure()
    for name, trials in studies.items():
        known = spells_of(trials).dropna(subset=["validation"])
        figure.add_scatter(
            x=known["minutes"],
            y=known["validation"].cummax(),
            mode="lines+markers",
            line_shape="hv",
            marker={"size": 4},
            name=name,
            customdata=known["trial"],
            hovertemplate="%{y:.1%} after %{x:.1f} min (trial %{customdata})<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(
        xaxis_title=MINUTES,
        yaxis_title="validation accuracy of the best so far",
        yaxis_tickformat=".2~%",
        showlegend=True,
        uirevision=",".join(studies),
    )
    return figure
