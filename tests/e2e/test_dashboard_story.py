"""What somebody does who searches with the dashboard open: a real search, a real server, a real Chromium."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from bundles import assert_predicts
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from terminal import COMMAND, PATIENCE, environment, wait_until

from benchmarks.browser import chromium, new_page, served, wait
from convsearch.search.study.home import Home

TRIALS = 1000  # so many that it is stopped before, whatever the machine
TABLE = ".st-key-selected canvas"
ROW = 35  # pixels, of the leaderboard


@pytest.fixture
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with chromium() as found:
        yield found


def there(target: Locator) -> FloatRect:
    """Where something is on the page, once it is: while a search runs it may just be drawn anew."""
    found: list[FloatRect | None] = [None]

    def seen() -> bool:
        found[0] = target.first.bounding_box()
        return found[0] is not None

    wait_until(seen, "something was on the page")
    assert found[0] is not None
    return found[0]


def count(page: Page) -> int:
    """How many trials the page says there are."""
    return int(page.get_by_test_id("stMetric").filter(has_text="Trials").get_by_test_id("stMetricValue").inner_text())


def select(page: Page, row: int) -> None:
    """Click the box before a row of the leaderboard."""
    place = there(page.locator(TABLE))
    page.mouse.click(place["x"] + ROW / 2, place["y"] + ROW * (row + 1.5))


def asked(page: Page) -> dict[str, list[str]]:
    """What the address asks for."""
    return parse_qs(urlsplit(page.evaluate("location.href")).query)


def selected(page: Page) -> list[str]:
    return [number for words in asked(page).get("selected", []) for number in words.split(",")]


def part(page: Page) -> list[float]:
    """From where to where the address asks to see the figure, of the trials that there are."""
    left, right, _, _ = map(float, asked(page)["zoom"][0].split(","))
    assert -1 < left < right < count(page)
    return [left, right]


def zoomed(page: Page) -> list[float]:
    """From where to where the figure shows."""
    drawn = page.wait_for_function("document.querySelector('.js-plotly-plot')?.layout?.xaxis?.range")
    found: list[float] = drawn.json_value()
    return found


def zoom_in(page: Page) -> None:
    """Drag a frame over a part of the figure, again where the figure was drawn anew in between."""

    def drag() -> bool:
        plot = there(page.locator(".js-plotly-plot .nsewdrag"))
        page.mouse.move(plot["x"] + 0.2 * plot["width"], plot["y"] + 0.2 * plot["height"])
        page.mouse.down()
        page.mouse.move(plot["x"] + 0.7 * plot["width"], plot["y"] + 0.8 * plot["height"], steps=5)
        page.mouse.up()
        try:
            page.wait_for_function("new URLSearchParams(location.search).has('zoom')", timeout=20_000)
        except PlaywrightTimeoutError:
            return False
        return True

    wait_until(drag, "a part of the figure was shown")


def test_a_search_is_watched_understood_and_taken_home(browser: Browser, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    page = new_page(browser, viewport={"width": 1280, "height": 900})
    with served(home) as (address, _):
        page.goto(address)
        expect(page.get_by_text("No study yet")).to_be_visible(timeout=PATIENCE * 1000)

        # A search begins, and appears without anybody asking again.
        options = ["--space", "tiny", "--trials", str(TRIALS), "--epochs", "3", "--pruner", "none", "--repeats", "0"]
        command = [COMMAND, "run", *options, "--study", "story", "--home", str(home), "--seed", "3"]
        with (tmp_path / "search.log").open("wb") as log:
            search = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
        expect(page.get_by_text("No study yet")).to_be_hidden(timeout=PATIENCE * 1000)

        # Trials arrive while the page is open; what is selected stays selected, whatever comes before it.
        page.get_by_role("link", name="Study", exact=True).click()
        wait_until(lambda: page.locator(TABLE).count() > 0 and count(page) >= 2, "two trials were shown")
        wait(page, TABLE)
        select(page, 0)
        wait_until(lambda: len(selected(page)) == 1, "a trial was selected")
        (first,) = selected(page)
        before = count(page)
        wait_until(lambda: count(page) >= before + 2, "two more trials were shown")
        assert selected(page) == [first]
        expect(page.get_by_text(f"Open trial {first}").first).to_be_visible()

        # What is zoomed into stays so, too.
        page.get_by_role("radio", name="Best", exact=True).click()
        wait(page, ".st-key-figure-story-best .main-svg")
        zoom_in(page)
        near = pytest.approx(part(page), rel=1e-3)
        wait_until(lambda: zoomed(page) == near, "the part that the address names was shown")
        before = count(page)
        wait_until(lambda: count(page) > before, "one more trial was shown")
        wait(page, ".st-key-figure-story-best .main-svg")
        wait_until(lambda: zoomed(page) == near, "the same part was shown")

        # The search is told that it is enough, and exports the best so far.
        search.send_signal(signal.SIGINT)
        assert search.wait(PATIENCE) == 0
        wait_until(lambda: page.get_by_text("finished", exact=True).count() > 0, "the search had ended")
        assert count(page) == len(Home(home).existing("story").record().trials)

        # One trial is opened, and its address opens it for somebody else.
        page.get_by_role("radio", name="Leaderboard", exact=True).click()
        wait(page, TABLE)
        assert selected(page) == [first]
        page.get_by_text(f"Open trial {first}").first.click()
        wait(page, "#network")
        assert asked(page) == {"study": ["story"], "trial": [first]}
        other = new_page(browser)
        other.goto(page.evaluate("location.href"))
        wait(other, "#network")
        expect(other.get_by_role("combobox").nth(1)).to_have_value(first)
        other.close()

        # Two are compared.
        page.get_by_role("link", name="Study", exact=True).click()
        wait(page, TABLE)
        select(page, 0)
        wait_until(lambda: selected(page) != [first], "the choice had changed")
        if not selected(page):  # it was the first row that was selected
            select(page, 0)
            wait_until(lambda: selected(page) == [first], "the first row was selected")
            select(page, 1)
        wait_until(lambda: len(selected(page)) == 2, "two trials were selected")
        two = selected(page)
        page.get_by_text("Compare these trials").first.click()
        wait(page, "#what-differs")
        assert sorted(asked(page)["trials"]) == sorted(two)
        for number in two:
            expect(page.get_by_text(f"Trial {number}", exact=True)).to_be_visible()
        assert page.locator('[data-testid="stHtml"] img').count() == 2

        # The winner is downloaded, and predicts by itself.
        result = Home(home).existing("story").result()
        assert result is not None
        page.goto(f"{address}/trial?study=story&trial={result.best}")
        wait(page, "#download")
        page.get_by_role("button", name="Make the bundle").click()
        with page.expect_download(timeout=PATIENCE * 1000) as download:
            page.get_by_role("button", name="Download it").click(timeout=PATIENCE * 1000)
        download.value.save_as(tmp_path / "bundle.zip")

    assert_predicts(tmp_path / "bundle.zip", Home(home).existing("story"), tmp_path)
