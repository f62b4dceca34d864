"""Parallel coordinates: a line for each trial through its options, coloured by what it reached."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from ..rows import OPTION
from .thinned import thinned

TICKS = 10  # values of a number, up to which each has a mark on its axis
MOST = 300  # lines
SHADES = 10  # of lines, the most accurate last, so that they lie over the others


def parallel(trials: pd.DataFrame, options: Sequence[str]) -> go.Figure:
    """Return the axes of `options` and of the validation accuracy; those who have no such option lie at the bottom.

    Each line has a mark on each axis, with the trial's number as its `customdata`: what is drawn a box around on an
    axis can be taken for a choice of trials.
    """
    known = thinned(trials.dropna(subset=["validation"]), MOST).sort_values("validation")
    axes = [_Axis(name, known[OPTION + name]) for name in options]
    axes.append(_Axis("validation", known["validation"], share=True))
    heights = np.column_stack([axis.heights for axis in axes])
    figure = go.Figure()
    for place in range(len(axes)):
        figure.add_vline(place, line_width=1, line_color="rgba(127,127,127,0.6)", layer="below")
    shades = np.minimum(SHADES - 1, (axes[-1].heights * SHADES).astype(int))
    for shade in range(SHADES):
        rows = np.flatnonzero(shades == shade)
        # A gap behind each line: one trace holds the lines of a shade.
        gap = np.full((len(rows), 1), np.nan)
        figure.add_scatter(
            x=np.tile([*range(len(axes)), np.nan], len(rows)),
            y=np.hstack([heights[rows], gap]).ravel(),
            customdata=np.repeat(known["trial"].to_numpy()[rows], len(axes) + 1),
            mode="lines+markers",
            line={"color": sample_colorscale("Viridis", (shade + 0.5) / SHADES)[0], "width": 1},
            marker={"size": 4},
            opacity=0.7,
            hovertemplate="trial %{customdata}<extra></extra>",
        )
    for place, axis in enumerate(axes):
        for height, word in axis.ticks.items():
            figure.add_annotation(
                x=place, y=height, text=escape(word), showarrow=False, xanchor="right", xshift=-4, font={"size": 11}
            )
    names = [escape(axis.name) for axis in axes]
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=names, side="top", showgrid=False, range=[-0.6, len(axes) - 0.8]
    )
    figure.update_yaxes(visible=False, range=[-0.05, 1.05])
    figure.update_layout(
        uirevision=",".join(options), showlegend=False, dragmode="select", height=480, margin={"t": 64, "b": 16}
    )
    return figure


class _Axis:
    """An axis from 0 to 1: how high each trial is on it, and the words at its heights."""

    def __init__(self, name: str, values: "pd.Series[Any]", share: bool = False) -> None:
        self.name = name
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.notna().all():
            few = sorted(numbers.unique())
            low, high = few[0], few[-1]
            logarithmic = low > 0 and high > 30 * low
            marks = few if len(few) <= TICKS else self._between(low, high, logarithmic)

            def place(found: Any) -> Any:
                """Return where numbers lie between the least and the most of them."""
                if high == low:
                    return found * 0 + 0.5
                return np.log(found / low) / np.log(high / low) if logarithmic else (found - low) / (high - low)

            self.heights = place(numbers.to_numpy(dtype=float))
            self.ticks = {float(place(np.float64(mark))): f"{mark:.1%}" if share else f"{mark:.3g}" for mark in marks}
            return
        words = values.map(_word).where(values.notna(), "-")
        order = sorted(words.unique(), key=_key)
        places = {word: (place + 0.5) / len(order) for place, word in enumerate(order)}
        self.heights = words.map(places).to_numpy(dtype=float)
        self.ticks = {height: word for word, height in places.items()}

    @staticmethod
    def _between(low: float, high: float, logarithmic: bool) -> list[float]:
        shares = np.linspace(0, 1, 5)
        return list(low * (high / low) ** shares if logarithmic else low + (high - low) * shares)


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
