"""Parallel coordinates: a line for each trial through its options, coloured by what it reached."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ..store import OPTION

MOST = 1000  # lines; of more trials the best are shown, and a part of the others


def parallel(trials: pd.DataFrame, options: Sequence[str]) -> go.Figure:
    """Return the axes of `options` and of the validation accuracy; those who have no such option lie at the bottom."""
    known = trials.dropna(subset=["validation"]).sort_values("validation", ascending=False)
    if len(known) > MOST:
        known = pd.concat([known.head(MOST // 2), known.iloc[MOST // 2 :].sample(MOST // 2, random_state=0)])
    dimensions = [_axis(name, known[OPTION + name]) for name in options]
    dimensions.append({"label": "validation", "values": known["validation"], "tickformat": ".0%"})
    line = {"color": known["validation"], "colorscale": "Viridis", "showscale": False}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    figure.update_layout(uirevision=",".join(options))
    return figure


def _axis(name: str, values: "pd.Series[Any]") -> dict[str, object]:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return {"label": name, "values": numbers}
    words = values.map(str).where(values.notna(), "-")
    order = sorted(words.unique(), key=_key)
    places = {word: place for place, word in enumerate(order)}
    return {
        "label": name,
        "values": words.map(places),
        "tickvals": list(places.values()),
        "ticktext": list(places),
    }


def _key(word: str) -> tuple[int, float, str]:
    """Sort what is missing first, then numbers by size, then words."""
    if word == "-":
        return 0, 0.0, word
    try:
        return 1, float(word), word
    except ValueError:
        return 2, 0.0, word
