"""Parallel coordinates: a line for each trial through its options, coloured by what it reached."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from ..store import OPTION

TICKS = 10  # values of a number, up to which each has a tick
MOST = 1000  # lines; of more trials the best are shown, and a part of the others


def parallel(trials: pd.DataFrame, options: Sequence[str]) -> go.Figure:
    """Return the axes of `options` and of the validation accuracy; those who have no such option lie at the bottom."""
    known = trials.dropna(subset=["validation"]).sort_values("validation", ascending=False)
    if len(known) > MOST:
        known = pd.concat([known.head(MOST // 2), known.iloc[MOST // 2 :].sample(MOST // 2, random_state=0)])
    known = known.iloc[::-1]  # the best are drawn last, over the others
    dimensions = [_axis(name, known[OPTION + name]) for name in options]
    dimensions.append({"label": "validation", "values": known["validation"], "tickformat": ".0%"})
    line = {"color": known["validation"], "colorscale": "Viridis", "showscale": False}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    figure.update_layout(uirevision=",".join(options), margin={"t": 64, "b": 32, "l": 64, "r": 64})
    return figure


def _axis(name: str, values: "pd.Series[Any]") -> dict[str, object]:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        few = sorted(numbers.unique()) if numbers.nunique() <= TICKS else None
        return {"label": name, "values": numbers, **({"tickvals": few} if few else {})}
    words = values.map(_word).where(values.notna(), "-")
    order = sorted(words.unique(), key=_key)
    places = {word: place for place, word in enumerate(order)}
    return {
        "label": name,
        "values": words.map(places),
        "tickvals": list(places.values()),
        "ticktext": list(places),
    }


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _key(word: str) -> tuple[int, float, str]:
    """Sort what is missing first, then numbers by size, then words."""
    if word == "-":
        return 0, 0.0, word
    try:
        return 1, float(word), word
    except ValueError:
        return 2, 0.0, word
