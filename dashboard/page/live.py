"""Reads the data of pages, and has them redrawn as soon as there is something new."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from ...search.delivery.tracking import ARCHITECTURE_FILE
from ...search.study.home import Home
from ...search.system.addresses import discreet, masked, mlflow_url
from ...search.values.commands import command
from ...spaces.architecture import Candidate
from ...spaces.errors import InputError
from ..reading.progress import progress_of
from ..reading.reader import StoreError
from ..reading.store import Store
from ..reading.study import Study
from . import news
from .address import chosen
from .words import plain

WIDTH = 360  # pixels of the study's select box
P = ParamSpec("P")


@cache
def store(home: Path) -> Store:
    """Return the one store of a home."""
    return Store(home)


def explained(draw: Callable[P, None]) -> Callable[P, None]:
    """Make a page show why MLflow cannot be read, and retry until it can."""

    @wraps(draw)
    def page(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except StoreError as error:
            st.error(f"{plain(str(error))}\n\n{plain(error.remedy)}", title="MLflow cannot be read")
            news.watch_for_recovery()

    return page


def names_or_stop(home: Path) -> list[str]:
    """Return the names of all studies; if there are none, show how to create one and stop."""
    if not (names := store(home).names()):
        st.info("A search creates one; leave this page open, and it will appear.", title="No study yet")
        st.code(command("run", home=home), language="shell")
        for name, uri in _elsewhere(home):
            st.info(
                f"The runs of {plain(name)} are in its shared database: set `MLFLOW_TRACKING_URI` to "
                f"{plain(uri)}, with the password in it, and restart the dashboard.",
                title="A shared study",
            )
        watch(home, [])
        st.stop()
    return names


def _elsewhere(home: Path) -> Iterator[tuple[str, str]]:
    """Yield the studies of a home whose runs are in a database, and its address."""
    for folder in Home(home).studies():
        with suppress(InputError):
            if (storage := folder.read().storage) is not None:
                yield folder.name, masked(mlflow_url(storage))


def chosen_study(home: Path, label: str = "Study", key: str = "study") -> Study:
    """Let the viewer choose a study, in the address or by hand, and read it."""
    names = names_or_stop(home)
    requested = st.query_params.get(key)
    if requested is not None and requested not in names:
        _stop_with(home, f"There is no study {plain(repr(requested))} here (any more).")
    name = chosen(label, names, names[0], key, WIDTH)
    study = read(home, name)
    if study is None:
        _stop_with(home, f"The study {plain(repr(name))} was deleted.")
    return study


def _stop_with(home: Path, why: str) -> NoReturn:
    st.warning(why)
    st.page_link(st.session_state["pages"]["studies"], label="All studies")
    watch(home, [])
    st.stop()


def part(title: str, draw: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Draw a part of a page; if unexpected data break it, show the error in its place and go on with the rest."""
    try:
        draw(*args, **kwargs)
    except StoreError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception(title)
        st.error(plain(discreet(f"{type(error).__name__}: {error}")), title=f"{title} cannot be shown")


def read(home: Path, name: str) -> Study | None:
    """Return a study as it is now, with a progress bar while it is first read; None if it was deleted."""
    place = st.empty()
    found = store(home).study(name, lambda share: place.progress(share, f"reading the runs of {plain(name)}"))
    place.empty()
    return found


def candidate(home: Path, trial: "pd.Series[Any]") -> Candidate | None:
    """Return the candidate of a trial's row; if MLflow does not have it, show a warning and return None."""
    text = store(home).text(trial["run"], ARCHITECTURE_FILE)
    if text is None:
        st.warning(
            "The file was deleted, its store cannot be read from here, the trial is still running, or a server through "
            "which it was logged keeps the file: then set `MLFLOW_TRACKING_URI` to the server's address, and restart "
            "the dashboard.",
            title=f"MLflow has no {ARCHITECTURE_FILE} of it",
        )
        return None
    try:
        return Candidate.model_validate_json(text)
    except ValidationError:
        st.warning("It is damaged, or of another version.", title=f"Its {ARCHITECTURE_FILE} cannot be read")
        return None


def watch(home: Path, drawn: Sequence[Study]) -> None:
    """Redraw the page as soon as one of the drawn studies changes, or studies appear or disappear."""
    running = any(progress_of(study, home).state == "running" for study in drawn)
    news.watch(store(home), {study.name: study.version for study in drawn}, running)
