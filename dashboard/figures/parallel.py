"""Parallel coordinates: a line for each trial through its options, coloured by what it reached."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from ..reading.order import rank
from ..reading.rows import OPTION
from .colours import SCALE
from .thinned import thinned

MISSING = "-"  # the word for a trial without the option: the lowest
TICKS = 10  # distinct numbers up to which each has a tick
MOST = 300  # lines
APART = 0.06  # least distance of ticks, as a fraction of the axis
SHADES = 10  # of lines, the most accurate last, so that they lie over the others


def parallel(trials: pd.DataFrame, options: Sequence[str]) -> go.Figure:
    """Return the axes of `options` and of validation accuracy; trials without an option lie at the bottom of its axis.

    Each line has a mark on each axis, with the trial's number as its `customdata`, so that a box around a part of an
    axis selects trials.
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
            line={"color": sample_colorscale(SCALE, (shade + 0.5) / SHADES)[0], "width": 1},
            marker={"size": 4},
            opacity=0.7,
            hovertemplate="trial %{customdata}<extra></extra>",
        )
    for place, axis in enumerate(axes):
        for height, word in axis.ticks.items():
            figure.add_annotation(
                x=place, y=height, text=word, showarrow=False, xanchor="right", xshift=-4, font={"size": 11}
            )
    names = [axis.name for axis in axes]
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=names, side="top", showgrid=False, range=[-0.6, len(axes) - 0.6]
    )
    figure.update_yaxes(visible=False, range=[-0.05, 1.05])
    figure.update_layout(uirevision=",".join(options), showlegend=False, height=480, margin={"t": 64, "b": 16})
    return figure


class _Axis:
    """An axis from 0 to 1: how high each trial is on it, and the words at its heights."""

    def __init__(self, name: str, values: "pd.Series[Any]", share: bool = False) -> None:
        self.name = name
        numbers = pd.to_numeric(values, errors="coerce")
        if np.isfinite(numbers.to_numpy(dtype=float)).all():
            few = sorted(numbers.unique())
            low, high = few[0], few[-1]
            logarithmic = low > 0 and high > 30 * low

            def place(found: Any) -> Any:
                """Return where numbers lie between the least and the most of them."""
                if high == low:
                    return found * 0 + 0.5
                return np.log(found / low) / np.log(high / low) if logarithmic else (found - low) / (high - low)

            places = place(np.array(few, dtype=float))
            apart = len(few) <= TICKS and (np.diff(places) >= APART).all()
            marks = few if apart else _powers(low, high) if logarithmic else _steps(low, high)
            self.heights = place(numbers.to_numpy(dtype=float))
            self.ticks = {float(place(np.float64(mark))): f"{mark:.0%}" if share else f"{mark:g}" for mark in marks}
            return
        words = values.map(_word).where(values.notna(), MISSING)
        order = sorted(words.unique(), key=lambda word: (word != MISSING, rank(word)))
        rows = {word: (place + 0.5) / len(order) for place, word in enumerate(order)}
        self.heights = words.map(rows).to_numpy(dtype=float)
        self.ticks = {height: word for word, height in rows.items()}


def _powers(low: float, high: float) -> list[float]:
    """Return the powers of ten between two numbers."""
    return [10.0**n for n in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def _steps(low: float, high: float) -> list[float]:
    """Return round numbers between two numbers: some five of them."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
    return [round(n * step, 12) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
