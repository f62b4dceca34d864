"""Text on pages: from users, data and other programs, as Streamlit's Markdown and plotly's HTML show it as it is."""

import re
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ...search.study.trial import STATES
from ...spaces.printable import printable

# Streamlit looks for addresses, icons and arrows in the text that is left when escapes are gone: there it is parted, by
# a span without content, so that what is copied from the page is still the same text.
_NOTHING = ":red[]"
_PARTED = re.compile(r"(?<=[:@])(?=\S)|(?<=www)(?=\.)|(?<=[<>~-])(?=[-=>])", re.IGNORECASE)
_OUTER_SPACE = re.compile(r"^\s|\s$")


def plain(text: str) -> str:
    """Return the text on one line as Markdown that Streamlit shows as that text."""
    return _NOTHING.join(map(_escaped, _PARTED.split(printable(text))))


def plain_lines(text: str) -> str:
    """Return a message whose lines are to stay lines as such Markdown; empty ones are left out."""
    return "  \n".join(plain(line) for line in text.split("\n") if line)


def _escaped(text: str) -> str:
    marked = "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-.!|:$~&@=" else letter for letter in text)
    return _OUTER_SPACE.sub(lambda found: f"&#{ord(found[0])};", marked)  # Markdown would strip it


def unformat(figure: go.Figure) -> None:
    """Have plotly show all text of a figure as it is: it interprets some HTML.

    Templates are left alone: what comes from data gets into them by `customdata` or `meta`.
    """
    for trace in figure.data:
        _unformat(trace, "name", "x", "y", "text", "customdata", "meta")
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        _unformat(axis, "ticktext", "categoryarray")
        _unformat(axis.title, "text")
    for note in figure.layout.annotations:
        _unformat(note, "text")


def _unformat(part: Any, *names: str) -> None:
    for name in names:
        values = getattr(part, name, None)
        if isinstance(values, str):
            part[name] = _html(values)
        elif isinstance(values, tuple | list):
            part[name] = [_html(value) for value in values]
        elif isinstance(values, np.ndarray) and values.dtype.kind in "OU":
            part[name] = np.array([_html(value) for value in values.flat], dtype=object).reshape(values.shape)


def _html(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # Without &quot;, which plotly does not know; names and titles are templates too, where a variable may begin.
    return escape(printable(value), quote=False).replace("%{", "&#37;{")


def counts(trials: pd.DataFrame) -> str:
    """Return how many trials are in each state, in words."""
    found = trials["state"].value_counts()
    return ", ".join(f"{found[state]:,} {state}" for state in STATES if found.get(state))
