"""The figures, one function each."""

import pandas as pd
import plotly.graph_objects as go


def best_over_trials(trials: pd.DataFrame) -> go.Figure:
    """Return every trial's validation accuracy, and the best so far as a line."""
    figure = go.Figure()
    figure.add_scatter(
        x=trials["trial"], y=trials["validation"], mode="markers", name="trial", text=trials["architecture"]
    )
    figure.add_scatter(x=trials["trial"], y=trials["validation"].cummax(), mode="lines", name="best so far")
    figure.update_layout(xaxis_title="trial", yaxis_title="validation accuracy", yaxis_tickformat=".0%")
    return figure
