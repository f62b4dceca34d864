"""The pages and their addresses."""

from functools import partial
from pathlib import Path
from types import ModuleType

import streamlit as st
from streamlit import Page

from .page import live
from .views import compare, studies, study, trial

PAGES: dict[str, tuple[ModuleType, str, str]] = {
    "studies": (studies, ":material/list:", "All studies: their progress, and the best that each has found."),
    "study": (study, ":material/insights:", "One study: its trials, and what they have in common."),
    "trial": (trial, ":material/layers:", "One trial: its network, its learning curves, where its time went."),
    "compare": (compare, ":material/compare_arrows:", "Two to four trials side by side."),
}
# Streamlit fades elements that are about to be redrawn. On a page that updates itself that flickers, and each element
# becomes a separate layer in the browser, a sixth of its work.
CALM = "<style>.stElementContainer { opacity: 1 !important; transition: none !important }</style>"


def navigate(home: Path, first: str = "studies") -> None:
    """Show the page that the address names; `first` if it names none."""
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
