"""Shows figures and drawings: their text unformatted, with zooming and selection by mouse."""

from base64 import b64encode
from functools import partial
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from ...spaces.architecture import Architecture
from ...spaces.drawing.picture import picture
from . import zoom
from .words import unformat

READABLE = 0.55  # least fraction of its natural width that a drawing is scaled to before it scrolls
# Plotly's own tools lose their effect when trials arrive; `zoom.py` replaces them.
TOOLS = ("zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d")


def figure(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure with its text unformatted; its tool bar saves it as SVG."""
    st.plotly_chart(found, **_options(found, name, alt))


def zoomable(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure that zooms into a frame drawn by the viewer."""
    key = f"{name}, {found.layout.uirevision}"  # the same figure may have other axes
    if (part := zoom.chosen_part(key)) is not None:
        zoom.zoom_into(found, part)
    _framed(found, key, name, alt)
    if part is None and zoom.by_mouse():
        st.caption("Draw a frame to zoom into it.")
    elif part is not None:
        _reset_button("Show all", key, name)


def selectable(found: go.Figure, name: str, alt: str) -> list[int]:
    """Show a figure, and return the trials in a frame drawn by the viewer."""
    key = f"{name}, {found.layout.uirevision}"
    part = zoom.chosen_part(key)
    if part is not None:
        zoom.mark(found, part)
    _framed(found, key, name, alt)
    if part is None:
        return []
    _reset_button("No frame", key, name)
    return zoom.trials_in(found, part)


def _framed(found: go.Figure, key: str, name: str, alt: str) -> None:
    found.update_layout(dragmode="select" if zoom.by_mouse() else False)
    options = _options(found, name, alt)
    if zoom.by_mouse():
        st.plotly_chart(found, **options, on_select=partial(zoom.keep, key, options["key"]), selection_mode="box")
    else:
        st.plotly_chart(found, **options)


def _reset_button(label: str, key: str, name: str) -> None:
    st.button(label, key=f"all-{name}", icon=":material/zoom_out:", on_click=zoom.show_all, args=(key,))


def _options(found: go.Figure, name: str, alt: str) -> dict[str, Any]:
    if found.layout.margin.t is None:
        found.update_layout(margin={"t": 24, "b": 24})
    unformat(found)
    config = {
        "toImageButtonOptions": {"format": "svg", "filename": name},
        "modeBarButtonsToRemove": list(TOOLS),
        "displaylogo": False,
    }
    return {"key": f"figure-{name}", "config": config, "alt": alt, "theme": "streamlit"}


def drawing(architecture: Architecture, name: str, marked: frozenset[int] = frozenset()) -> None:
    """Show a network's volumes, as wide as the page; on a narrow page it scrolls, also with the arrow keys.

    Args:
        architecture: what is drawn.
        name: of the download, without its extension.
        marked: the stages that differ from those of others.
    """
    drawn = picture(architecture, marked)
    svg, width = drawn.svg(), drawn.width
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
    alt = escape(f"The volumes of {architecture}")
    st.html(
        f'<div style="overflow-x:auto" tabindex="0" role="group" aria-label="{alt}"><img src="{source}" alt="{alt}" '
        f'style="display:block;width:100%;min-width:{READABLE * width:.0f}px;max-width:{1.25 * width:.0f}px"></div>'
    )
    st.download_button(
        "SVG",
        svg,
        f"{name}.svg",
        "image/svg+xml",
        icon=":material/download:",
        key=f"svg-{name}",
        on_click="ignore",
        type="tertiary",
    )
