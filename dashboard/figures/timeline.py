"""What the workers did when: a bar for each trial, a row for each worker."""

import pandas as pd
import plotly.graph_objects as go

from .colours import STATES

MOST = 1000  # bars: the last ones
NOW = "running now"  # the row of trials whose worker is known when they end


def timeline(trials: pd.DataFrame, now: pd.Timestamp) -> go.Figure:
    """Return the bars; a trial that runs reaches to `now`, in a row of its own. Of many trials the last are shown."""
    placed = trials.assign(worker=trials["worker"].where(trials["state"] != "running", NOW))
    placed = placed.dropna(subset=["worker"]).nlargest(MOST, "began")
    placed["ended"] = placed["ended"].fillna(now)
    figure = go.Figure()
    for state, rows in placed.groupby("state", sort=False):
        figure.add_bar(
            base=rows["began"],
            x=(rows["ended"] - rows["began"]).dt.total_seconds() * 1000,
            y=rows["worker"],
            orientation="h",
            name=str(state),
            marker={"color": STATES.get(str(state)), "line": {"width": 1, "color": "rgba(127,127,127,0.5)"}},
            customdata=rows[["trial", "architecture"]],
            hovertemplate="trial %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )
    figure.update_layout(
        barmode="overlay", xaxis_type="date", xaxis_title="UTC", yaxis_title=None, uirevision="timeline"
    )
    figure.update_yaxes(type="category", categoryorder="category descending")
    return figure
