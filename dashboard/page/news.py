"""Pages are drawn again as soon as there is something new: the browser asks, and only then has its page drawn.

A fragment that looks by itself would run a part of the page each time: 0.07 s of server and browser, beside a search
that wants both. A question has no page drawn for it, and a page that nobody sees asks none.
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
EVERY = 2.0  # seconds between two questions
FIRST = 4.3  # seconds from a page until the first: where trials end all the time, it is drawn no more often
AGAIN = 30.0  # seconds after which the time that is left of a search is told anew, though nothing has come

_watcher = st.components.v2.component(
    "convsearch.news",
    js="""
const latest = new WeakMap();  // of each place, the call that is in force: there is one for each page that is drawn

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
                // The server is away, which Streamlit says by itself.
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
    """Return what changes whenever there is something new in one of these studies, or another study."""
    try:
        names = store.names()
        found = {name: store.study(name) if name in names else None for name in studies}  # anybody may ask for anything
    except StoreError:
        return ""  # which the page tells
    return _digest(names, {name: None if study is None else study.version for name, study in found.items()})


def watch(store: Store, versions: Mapping[str, int], running: bool) -> None:
    """Have the page drawn again as soon as there is something new; it is to be the last thing on it.

    Args:
        store: whose studies are drawn.
        versions: of the studies that are drawn.
        running: whether one of them runs, so that time goes on though nothing is new.
    """
    _mount(_digest(store.names(), versions), list(versions), running)


def watch_for_an_answer() -> None:
    """Have the page drawn again as soon as MLflow can be read."""
    _mount("", [], False)


def _mount(seen: str, studies: list[str], running: bool) -> None:
    data = {
        "address": f"{PATH}?{urlencode([('study', name) for name in studies])}",
        "seen": seen,
        "first": 1000 * FIRST,
        "every": 1000 * EVERY,
        "again": 1000 * AGAIN if running else None,
        "drawn": time.time(),  # for the browser is told only what has changed, and is to begin anew
    }
    _watcher(key="news", data=data, on_news_change=lambda: None)


def _digest(names: Sequence[str], versions: Mapping[str, int | None]) -> str:
    return hashlib.sha256(json.dumps([names, dict(versions)]).encode()).hexdigest()[:16]
