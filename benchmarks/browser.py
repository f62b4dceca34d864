"""A real Chromium in front of a served dashboard: what the benchmark, the story in the tests and the pictures share."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from .ports import free_port

CONVSEARCH = str(Path(sys.executable).with_name("convsearch"))
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 180.0  # seconds

# Streamlit says on its root element whether it draws. What is drawn is on the screen two frames later.
SETTLED = """
const settled = marker => new Promise((done, failed) => {
    const began = performance.now();
    const app = document.querySelector('[data-testid="stApp"]');
    const look = () => {
        const still = app && app.getAttribute('data-test-script-state') === 'notRunning';
        if (still && (!marker || document.querySelector(marker))) {
            requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
        } else if (performance.now() - began > PATIENCE) {
            failed(new Error(`not there in time: ${marker}`));
        } else {
            setTimeout(look, 5);
        }
    };
    look();
});
""".replace("PATIENCE", str(PATIENCE * 1000))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium, or the one that CHROMIUM names."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        sys.exit("There is no chromium here: apt-get install chromium, or name one by CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(home: Path, environment: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """Serve a home's dashboard; yield its address and the process of the server."""
    port = free_port()
    command = [CONVSEARCH, "dashboard", "--home", str(home), "--port", str(port)]
    told = home.with_name(f"{home.name}.log")
    with told.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(f"{address}/_stcore/health"):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(told.read_text(encoding="utf-8"))
            time.sleep(0.05)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


def new_page(browser: Browser, **options: Any) -> Page:
    """Open a page of its own, for which everything may take its time."""
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE * 1000)
    return page


def wait(page: Page, marker: str = "") -> None:
    """Wait until the page is drawn, and something on it is there."""
    page.wait_for_selector('[data-testid="stApp"]', timeout=PATIENCE * 1000)
    page.evaluate(f"async marker => {{ {SETTLED} await settled(marker); }}", marker)


def click(target: Locator, marker: str) -> float:
    """Click, and return the seconds until what is to come of it is drawn."""
    script = f"""async (target, marker) => {{
        {SETTLED}
        const began = performance.now();
        target.click();
        await new Promise(next => setTimeout(next, 30));
        return (await settled(marker)) - began;
    }}"""
    milliseconds: Any = target.evaluate(script, marker)
    return float(milliseconds) / 1000


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
