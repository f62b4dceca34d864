"""How the best accuracy grew: over the trials, or over the time of the search."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from .colours import STATES
from .thinned import thinned

OVER = ("trial", "time")


def course(trials: pd.DataFrame, over: str = "trial", began: pd.Timestamp | None = None) -> go.Figure:
    """Return the validation accuracy of each trial, and the best so far as a line.

    Args:
        trials: as `reading.study.Study` has them.
        over: `trial` counts them; `time` is minutes since the first began.
        began: when the first began, if `trials` are not all of them.
    """
    known = trials.dropna(subset=["validation"])
    if over == "time":
        known = known.sort_values("ended")
        x = (known["ended"] - (trials["began"].min() if began is None else began)).dt.total_seconds() / 60
    else:
        x = known["trial"]
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
    figure.add_scatter(x=x, y=known["validation"].cummax(), mode="lines", line_shape="hv", name="best so far")
    figure.update_layout(
        xaxis_title="trial" if over == "trial" else "minutes",
        yaxis_title="validation accuracy",
        yaxis_tickformat=".2~%",
        uirevision=over,
    )
    return figure


def race(studies: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Return the best validation accuracy of several studies over the minutes since each began."""
    figure = go.Figure()
    for name, trials in studies.items():
        known = trials.dropna(subset=["validation", "ended"]).sort_values("ended")
        minutes = (known["ended"] - trials["began"].min()).dt.total_seconds() / 60
        figure.add_scatter(
            x=minutes,
            y=known["validation"].cummax(),
            mode="lines+markers",
            line_shape="hv",
            marker={"size": 4},
            name=name,
            customdata=known["trial"],
            hovertemplate="%{y:.1%} after %{x:.1f} min (trial %{customdata})<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(
        xaxis_title="minutes",
        yaxis_title="validation accuracy of the best so far",
        yaxis_tickformat=".2~%",
        showlegend=True,
        uirevision=",".join(studies),
    )
    return figure
