"""The receptive field: how much of an image the middle value of each layer sees."""

from collections.abc import Iterator, Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from ....spaces.architecture import Architecture
from ....spaces.arithmetic import seen

AROUND = 0.12  # width of the margin shown around the image, as a fraction of its side


def fields(architecture: Architecture) -> dict[str, tuple[range, range]]:
    """Return the rows and columns of the input that the middle value behind each filter and pool sees, by its name."""
    found = {}
    for place, step in enumerate(architecture.steps, start=1):
        if step.is_filter and step.kernel_size > 1:
            middle = step.after.height // 2, step.after.width // 2
            found[step.name] = seen(architecture.steps[:place], *middle)
    return found


def field(image: NDArray[np.uint8], seen_by: Mapping[str, tuple[range, range]]) -> go.Figure:
    """Return an image with a frame for each layer around what its middle value sees, up to the first that sees it all.

    Args:
        image: (height, width, depth), of one channel or three.
        seen_by: the rows and columns by layer, from the input on; they may reach over the edge.
    """
    height, width = image.shape[:2]
    shades = image if image.shape[2] == 3 else image.repeat(3, axis=2)
    figure = go.Figure(go.Image(z=shades, hoverinfo="skip"))
    framed = dict(_framed(seen_by, height, width))
    colours = sample_colorscale("Plasma", [0.2 + 0.75 * n / max(1, len(framed) - 1) for n in range(len(framed))])
    edge = round(AROUND * max(height, width))
    for colour, (label, (rows, columns)) in zip(colours, framed.items(), strict=True):
        top, bottom = max(rows.start, -edge) - 0.5, min(rows.stop, height + edge) - 0.5
        left, right = max(columns.start, -edge) - 0.5, min(columns.stop, width + edge) - 0.5
        figure.add_scatter(
            x=[left, right, right, left, left],
            y=[top, top, bottom, bottom, top],
            mode="lines",
            line={"color": colour, "width": 3},
            name=label,
            hovertemplate=f"{label}<extra></extra>",
        )
    legend = {"title": "The middle value behind", "orientation": "h", "y": -0.05}
    figure.update_layout(height=480, legend=legend, uirevision="field")
    figure.update_xaxes(visible=False, constrain="domain", range=[-edge - 0.7, width + edge - 0.3])
    figure.update_yaxes(visible=False, scaleanchor="x", range=[height + edge - 0.3, -edge - 0.7])
    return figure


def _framed(
    seen_by: Mapping[str, tuple[range, range]], height: int, width: int
) -> Iterator[tuple[str, tuple[range, range]]]:
    for name, (rows, columns) in seen_by.items():
        whole = min(rows.start, columns.start) <= 0 and rows.stop >= height and columns.stop >= width
        last = name == list(seen_by)[-1]
        if whole and not last:
            yield f"{name} and all later ones: the whole image", (rows, columns)
            return
        yield f"{name}: {len(rows)} × {len(columns)}", (rows, columns)
