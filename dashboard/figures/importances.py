"""How much each dimension mattered."""

from collections.abc import Mapping

import plotly.graph_objects as go


def importances(shares: Mapping[str, float], most: int = 15) -> go.Figure:
    """Return a bar for each of the `most` important dimensions, the first at the top."""
    shown = sorted(shares.items(), key=lambda item: -item[1])[:most][::-1]
    figure = go.Figure(
        go.Bar(
            x=[share for _, share in shown],
            y=[name for name, _ in shown],
            orientation="h",
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_yaxes(type="category")
    figure.update_layout(xaxis_tickformat=".2~%", xaxis_title="share", height=120 + 24 * len(shown))
    return figure
