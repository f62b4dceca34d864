"""The confusion matrix: how often images of each class were taken for each other class."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Return a square for each pair of classes: true ones down, guesses across; its colour is the share of the row."""
    table = np.array(counts)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    few = len(classes) <= 20
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(classes),
            y=list(classes),
            text=table if few else None,
            texttemplate="%{text}" if few else None,
            customdata=table,
            colorscale="Blues",
            zmin=0,
            zmax=1,
            colorbar={"tickformat": ".2~%"},
            hovertemplate="%{y} taken for %{x}: %{customdata} (%{z:.1%})<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title="guess", yaxis_title="truth", height=480, uirevision="confusion")
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed")
    return figure
