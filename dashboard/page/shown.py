"""How figures and drawings are shown: words in them as text, with what can be done to them by a frame or a click."""

from base64 import b64encode
from functools import partial
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from ...spaces.architecture import Architecture
from ...spaces.drawing.picture import picture
from . import zoom

READABLE = 0.55  # of its natural width, down to which a drawing is made smaller; from then on it scrolls
# Plotly's own tools: what they do is forgotten when trials arrive, and `zoom.py` does it instead.
TOOLS = ("zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d")


def figure(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure, all of whose words are text and no markup; its tool bar writes it as SVG."""
    st.plotly_chart(found, **_options(found, name, alt))


def zoomable(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure, whose part in a frame that somebody draws is zoomed into."""
    what = f"{name}, {found.layout.uirevision}"  # the same figure may have other axes
    if (part := zoom.chosen_part(what)) is not None:
        zoom.zoom_into(found, part)
    _framed(found, what, name, alt)
    if part is None and zoom.by_mouse():
        st.caption("Draw a frame to zoom into it.")
    elif part is not None:
        _all_again("Show all", what, name)


def selectable(found: go.Figure, name: str, alt: str) -> list[int]:
    """Show a figure, and return the trials that somebody has drawn a frame around."""
    what = f"{name}, {found.layout.uirevision}"
    part = zoom.chosen_part(what)
    if part is not None:
        zoom.mark(found, part)
    _framed(found, what, name, alt)
    if part is None:
        return []
    _all_again("No frame", what, name)
    return zoom.trials_in(found, part)


def _framed(found: go.Figure, what: str, name: str, alt: str) -> None:
    found.update_layout(dragmode="select" if zoom.by_mouse() else False)
    options = _options(found, name, alt)
    if zoom.by_mouse():
        st.plotly_chart(found, **options, on_select=partial(zoom.keep, what, options["key"]), selection_mode="box")
    else:
        st.plotly_chart(found, **options)


def _all_again(label: str, what: str, name: str) -> None:
    st.button(label, key=f"all-{name}", icon=":material/zoom_out:", on_click=zoom.show_all, args=(what,))


def _options(found: go.Figure, name: str, alt: str) -> dict[str, Any]:
    if found.layout.margin.t is None:
        found.update_layout(margin={"t": 24, "b": 24})
    for trace in found.data:
        _escape(trace)
    config = {
        "toImageButtonOptions": {"format": "svg", "filename": name},
        "modeBarButtonsToRemove": list(TOOLS),
        "displaylogo": False,
    }
    return {"key": f"figure-{name}", "config": config, "alt": alt, "theme": "streamlit"}


def _escape(trace: Any) -> None:
    """Have plotly show the words of a trace as they are; it takes some HTML in them for markup."""
    for name in ("name", "x", "y", "customdata"):
        values = getattr(trace, name, None)
        if isinstance(values, str):
            trace[name] = escape(values, quote=False)
        elif isinstance(values, tuple | list):
            trace[name] = [escape(value, quote=False) if isinstance(value, str) else value for value in values]
        elif isinstance(values, np.ndarray) and values.dtype.kind == "O":
            words = [escape(word, quote=False) if isinstance(word, str) else word for word in values.flat]
            trace[name] = np.array(words, dtype=object).reshape(values.shape)


def drawing(architecture: Architecture, name: str, marked: frozenset[int] = frozenset()) -> None:
    """Show a network's volumes, as wide as there is room; on a narrow page it scrolls, by the arrow keys as well.

    Args:
        architecture: what is drawn.
        name: of the file that is offered, without its ending.
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
