"""What all pages share: the store, the study that is chosen, and how errors, figures and tables are shown."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from ..search.record import STATES
from .store import Store, StoreError, Study

LIVE = 3.0  # seconds between two looks at a search that runs


@st.cache_resource
def store(home: Path) -> Store:
    """Return the one store of a home."""
    return Store(home)


P = ParamSpec("P")


def told(draw: Callable[P, None]) -> Callable[P, None]:
    """Have a page, or a part of one, say in its place why MLflow cannot be read; the rest goes on."""

    @wraps(draw)
    def page(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except StoreError as error:
            st.error(f"{_plain(str(error))}\n\n{_plain(error.remedy)}", title="MLflow cannot be read")

    return page


def names_or_stop(home: Path) -> list[str]:
    """Return the names of all studies; where there is none, say how one comes to be."""
    if not (names := store(home).names()):
        st.info("A search makes one; leave this page open, and it will appear.", title="No study yet")
        st.code(f"convsearch run --home {home}", language="shell")
        st.stop()
    return names


def chosen_study(home: Path, label: str = "Study", key: str = "study") -> Study:
    """Have a study chosen, by the address or by hand, and read it."""
    names = names_or_stop(home)
    asked = st.query_params.get(key)
    if asked is not None and asked not in names:
        st.warning(f"There is no study {_plain(asked)!r} here (any more).")
    name = st.selectbox(label, names, key=key, bind="query-params")
    return read(home, name)


def read(home: Path, name: str) -> Study:
    """Return a study as it is now, with a bar while it is read for the first time."""
    place = st.empty()
    found = store(home).study(name, lambda share: place.progress(share, f"reading the runs of {_plain(name)}"))
    place.empty()
    if found is None:
        st.warning(f"The study {_plain(name)!r} was deleted.")
        st.stop()
    return found


def figure(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure; its tool bar writes it as SVG."""
    if found.layout.margin.t is None:
        found.update_layout(margin={"t": 24, "b": 24})
    config = {"toImageButtonOptions": {"format": "svg", "filename": name}, "displaylogo": False}
    st.plotly_chart(found, key=f"figure-{name}", config=config, alt=alt, theme="streamlit")


def csv(table: pd.DataFrame, name: str) -> None:
    """Offer a table as CSV."""
    st.download_button(
        "CSV",
        table.to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        icon=":material/download:",
        key=f"csv-{name}",
        on_click="ignore",
    )


def counts(trials: pd.DataFrame) -> str:
    """Return how many trials are in each state, in words."""
    found = trials["state"].value_counts()
    return ", ".join(f"{found[state]:,} {state}" for state in STATES if found.get(state))


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-.!|:$~" else letter for letter in text)
