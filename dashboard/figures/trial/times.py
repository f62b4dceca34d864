"""Where the time of a trial went."""

from collections.abc import Mapping

import plotly.graph_objects as go


def times(seconds: Mapping[str, float]) -> go.Figure:
    """Return one bar, made of the seconds that each part of a trial took."""
    figure = go.Figure()
    for part, taken in seconds.items():
        figure.add_bar(
            x=[taken], y=[""], orientation="h", name=part, hovertemplate=f"{part}: %{{x:.1f}} s<extra></extra>"
        )
    legend = {"orientation": "h", "y": 1.4, "traceorder": "normal"}
    figure.update_layout(barmode="stack", xaxis_title="seconds", height=200, legend=legend)
    return figure
