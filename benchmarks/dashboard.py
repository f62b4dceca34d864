"""The dashboard before a real Chromium: how soon a long study is there, how soon a click is answered, what it costs.

The study is generated (`generated.py`): DASHBOARD_TRIALS (10,000) trials in the default space, which logs some 60
parameters each, of 10 epochs. Browser and server share the machine, so that their times add up.
"""

import math
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import psutil
from playwright.sync_api import Page

from convsearch.search.study.home import Home
from convsearch.search.study.record import FILE as RECORD
from convsearch.spaces.errors import InputError

from .browser import CONVSEARCH, chromium, click, new_page, served, wait
from .datasets import SHARED
from .generated import Generated

Role = Literal["link", "radio"]

STUDY = "large"
TABLE = ".st-key-selected canvas"
VIEWERS, CLICKS = 5, 60  # at once, and of one viewer alone; each of several does half as many
PAUSES = 2.0, 8.0  # seconds that one of several viewers looks at what came of a click: by lot between these


@dataclass(frozen=True)
class Beside:
    """A search that a dashboard is left open beside: in blocks of trials, in every other of which it goes on."""

    trials: str  # what they are like
    data: Path | None  # None: the digits
    options: tuple[str, ...]
    blocks: int
    block: int  # trials of each; as many go before, while the page opens


SEARCHES = (
    Beside("the smallest trials", None, ("--space", "tiny", "--epochs", "6"), 64, 8),
    Beside("trials of CIFAR-10, three epochs each", SHARED / "cifar10", ("--epochs", "3"), 16, 4),
)


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
            yield (
                "first view from the local copy, right after the server starts",
                f"{_first_view(address):.1f} s",
                "2 s",
            )
            yield "first view of another viewer", f"{_first_view(address):.1f} s", "2 s"
            yield "a click", _told(_viewer(address, 0, CLICKS)), "0.5 s, 1 s"
            with ThreadPoolExecutor(VIEWERS) as viewers:
                found = list(viewers.map(lambda one: _viewer(address, one, CLICKS // 2, PAUSES), range(VIEWERS)))
            least, most = PAUSES
            what = f"a click, {VIEWERS} viewers at once, each pausing {least:.0f} to {most:.0f} s between clicks"
            yield what, _told([took for one in found for took in one]), "0.5 s, 1 s"
            yield "a trial that ends appears", _appears(address, study), "5 s"
            held = psutil.Process(server).memory_info().rss
            yield "memory of the server after all that", f"{held / 2**20:.0f} MB", "1 GB"
    for search in SEARCHES:
        missing = search.data is not None and not search.data.is_dir()
        cost = "not measured: SHARED_DATA has no cifar10" if missing else _cost(search)
        yield f"what an open dashboard costs a search in trials a minute: {search.trials}", cost, "2 %"


def _cost(search: Beside) -> str:
    """Return what share of a search's trials a minute an open dashboard costs.

    The same trials are searched twice, beside a dashboard that goes on in every other block of them and is stopped in
    the others; in the second search those are the blocks in which it went on in the first. So it cancels out that
    trials differ, and that a machine is now faster, now slower.
    """
    with tempfile.TemporaryDirectory() as place:
        (first, one), (second, other) = (_blocks(search, Path(place) / f"{begin}", begin) for begin in (0, 1))
    # Of two blocks in a row: the first beside the dashboard in the one search, the second in the other.
    shares = [
        1 - math.sqrt(first[block + 1] * second[block] / (first[block] * second[block + 1]))
        for block in range(0, search.blocks, 2)
    ]
    error = statistics.stdev(shares) / math.sqrt(len(shares))
    seconds = sum(first + second) / (2 * search.blocks * search.block)
    return (
        f"{statistics.mean(shares):.1%} ± {error:.1%} (standard error of {len(shares)} comparisons; trials of "
        f"{seconds:.1f} s; server and browser take {500 * (one + other):.0f} ms of processor time a second)"
    )


def _blocks(search: Beside, home: Path, begin: int) -> tuple[list[float], float]:
    """Search beside a dashboard that goes on in every other block, from `begin` on.

    Returns:
        The seconds of each block, and the processor time a second of server and browser where they went on.
    """
    home.mkdir()
    count = str((search.blocks + 1) * search.block + 1)
    asked = ["--algorithm", "random", "--pruner", "none", "--repeats", "0", "--seed", "1", "--trials", count]
    data = [] if search.data is None else ["--data", str(search.data)]
    with served(home, {"XDG_CACHE_HOME": str(home / "cache")}) as (address, server), chromium() as browser:
        page = new_page(browser)
        command = [CONVSEARCH, "run", *data, *search.options, *asked, "--study", STUDY, "--home", str(home)]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not _ended(home):
            time.sleep(0.5)
        page.goto(f"{address}/study?study={STUDY}")
        wait(page, TABLE)
        dashboard = [psutil.Process(server), *_chromiums()]
        size, spent = 0, dict[int, float]()  # processor time until the begin of each block
        try:
            while running.poll() is None:
                time.sleep(0.1)
                if (now := _size(home)) == size:
                    continue
                size = now
                block = (len(_ended(home)) - 1) // search.block - 1  # the first one is of trials that go before
                spent.setdefault(block, sum(sum(process.cpu_times()[:2]) for process in dashboard))
                for process in dashboard:
                    if block % 2 == begin or not 0 <= block < search.blocks:
                        process.resume()
                    else:
                        process.suspend()
        finally:
            for process in dashboard:
                process.resume()
        if running.returncode:
            raise RuntimeError("the search failed")
    ended = _ended(home)[:: search.block][1:]
    seconds = [(after - before).total_seconds() for before, after in pairwise(ended)]
    return seconds, (spent[search.blocks] - spent[0]) / sum(seconds[begin::2])


def _chromiums() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "chrom" in child.name()]


def _size(home: Path) -> int:
    return (Home(home).existing(STUDY).path / RECORD).stat().st_size


def _ended(home: Path) -> list[datetime]:
    """Return when each trial ended, in order."""
    try:
        trials = Home(home).existing(STUDY).record().trials.values()
    except InputError:  # it has not begun
        return []
    return sorted(datetime.fromisoformat(trial.ended_at) for trial in trials if trial.ended_at)


def _first_view(address: str) -> float:
    """Return the seconds from an address to a leaderboard that can be read."""
    with chromium() as browser:
        page = new_page(browser)
        began = time.monotonic()
        page.goto(f"{address}/study?study={STUDY}")
        wait(page, TABLE)
        return time.monotonic() - began


def _viewer(address: str, number: int, clicks: int, pauses: tuple[float, float] = (0.0, 0.0)) -> list[float]:
    """Go through a study as somebody does who looks for something; return what each click took.

    Args:
        address: of the dashboard.
        number: of the viewer, each of whom begins elsewhere.
        clicks: how many of them.
        pauses: the least and the most seconds after each, in which it is looked at.
    """
    took: list[float] = []
    lot = random.Random(number)
    with chromium() as browser:
        page = new_page(browser)
        page.goto(f"{address}/study?study={STUDY}")
        wait(page, TABLE)
        walk = list(_walk())
        for place in range(clicks):
            role, words, marker = walk[(place + 4 * number) % len(walk)]
            took.append(click(page.get_by_role(role, name=words, exact=True), marker))
            time.sleep(lot.uniform(*pauses))
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
        page = new_page(browser)
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
