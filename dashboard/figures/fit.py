"""Training against validation: which trials do better on training images than on others."""

import pandas as pd
import plotly.graph_objects as go

from .thinned import thinned


def fit(trials: pd.DataFrame) -> go.Figure:
    """Return each trial at its validation accuracy and its gap; far above zero means overfitting."""
    known = thinned(trials.dropna(subset=["validation", "gap"]))
    figure = go.Figure()
    figure.add_scatter(
        x=known["validation"],
        y=known["gap"],
        mode="markers",
        customdata=known[["trial", "architecture"]],
        hovertemplate="trial %{customdata[0]}, %{x:.1%}, gap %{y:.1%}<br>%{customdata[1]}<extra></extra>",
        opacity=0.6,
    )
    figure.add_hline(0, line_dash="dot")
    figure.update_layout(
        xaxis_title="validation accuracy",
        yaxis_title="train − validation",
        xaxis_tickformat=".2~%",
        yaxis_tickformat=".2~%",
        uirevision="fit",
    )
    return figure
