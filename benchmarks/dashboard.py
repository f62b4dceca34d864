"""The dashboard before a real Chromium: how soon a long study is there, how soon a click is answered, what it costs.

The study is generated (`generated.py`): DASHBOARD_TRIALS (10,000) trials in the default space, which logs some 60
parameters each, of 10 epochs. Browser and server share the machine, so that their times add up.
"""

import math
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Literal

import psutil
from playwright.sync_api import Page

from convsearch.dashboard.store import Store
from convsearch.search.home import Home

from .browser import CONVSEARCH, chromium, click, served, wait
from .generated import Generated

Role = Literal["link", "radio"]

STUDY = "large"
TABLE = ".st-key-selected canvas"
VIEWERS, CLICKS = 5, 60  # at once, and of one viewer alone; each of several does half as many
PAIRS, SEARCHED = 4, 50  # searches with and without an open dashboard; trials of each
PAUSE = 5.0  # seconds that one of several viewers looks at what came of a click


def measure() -> Iterator[tuple[str, str, str]]:
    """Measure one thing after the other."""
    trials = int(os.environ.get("DASHBOARD_TRIALS", "10000"))
    with tempfile.TemporaryDirectory() as place:
        home, environment = Path(place) / "home", {"XDG_CACHE_HOME": str(Path(place) / "cache")}
        study = Generated(Home(home), STUDY, trials)
        with served(home, environment) as (address, _):
            yield f"first view of {trials:,} trials, nothing read before", f"{_first_view(address):.1f} s", "15 s"
            time.sleep(1.0)
        with served(home, environment) as (address, server):
            yield "first view from the local copy, the server just begun", f"{_first_view(address):.1f} s", "2 s"
            yield "first view of another viewer", f"{_first_view(address):.1f} s", "2 s"
            yield "a click", _told(_viewer(address, 0, CLICKS)), "0.5 s, 1 s"
            with ThreadPoolExecutor(VIEWERS) as viewers:
                found = list(viewers.map(lambda one: _viewer(address, one, CLICKS // 2, PAUSE), range(VIEWERS)))
            what = f"a click, {VIEWERS} viewers at once, each looking {PAUSE:.0f} s at what came of it"
            yield what, _told([took for one in found for took in one]), "0.5 s, 1 s"
            yield "a trial that ends appears", _appears(address, study), "5 s"
            held = psutil.Process(server).memory_info().rss
            yield "memory of the server after all that", f"{held / 2**20:.0f} MB", "1 GB"
    yield f"what an open dashboard costs a search of {SEARCHED} small trials, in trials a minute", _cost(), "2 %"


def _cost() -> str:
    """Return what share of a search's trials a minute an open dashboard costs, by pairs of the same search."""
    shares = []
    with tempfile.TemporaryDirectory() as place:
        for pair in range(PAIRS):
            order = (False, True) if pair % 2 else (True, False)
            rates = {watched: _rate(Path(place) / f"{pair}-{watched}", watched) for watched in order}
            shares.append(1 - rates[True] / rates[False])
    told = ", ".join(f"{share:+.1%}" for share in shares)
    return f"{statistics.mean(shares):+.1%} on average of {PAIRS} pairs ({told})"


def _rate(home: Path, watched: bool) -> float:
    """Return a search's trials a minute, from the end of its first trial to that of its last."""
    home.mkdir()
    options = ["--space", "tiny", "--epochs", "6", "--pruner", "none", "--repeats", "0", "--seed", "1"]
    command = [CONVSEARCH, "run", *options, "--trials", str(SEARCHED), "--study", STUDY, "--home", str(home)]
    with ExitStack() as held:
        if watched:
            address, _ = held.enter_context(served(home, {"XDG_CACHE_HOME": str(home / "cache")}))
            page = held.enter_context(chromium()).new_page()
            page.goto(address)
            wait(page, "h1")
        search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if watched:
            while not Store(home).names():
                time.sleep(0.5)
            page.goto(f"{address}/study?study={STUDY}")
        if search.wait():
            raise RuntimeError("the search failed")
    ended = _ended(home)
    return 60 * (len(ended) - 1) / (max(ended) - min(ended)).total_seconds()


def _ended(home: Path) -> list[datetime]:
    trials = Home(home).existing(STUDY).record().trials.values()
    return [datetime.fromisoformat(trial.ended_at) for trial in trials if trial.ended_at]


def _first_view(address: str) -> float:
    """Return the seconds from an address to a leaderboard that can be read."""
    with chromium() as browser:
        page = browser.new_page()
        began = time.monotonic()
        page.goto(f"{address}/study?study={STUDY}")
        wait(page, TABLE)
        return time.monotonic() - began


def _viewer(address: str, number: int, clicks: int, pause: float = 0.0) -> list[float]:
    """Go through a study as somebody does who looks for something; return what each click took.

    Args:
        address: of the dashboard.
        number: of the viewer, each of whom begins elsewhere.
        clicks: how many of them.
        pause: seconds after each, in which it is looked at.
    """
    took: list[float] = []
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}/study?study={STUDY}")
        wait(page, TABLE)
        walk = list(_walk())
        for place in range(clicks):
            role, words, marker = walk[(place + 4 * number) % len(walk)]
            took.append(click(page.get_by_role(role, name=words, exact=True), marker))
            time.sleep(pause)
    return took


def _walk() -> Iterator[tuple[Role, str, str]]:
    """Yield what is clicked, the words on it, and what is to come of it."""
    for view, figure in (
        ("Best", "best"),
        ("Curves", "val_accuracy"),
        ("Fit", "fit"),
        ("Parallel", "parallel"),
        ("Slice", "slice"),
        ("Front", "front"),
        ("Workers", "workers"),
    ):
        yield "radio", view, f".st-key-figure-{STUDY}-{figure} .main-svg"
        yield "radio", "Leaderboard", TABLE
    for page in ("Trial", "Studies", "Compare", "Study"):
        yield "link", page, f'[data-testid="stMain"]:has(#{page.lower()}) canvas'


def _appears(address: str, study: Generated) -> str:
    """Return how long it takes from the end of a trial until an open page has it: at most of five."""
    took = []
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}/study?study={STUDY}")
        wait(page, TABLE)
        for _ in range(5):
            before = _count(page)
            study.add()
            ended = time.monotonic()
            while _count(page) == before:
                page.wait_for_timeout(20)
            took.append(time.monotonic() - ended)
    return f"{max(took):.1f} s at most, {statistics.median(took):.1f} s as a rule"


def _count(page: Page) -> str:
    return page.get_by_test_id("stMetricValue").nth(1).inner_text()


def _told(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    late = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return (
        f"{statistics.median(ordered):.2f} s, 95 % within {late:.2f} s (of {len(ordered)} clicks; the slowest, "
        f"{ordered[-1]:.2f} s)"
    )
