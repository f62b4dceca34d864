"""The pages and their addresses."""

from functools import partial
from pathlib import Path
from types import ModuleType

import streamlit as st
from streamlit import Page

from .page import live
from .views import compare, studies, study, trial

PAGES: dict[str, tuple[ModuleType, str, str]] = {
    "studies": (studies, ":material/list:", "All studies: how far they are, and the best that each has found."),
    "study": (study, ":material/insights:", "One study: its trials, and what they have in common."),
    "trial": (trial, ":material/layers:", "One trial: its network, how it learnt, where its time went."),
    "compare": (compare, ":material/compare_arrows:", "Two to four trials side by side."),
}
# What is about to be drawn anew would begin to fade. On a page that goes on by itself that flickers, and each part of
# it is a layer of its own to the browser then, a sixth of its work.
CALM = "<style>.stElementContainer { opacity: 1 !important; transition: none !important }</style>"


def navigate(home: Path, first: str = "studies") -> None:
    """Show the page that the address names; `first` where it names none."""
    pages = {
        name: Page(
            live.explained(partial(view.page, home)),
            title=name.capitalize(),
            icon=icon,
            url_path=name,
            default=name == first,
            help=description,
        )
        for name, (view, icon, description) in PAGES.items()
    }
    st.session_state["pages"] = pages
    st.html(CALM)
    st.navigation(list(pages.values()), position="top").run()
