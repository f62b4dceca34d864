"""Learning curves of several trials, or of one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import qualitative, sample_colorscale

from ..reading.order import rank
from .colours import MISSING, SCALE

FEW = 15  # epochs up to which each has a tick


def curves(
    found: Mapping[int, pd.DataFrame], measure: str, trials: pd.DataFrame, coloured_by: str | None = None
) -> go.Figure:
    """Return a line for each trial.

    Args:
        found: the curves by trial, one row per epoch.
        measure: which of them.
        trials: the table that `coloured_by` is a column of.
    """
    values = None if coloured_by is None else trials.set_index("trial")[coloured_by]
    colours = {} if values is None else _colours(values.loc[list(found)])
    figure = go.Figure()
    for number, table in found.items():
        line = {} if values is None else {"color": colours.get(number, MISSING)}
        label = f"trial {number}" if values is None else f"trial {number}: {_label(values.loc[number])}"
        figure.add_scatter(
            x=table.index, y=table[measure], mode="lines+markers", name=label, line=line, marker={"size": 4}
        )
    if all(len(table) <= FEW for table in found.values()):
        figure.update_xaxes(dtick=1)
    accuracy = measure.endswith("accuracy")
    figure.update_layout(
        xaxis_title="epoch",
        yaxis_title=NAMES[measure],
        yaxis_tickformat=".2~%" if accuracy else None,
        uirevision=measure,
    )
    return figure


NAMES = {
    "val_accuracy": "validation accuracy",
    "accuracy": "training accuracy",
    "val_loss": "validation loss",
    "loss": "training loss",
}


def _label(value: Any) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _colours(values: "pd.Series[Any]") -> dict[int, str]:
    """Return a colour for each trial that has a value: along a scale for numbers, one of a few for words."""
    there = values.dropna()
    numbers = pd.to_numeric(there, errors="coerce")
    if np.isfinite(numbers.to_numpy(dtype=float)).all():
        low, high = numbers.min(), numbers.max()
        shares = (numbers - low) / (high - low) if high > low else numbers * 0
        return dict(zip(there.index, sample_colorscale(SCALE, list(shares)), strict=True))
    words = {word: n for n, word in enumerate(sorted(map(str, set(there)), key=rank))}
    return {int(str(number)): qualitative.Plotly[words[str(value)] % 10] for number, value in there.items()}


def learning(curves: pd.DataFrame) -> go.Figure:
    """Return a line for training and one for validation.

    Args:
        curves: one row per epoch.
    """
    figure = go.Figure()
    for name, label in (("accuracy", "training"), ("val_accuracy", "validation")):
        figure.add_scatter(x=curves.index, y=curves[name], mode="lines+markers", name=label)
    if len(curves) <= FEW:
        figure.update_xaxes(dtick=1)
    figure.update_layout(xaxis_title="epoch", yaxis_title="accuracy", yaxis_tickformat=".2~%", uirevision="learning")
    return figure
