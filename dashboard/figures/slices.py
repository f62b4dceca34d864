"""What an option has to do with the accuracy: one against it (slice), or two (contour)."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ..reading.order import rank
from ..reading.rows import OPTION
from .thinned import thinned

FEW = 10  # values of a number, up to which each has a place of its own


def has_many(values: "pd.Series[Any]") -> bool:
    """Whether an option is a number of so many values that trials are drawn as points, and not as boxes."""
    return pd.api.types.is_numeric_dtype(values) and values.nunique() > FEW


def slice_of(trials: pd.DataFrame, option: str) -> go.Figure:
    """Return the validation accuracy by an option: points where it is a number, boxes where it is a word."""
    known = trials.dropna(subset=["validation", OPTION + option])
    values = known[OPTION + option]
    figure = go.Figure()
    hover = "trial %{customdata}<br>%{x}: %{y:.1%}<extra></extra>"
    if has_many(values):
        drawn = thinned(known)
        figure.add_scatter(
            x=drawn[OPTION + option],
            y=drawn["validation"],
            mode="markers",
            customdata=drawn["trial"],
            hovertemplate=hover,
            opacity=0.6,
        )
        if (values > 0).all() and values.max() > 30 * values.min():
            figure.update_xaxes(type="log", dtick="D2")
    else:
        figure.add_box(
            x=values.astype(str),
            y=known["validation"],
            boxpoints="all" if len(known) <= 500 else "outliers",
            customdata=known["trial"],
            hovertemplate=hover,
        )
        order = sorted(values.unique(), key=rank)
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=[str(value) for value in order])
    figure.update_layout(
        xaxis_title=option,
        yaxis_title="validation accuracy",
        yaxis_tickformat=".2~%",
        showlegend=False,
        uirevision=option,
    )
    return figure


def contour_of(trials: pd.DataFrame, one: str, other: str) -> go.Figure:
    """Return the best accuracy at each pair of two options' values; numbers of many values are put into ten ranges."""
    known = trials.dropna(subset=["validation", OPTION + one, OPTION + other])
    table = pd.DataFrame(
        {"x": _ranges(known[OPTION + one]), "y": _ranges(known[OPTION + other]), "value": known["validation"]}
    )
    grid = table.pivot_table(index="y", columns="x", values="value", aggfunc="max", observed=True)
    figure = go.Figure(
        go.Heatmap(
            x=[str(value) for value in grid.columns],
            y=[str(value) for value in grid.index],
            z=grid.to_numpy(),
            colorscale="Viridis",
            colorbar={"tickformat": ".2~%"},
            meta=[one, other],
            hovertemplate="%{meta[0]} %{x}<br>%{meta[1]} %{y}<br>%{z:.1%}<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title=one, yaxis_title=other, uirevision=f"{one},{other}")
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    return figure


def _ranges(values: "pd.Series[Any]") -> "pd.Series[Any]":
    if has_many(values):
        return pd.qcut(values, FEW, duplicates="drop", precision=2)
    return values.astype(pd.CategoricalDtype(sorted(values.unique(), key=rank), ordered=True))
