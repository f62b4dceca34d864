"""How one trial learnt: training and validation accuracy by epoch."""

import pandas as pd
import plotly.graph_objects as go

from .curves import FEW


def learning(curves: pd.DataFrame) -> go.Figure:
    """Return a line for training and one for validation.

    Args:
        curves: a row an epoch.
    """
    figure = go.Figure()
    for name, told in (("accuracy", "training"), ("val_accuracy", "validation")):
        figure.add_scatter(x=curves.index, y=curves[name], mode="lines+markers", name=told)
    if len(curves) <= FEW:
        figure.update_xaxes(dtick=1)
    figure.update_layout(xaxis_title="epoch", yaxis_title="accuracy", yaxis_tickformat=".2~%", uirevision="learning")
    return figure
