"""What `streamlit run server.py -- HOME` serves: the pages, with their modules loaded and studies read in advance."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from convsearch.dashboard import navigation  # noqa: F401  (the pages take half a second to load)
from convsearch.dashboard.page import live, news
from convsearch.dashboard.reading.reader import StoreError

MOMENT = 2.0  # seconds for which start-up waits for the studies, so that the first viewer need not


@asynccontextmanager
async def ready(app: st.App) -> AsyncIterator[None]:
    """Start reading the studies when the server starts, not when the first viewer comes."""
    reading = threading.Thread(target=_read_ahead, args=(Path(sys.argv[1]),), daemon=True)
    reading.start()
    await asyncio.to_thread(reading.join, MOMENT)
    yield


def _read_ahead(home: Path) -> None:
    with suppress(StoreError):  # the pages will show it
        for name in live.store(home).names():
            live.store(home).study(name)


async def tell_news(request: Request) -> PlainTextResponse:
    """Return the digest of what pages show, which browsers compare with theirs."""
    studies = request.query_params.getlist("study")
    return PlainTextResponse(await asyncio.to_thread(news.news, live.store(Path(sys.argv[1])), studies))


app = st.App(Path(__file__).with_name("app.py"), lifespan=ready, routes=[Route(news.PATH, tell_news, methods=["GET"])])
