"""What pages read, and that they are drawn again as soon as there is something new."""

import time
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from ..search.tracking import ARCHITECTURE_FILE
from ..spaces.architecture import Candidate
from .address import chosen
from .progress import progress_of
from .store import Store, StoreError
from .study import Study
from .words import plain

LIVE = 2.0  # seconds between two looks for something new
TOLD_AGAIN = 15.0  # seconds after which the time that is left of a search is told anew, though nothing has come
WIDTH = 360  # pixels of the box that a study is chosen in
P = ParamSpec("P")


@cache
def store(home: Path) -> Store:
    """Return the one store of a home."""
    return Store(home)


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
        watch(home, [])
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
        watch(home, [])
        st.stop()
    return study


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


def watch(home: Path, drawn: Sequence[Study]) -> None:
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
