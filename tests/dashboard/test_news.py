"""Open pages are drawn again as soon as there is something new, and only then."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from stores import Written
from terminal import PATIENCE
from test_mlflow_store import cache  # noqa: F401  (a fixture)

from benchmarks.browser import chromium, new_page, served, wait
from convsearch.dashboard.page.news import EVERY, FIRST, PATH, news
from convsearch.dashboard.reading.store import Store
from convsearch.dashboard.serve import NOBODY
from convsearch.search.values.limits import Limits

COUNT_RUNS = """() => {
    window.runs = 0;
    const app = document.querySelector('[data-testid="stApp"]');
    new MutationObserver(() => window.runs++).observe(app, { attributeFilter: ['data-test-script-state'] });
}"""

FADE = """() => [...document.querySelectorAll('.stElementContainer')].map(part => {
    part.style.opacity = '0.33';  // as Streamlit has what is about to be drawn again
    const { opacity, transitionProperty } = getComputedStyle(part);
    return [opacity, transitionProperty].join();
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for a study of each test, for which there is one dashboard."""
    found = tmp_path_factory.mktemp("news")
    Written(found, "first")
    return found


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """Where its dashboard is."""
    with served(home) as (found, _):
        yield found


def test_the_news_of_a_study_are_its_trials_and_of_all_that_another_begins(tmp_path: Path) -> None:
    written, store = Written(tmp_path), Store(tmp_path, fresh=0.0)
    before = news(store, ["birds"])
    assert news(store, ["birds"]) == before
    number = written.begin()
    begun = news(store, ["birds"])
    written.end(number, 0.5)
    ended = news(store, ["birds"])
    alone = news(store, [])
    other = Written(tmp_path, "cats")
    assert len({before, begun, ended, news(store, ["birds"])}) == 4
    assert news(store, []) != alone
    seen = news(store, ["birds"])
    other.add([0.5])  # whose page is another
    assert news(store, ["birds"]) == seen


def test_that_mlflow_cannot_be_read_any_more_is_news_and_so_is_that_it_can_again(tmp_path: Path) -> None:
    Written(tmp_path).add([0.5])
    file, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    file.rename(away)
    file.write_text("no database")
    assert news(Store(tmp_path), ["birds"]) == ""
    away.replace(file)
    assert news(Store(tmp_path), ["birds"]) != ""


def trials(page: Page) -> Locator:
    """How many trials the page says there are."""
    return page.get_by_test_id("stMetric").filter(has_text="Trials").get_by_test_id("stMetricValue")


def answer(page: Page) -> str:
    """What a page is told when it asks next."""
    with page.expect_response(lambda response: PATH in response.url) as found:
        pass
    return found.value.text()


def test_a_page_that_is_seen_has_each_new_trial_and_one_that_is_not_asks_nothing(
    home: Path, address: str, browser: Browser
) -> None:
    written = Written(home, "growing", limits=Limits(10))
    written.add([0.5])
    page = new_page(browser)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if PATH in request.url else None)
    page.goto(f"{address}/study?study=growing")
    wait(page, '[data-testid="stMetric"]')
    for count in ("2", "3"):
        written.add([0.6])
        expect(trials(page)).to_have_text(count, timeout=1000 * PATIENCE)
    before = answer(page)
    while (now := answer(page)) != before:  # it is about to be drawn again
        before = now
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
    page.wait_for_timeout(500)  # for a question that is on its way
    asked.clear()
    written.add([0.7])
    page.wait_for_timeout(1000 * (FIRST + 2 * EVERY))
    assert (asked, trials(page).inner_text()) == ([], "3")
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => false })")
    expect(trials(page)).to_have_text("4", timeout=1000 * PATIENCE)


def test_a_page_of_a_finished_study_asks_and_is_not_drawn_again(home: Path, address: str, browser: Browser) -> None:
    written = Written(home, "over")
    written.add([0.5])
    written.finish()
    page = new_page(browser)
    page.goto(f"{address}/study?study=over")
    wait(page, '[data-testid="stMetric"]')
    first = answer(page)
    page.evaluate(COUNT_RUNS)
    assert answer(page) == first
    page.wait_for_timeout(500)
    assert page.evaluate("window.runs") == 0


def test_what_is_about_to_be_drawn_again_does_not_fade(home: Path, address: str, browser: Browser) -> None:
    Written(home, "steady").add([0.5])
    page = new_page(browser)
    page.goto(f"{address}/study?study=steady")
    wait(page, '[data-testid="stMetric"]')
    # The browser may draw the page before the style sheet is there, which is loaded separately.
    page.wait_for_function(f"({FADE})().every(style => style === '1,none')")


def test_no_page_around_it_steers_a_page(address: str) -> None:
    told = json.loads(urllib.request.urlopen(f"{address}/_stcore/host-config", timeout=PATIENCE).read())
    assert told["allowedOrigins"] == [NOBODY]


def test_whoever_asks_learns_nothing_but_whether_something_is_new(home: Path, address: str) -> None:
    Written(home, "secret-project").add([0.5])
    answer = urllib.request.urlopen(f"{address}{PATH}?study=secret-project&study=../../etc", timeout=PATIENCE)
    text = answer.read().decode()
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(text) == 16
    assert int(text, 16) >= 0
