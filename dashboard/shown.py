"""What all pages share: the store, the study that is chosen, and how errors, figures, and drawings are shown."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial, wraps
from html import escape
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from pydantic import ValidationError

from ..search.record import STATES
from ..search.tracking import ARCHITECTURE_FILE
from ..spaces.architecture import Architecture, Candidate
from ..spaces.draw_svg import picture
from . import zoom
from .progress import progress_of
from .store import Store, StoreError
from .study import Study

LIVE = 2.0  # seconds between two looks for something new
TOLD_AGAIN = 15.0  # seconds after which the time that is left of a search is told anew, though nothing has come
WIDTH = 360  # pixels of the box that a study is chosen in
READABLE = 0.55  # of its natural width, down to which a drawing is made smaller; from then on it scrolls
# Plotly's own tools: what they do is forgotten when trials arrive, and `zoom.py` does it instead.
TOOLS = ("zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d")
P = ParamSpec("P")
T = TypeVar("T")


@cache
def store(home: Path) -> Store:
    """Return the one store of a home."""
    return Store(home)


# ---------------------------------------------------------------------- what is read


def told(draw: Callable[P, None]) -> Callable[P, None]:
    """Have a page, or a part of one, say in its place why MLflow cannot be read, and try again until it can."""

    @wraps(draw)
    def page(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except StoreError as error:
            st.error(f"{plain(str(error))}\n\n{plain(error.remedy)}", title="MLflow cannot be read")
            st.fragment(_again, run_every=LIVE)(time.monotonic())

    return page


def _again(since: float) -> None:
    if time.monotonic() - since >= LIVE / 2:  # not while the page itself is drawn
        st.rerun()


def names_or_stop(home: Path) -> list[str]:
    """Return the names of all studies; where there is none, say how one comes to be."""
    if not (names := store(home).names()):
        st.info("A search makes one; leave this page open, and it will appear.", title="No study yet")
        st.code(f"convsearch run --home {home}", language="shell")
        live(home, [])
        st.stop()
    return names


def chosen_study(home: Path, label: str = "Study", key: str = "study") -> Study:
    """Have a study chosen, by the address or by hand, and read it."""
    names = names_or_stop(home)
    asked = st.query_params.get(key)
    if asked is not None and asked not in names:
        st.warning(f"There is no study {plain(repr(asked))} here (any more).")
    name = chosen(label, names, names[0], key, WIDTH)
    study = read(home, name)
    if study is None:
        st.warning(f"The study {plain(repr(name))} was deleted.")
        live(home, [])
        st.stop()
    return study


def chosen(label: str, options: Sequence[T], first: T, key: str, width: int | Literal["stretch"] = "stretch") -> T:
    """Have one of several chosen, by the address or by hand; the address names it even if it is the `first`.

    What is first may be another one tomorrow, and Streamlit leaves out of an address what a widget begins with.
    """
    begin_with(key, [first], options, first)
    found = st.selectbox(
        label,
        options,
        index=None,
        key=key,
        bind="query-params",
        required=True,
        label_visibility="collapsed",
        width=width,
    )
    return first if found is None else found


def begin_with(key: str, words: Sequence[object], options: Iterable[object], value: object) -> None:
    """Have a widget begin with a value, and the address name it in words, unless the address has other ones."""
    asked, there = st.query_params.get_all(key), set(map(str, options))
    if key not in st.session_state and not (asked and there.issuperset(asked)):
        st.session_state[key] = value
        st.query_params[key] = list(map(str, words))


def read(home: Path, name: str) -> Study | None:
    """Return a study as it is now, with a bar while it is read for the first time; None where it was deleted."""
    place = st.empty()
    found = store(home).study(name, lambda share: place.progress(share, f"reading the runs of {plain(name)}"))
    place.empty()
    return found


def candidate(home: Path, trial: "pd.Series[Any]") -> Candidate | None:
    """Return the candidate of a trial's row; where MLflow does not have it, say so, and return None."""
    text = store(home).text(trial["run"], ARCHITECTURE_FILE)
    if text is None:
        st.warning("The file was deleted, or the trial runs still.", title=f"MLflow has no {ARCHITECTURE_FILE} of it")
        return None
    try:
        return Candidate.model_validate_json(text)
    except ValidationError:
        st.warning("It is damaged, or of another version.", title=f"Its {ARCHITECTURE_FILE} cannot be read")
        return None


def live(home: Path, drawn: Sequence[Study]) -> None:
    """Draw the page again as soon as there is something new: in a study that is drawn on it, or another study."""
    versions = tuple((study.name, study.version) for study in drawn)
    running = any(progress_of(study, home).state == "running" for study in drawn)
    st.fragment(_look, run_every=LIVE)(home, store(home).names(), versions, time.monotonic() if running else None)


def _look(home: Path, names: list[str], versions: tuple[tuple[str, int], ...], running_at: float | None) -> None:
    found = store(home)
    try:
        same = found.names() == names and all(
            (study := found.study(name)) is not None and study.version == version for name, version in versions
        )
    except StoreError:
        same = False  # which the page tells
    if not same or (running_at is not None and time.monotonic() - running_at >= TOLD_AGAIN):
        st.rerun()


# ---------------------------------------------------------------------- how it is shown


def plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-.!|:$~&@" else letter for letter in text)


def figure(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure, all of whose words are text and no markup; its tool bar writes it as SVG."""
    st.plotly_chart(found, **_options(found, name, alt))


def zoomable(found: go.Figure, name: str, alt: str) -> None:
    """Show a figure, whose part in a frame that somebody draws is zoomed into."""
    what = f"{name}, {found.layout.uirevision}"  # the same figure may have other axes
    options = _options(found, name, alt)
    part = zoom.zoomed(found, what)
    callback = partial(zoom.keep, what, options["key"])
    st.plotly_chart(found, **options, on_select=callback, selection_mode="box")
    if part is None:
        st.caption("Draw a frame to zoom into it.")
    else:
        st.button("Show all", key=f"all-{name}", icon=":material/zoom_out:", on_click=zoom.show_all, args=(what,))


def selectable(found: go.Figure, name: str, alt: str) -> list[int]:
    """Show a figure, and return the trials that somebody has drawn a frame around."""
    found.update_layout(dragmode="select")
    chosen: Any = st.plotly_chart(found, **_options(found, name, alt), on_select="rerun", selection_mode="box")
    return sorted({int(np.ravel(point["customdata"])[0]) for point in chosen.selection.points})


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


def counts(trials: pd.DataFrame) -> str:
    """Return how many trials are in each state, in words."""
    found = trials["state"].value_counts()
    return ", ".join(f"{found[state]:,} {state}" for state in STATES if found.get(state))
