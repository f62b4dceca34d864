"""The Pareto front of two measures."""

import pandas as pd
import plotly.graph_objects as go

from .thinned import thinned

HIGHER_IS_BETTER = ("validation",)


def front(trials: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Return the trials that none beats in both measures, by the first of them (Pareto), of those that are complete.

    Accuracy is maximised, all other measures are minimised. Of equal trials all are on the front, or none.
    """
    known = trials[trials["state"] == "complete"].dropna(subset=[one, other])
    signs = [-1 if name in HIGHER_IS_BETTER else 1 for name in (one, other)]
    costs = pd.DataFrame({"one": signs[0] * known[one], "other": signs[1] * known[other]})
    costs = costs.sort_values(["one", "other"])
    least = costs["other"].cummin()
    first = costs["other"] < least.shift().fillna(float("inf"))  # of equals only the first one
    undominated = first.groupby([costs["one"], costs["other"]]).transform("any")
    return known.loc[costs.index[undominated]]


def front_figure(trials: pd.DataFrame, one: str, other: str) -> go.Figure:
    """Return all trials at their two measures, and the front as a line."""
    known = trials.dropna(subset=[one, other])
    best = front(trials, one, other)
    figure = go.Figure()
    hover = "trial %{customdata[0]}<br>%{customdata[1]}<extra></extra>"
    for table, name, mode in ((thinned(known), "trial", "markers"), (best, "front", "lines+markers")):
        figure.add_scatter(
            x=table[one],
            y=table[other],
            mode=mode,
            name=name,
            customdata=table[["trial", "architecture"]],
            hovertemplate=hover,
            **({"opacity": 0.5} if name == "trial" else {"line_shape": "hv"}),
        )
    for axis, name in ((figure.update_xaxes, one), (figure.update_yaxes, other)):
        if name == "validation":
            axis(tickformat=".2~%")
        elif (known[name] > 0).all() and len(known) and known[name].max() > 30 * known[name].min():
            axis(type="log", dtick="D2")
    figure.update_layout(xaxis_title=_title(one), yaxis_title=_title(other), uirevision=f"{one},{other}")
    return figure


def _title(name: str) -> str:
    return "validation accuracy" if name == "validation" else name
