"""The visible part of a figure: a frame drawn with the mouse zooms in, or selects trials.

Streamlit rebuilds a figure whenever its data change, and forgets the selection. So the part is kept here, where it
outlasts arriving trials, and in the address, so that a shared link shows the same.
"""

from dataclasses import dataclass
from math import isfinite, log10
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

ZOOM = "zoom"  # its key in the address
ZOOMS = "zooms"  # in the session: the part of each figure

FRAME = "#6b7280"

Place = float | str
"""A number, or a time on a time axis."""


@dataclass(frozen=True)
class Part:
    """The part of a figure from `left` to `right` and from `bottom` to `top`."""

    left: Place
    right: Place
    bottom: Place
    top: Place

    def __str__(self) -> str:
        return ",".join(f"{place:.5g}" if isinstance(place, float) else place for place in vars(self).values())


def of_frame(box: dict[str, Any]) -> Part | None:
    """Return the part inside a frame; None if it has no area, as after a click."""
    (left, right), (bottom, top) = (sorted(map(_number, box[axis])) for axis in ("x", "y"))
    return None if left == right or bottom == top else Part(left, right, bottom, top)


def _number(place: Any) -> Place:
    return place if isinstance(place, str) else float(place)


def of_words(text: str) -> Part | None:
    """Parse the part in an address; None if it is invalid."""
    places = [_place(word) for word in text.split(",")]
    if len(places) != 4:
        return None
    left, right, bottom, top = places
    return None if left is None or right is None or bottom is None or top is None else Part(left, right, bottom, top)


def _place(word: str) -> Place | None:
    try:
        number = float(word)
    except ValueError:
        try:
            return str(pd.Timestamp(word))
        except ValueError:
            return None
    return number if isfinite(number) else None


def chosen_part(name: str) -> Part | None:
    """Return the part of a figure chosen by a frame or in the address; None for all of it."""
    parts: dict[str, Part | None] = st.session_state.setdefault(ZOOMS, {})
    if not parts:
        parts[name] = of_words(st.query_params.get(ZOOM, ""))
    part = parts.get(name)
    if part is not None:
        st.query_params[ZOOM] = str(part)
    elif ZOOM in st.query_params:
        del st.query_params[ZOOM]
    return part


def by_mouse() -> bool:
    """Whether frames can be drawn: on a phone, scrolling would draw them too."""
    return "Mobi" not in (st.context.headers.get("User-Agent") or "")


def zoom_into(figure: go.Figure, part: Part) -> None:
    """Show only a part of a figure."""
    _set(figure.layout.xaxis, part.left, part.right)
    _set(figure.layout.yaxis, part.bottom, part.top)


def mark(figure: go.Figure, part: Part) -> None:
    """Draw the frame of a part."""
    figure.add_shape(
        type="rect", x0=part.left, x1=part.right, y0=part.bottom, y1=part.top, line={"dash": "dot", "color": FRAME}
    )


def trials_in(figure: go.Figure, part: Part) -> list[int]:
    """Return the trials with a mark inside a part of a figure; each mark's `customdata` is its trial."""
    found: set[int] = set()
    for trace in figure.data:
        x, y = np.asarray(trace.x, dtype=float), np.asarray(trace.y, dtype=float)
        inside = (x >= part.left) & (x <= part.right) & (y >= part.bottom) & (y <= part.top)
        found |= {int(trial) for trial in np.asarray(trace.customdata)[inside]}
    return sorted(found)


def _set(axis: Any, low: Place, high: Place) -> None:
    if axis.type != "log":
        axis.range = [low, high]
    elif isinstance(low, float) and isinstance(high, float) and low > 0:
        axis.range = [log10(low), log10(high)]


def keep(name: str, key: str) -> None:
    """Store the frame that was drawn in the figure with this widget key."""
    frames = st.session_state[key].selection.box
    if frames and (part := of_frame(frames[-1])) is not None:
        st.session_state[ZOOMS][name] = part


def show_all(name: str) -> None:
    """Show the whole figure again."""
    st.session_state[ZOOMS][name] = None
