"""Choices that are kept in the address, so that sharing a link shares the view."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

import streamlit as st

T = TypeVar("T")


def chosen(label: str, options: Sequence[T], first: T, key: str, width: int | Literal["stretch"] = "stretch") -> T:
    """Let the viewer choose an option, in the address or by hand; the address names it even if it is the `first`.

    The first may be another one tomorrow, and Streamlit omits a widget's initial value from the address.
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
    """Set a widget's initial value, and name it in the address, unless the address has a valid one already."""
    requested, available = st.query_params.get_all(key), set(map(str, options))
    kept = st.session_state.get(key)
    vanished = not isinstance(kept, list) and str(kept) not in available  # of another study, or deleted
    if (kept is None or vanished) and not (requested and available.issuperset(requested)):
        st.session_state[key] = value
        st.query_params[key] = list(map(str, words))
