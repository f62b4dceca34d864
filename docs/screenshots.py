"""Takes the screenshots of the dashboard: `python -m docs.screenshots HOME`, in the root folder, of a home's studies.

Those in `docs/images/` show this home:

    convsearch run --home HOME --study hands --data SIGN-DIGITS --minutes 8 --seed 2
    convsearch run --home HOME --study digits --trials 24 --seed 1
    convsearch run --home HOME --study digits-random --trials 24 --seed 1 --algorithm random

`--all FOLDER` writes screenshots of every page and view there instead, in both themes and at both widths, for review.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Browser

from benchmarks.browser import chromium, new_page, served, wait
from convsearch.dashboard.views.study import RESULT, VIEWS

IMAGES = Path(__file__).parent / "images"
WIDE, PHONE = 1280, 390  # pixels
LEAST, MOST = 500, 5000  # pixels of height
Theme = Literal["light", "dark"]


class Shot(NamedTuple):
    """One screenshot: the page, its width, its theme, and its greatest height."""

    name: str
    address: str
    width: int = WIDE
    theme: Theme = "light"
    height: int = MOST


def of_the_docs(study: str) -> list[Shot]:
    """Return the screenshots that README.md and docs/ show."""
    return [
        Shot("dashboard-studies", ""),
        Shot("dashboard-result", f"study?study={study}&view={RESULT}", height=2060),
        Shot("dashboard-leaderboard", f"study?study={study}&view=Leaderboard", height=1000),
        Shot("dashboard-curves", f"study?study={study}&view=Curves&coloured=learning_rate", theme="dark"),
        Shot("dashboard-parallel", f"study?study={study}&view=Parallel"),
        Shot("dashboard-trial", f"trial?study={study}", height=4150),
        Shot("dashboard-compare", f"compare?study={study}", theme="dark", height=1300),
        Shot("dashboard-phone", f"trial?study={study}", PHONE, height=1400),
    ]


def of_everything(study: str) -> Iterator[Shot]:
    """Yield all pages and views, in both themes and at both widths."""
    pages = {"studies": "", "trial": f"trial?study={study}", "compare": f"compare?study={study}"}
    pages |= {"compare-studies": "compare?what=Studies"}
    pages |= {f"study-{view.lower()}": f"study?study={study}&view={view}" for view in (RESULT, *VIEWS)}
    for name, address in pages.items():
        for width, word in ((WIDE, "wide"), (PHONE, "phone")):
            for theme in ("light", "dark"):
                yield Shot(f"{name}-{word}-{theme}", address, width, theme)


def take(browser: Browser, address: str, shot: Shot, folder: Path) -> Path:
    """Take a screenshot, as high as its page is, and return its path."""
    page = new_page(browser, viewport={"width": shot.width, "height": LEAST}, color_scheme=shot.theme)
    page.goto(f"{address}/{shot.address}")
    wait(page, "h1")
    page.wait_for_timeout(1500)  # figures and fonts
    for _ in range(2):  # what comes into view may be higher than its place was
        height = page.evaluate("document.querySelector('[data-testid=\"stMainBlockContainer\"]').scrollHeight")
        page.set_viewport_size({"width": shot.width, "height": max(LEAST, min(int(height), shot.height))})
        page.wait_for_timeout(1000)
    path = folder / f"{shot.name}.png"
    page.screenshot(path=path)
    page.close()
    return path


def main() -> None:
    """Take the screenshots that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--study", default="digits")
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    folder = asked.all or IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    shots = of_everything(asked.study) if asked.all else of_the_docs(asked.study)
    with served(asked.home) as (address, _), chromium() as browser:
        for shot in shots:
            print(take(browser, address, shot, folder))


if __name__ == "__main__":
    main()
