"""The receptive field: how much of an image the middle value of each layer sees."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from ...spaces.architecture import Architecture
from ...spaces.arithmetic import seen


def fields(architecture: Architecture) -> dict[str, tuple[range, range]]:
    """Return the rows and columns of the input that the middle value behind each filter and pool sees, by its name."""
    found = {}
    for place, step in enumerate(architecture.steps, start=1):
        if step.is_filter and step.kernel_size > 1:
            middle = step.after.height // 2, step.after.width // 2
            found[step.name] = seen(architecture.steps[:place], *middle)
    return found


def field(image: NDArray[np.uint8], seen_by: Mapping[str, tuple[range, range]]) -> go.Figure:
    """Return an image with a frame for each layer around what its middle value sees.

    Args:
        image: (height, width, depth), of one channel or three.
        seen_by: the rows and columns by layer, from the input on; they may reach over the edge.
    """
    shades = image if image.shape[2] == 3 else image.repeat(3, axis=2)
    figure = go.Figure(go.Image(z=shades, hoverinfo="skip"))
    colours = sample_colorscale("Plasma", [0.15 + 0.8 * n / max(1, len(seen_by) - 1) for n in range(len(seen_by))])
    for colour, (name, (rows, columns)) in zip(colours, seen_by.items(), strict=True):
        top, bottom, left, right = rows.start - 0.5, rows.stop - 0.5, columns.start - 0.5, columns.stop - 0.5
        told = f"{name} sees {len(rows)} × {len(columns)}"
        figure.add_scatter(
            x=[left, right, right, left, left],
            y=[top, top, bottom, bottom, top],
            mode="lines",
            line={"color": colour, "width": 3},
            name=told,
            hovertemplate=f"{told}<extra></extra>",
        )
    figure.update_layout(height=420, legend={"title": "the middle value of"}, uirevision="field")
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, scaleanchor="x", autorange="reversed")
    return figure
