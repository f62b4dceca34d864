"""Choices that stand in the address, so that whoever is sent it sees the same."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

import streamlit as st

T = TypeVar("T")


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
    kept = st.session_state.get(key)
    vanished = not isinstance(kept, list) and str(kept) not in there  # of another study, or deleted
    if (kept is None or vanished) and not (asked and there.issuperset(asked)):
        st.session_state[key] = value
        st.query_params[key] = list(map(str, words))
