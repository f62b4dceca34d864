"""Redraws pages as soon as there is something new: the browser polls, and requests a redraw only then.

A Streamlit fragment that polls would run part of the page each time: 0.07 s of server and browser time, next to a
search that needs both. A poll runs no page, and a hidden page does not poll.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st

from ..reading.reader import StoreError
from ..reading.store import Store

PATH = "/news"
EVERY = 2.0  # seconds between polls
FIRST = 4.3  # seconds from a redraw to the first poll: limits redraws when trials end all the time
AGAIN = 30.0  # seconds after which a running search is redrawn without news, for the time left

_watcher = st.components.v2.component(
    "convsearch.news",
    js="""
const latest = new WeakMap();  // by element, the call that is in force: each redraw makes one

export default ({ data, parentElement, setTriggerValue }) => {
    const call = {};
    const drawn = Date.now();
    latest.set(parentElement, call);
    const look = async () => {
        let news = false;
        if (!document.hidden) {
            try {
                const answer = await fetch(data.address, { cache: "no-store" });
                const late = data.again && Date.now() - drawn > data.again;
                news = answer.ok && (late || (await answer.text()) !== data.seen);
            } catch {
                // The server is unreachable, which Streamlit reports itself.
            }
        }
        if (latest.get(parentElement) !== call) return;
        if (news) setTriggerValue("news", true);
        setTimeout(look, news ? data.first : data.every);
    };
    setTimeout(look, data.first);
    return () => latest.delete(parentElement);
};
""",
)


def news(store: Store, studies: Iterable[str]) -> str:
    """Return a digest that changes whenever one of these studies or the list of studies does."""
    try:
        names = store.names()
        # The request may name anything.
        found = {name: store.study(name) if name in names else None for name in studies}
    except StoreError:
        return ""  # the page shows the error
    return _digest(names, {name: None if study is None else study.version for name, study in found.items()})


def watch(store: Store, versions: Mapping[str, int], running: bool) -> None:
    """Have the page redrawn as soon as there is something new; to be called at the end of the page.

    Args:
        store: whose studies are drawn.
        versions: of the studies that are drawn.
        running: whether one of them is running, so that the time left changes without news.
    """
    _mount(_digest(store.names(), versions), list(versions), running)


def watch_for_recovery() -> None:
    """Have the page redrawn as soon as MLflow can be read."""
    _mount("", [], False)


def _mount(seen: str, studies: list[str], running: bool) -> None:
    data = {
        "address": f"{PATH}?{urlencode([('study', name) for name in studies])}",
        "seen": seen,
        "first": 1000 * FIRST,
        "every": 1000 * EVERY,
        "again": 1000 * AGAIN if running else None,
        "drawn": time.time(),  # always differs, so that the browser starts over
    }
    _watcher(key="news", data=data, on_news_change=lambda: None)


def _digest(names: Sequence[str], versions: Mapping[str, int | None]) -> str:
    return hashlib.sha256(json.dumps([names, dict(versions)]).encode()).hexdigest()[:16]
