"""The code is built as docs/architecture.md says, and the documents name what is there."""

import re
import tomllib
from pathlib import Path

import pytest

from docs.rooms import BASE, HOUSES, PICTURE, ROOT, Rooms, draw, purpose

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MOST_LAYERS = 9  # from the command down to the arithmetic
MOST_FILES = 12  # in a folder
FOLDERS = sorted({path.parent for house in HOUSES for path in (ROOT / house).rglob("*.py")})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def rooms() -> Rooms:
    return Rooms.read()


# ---------------------------------------------------------------------- the rooms


def test_the_picture_of_the_rooms_is_what_its_command_draws(rooms):
    assert PICTURE.read_bytes() == draw(rooms).encode(), "run `python -m docs.rooms`"


def test_at_most_nine_layers_lie_between_the_command_and_the_arithmetic(rooms):
    assert rooms.between("search/command", BASE) <= MOST_LAYERS


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_has_at_most_twelve_files(folder):
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_says_what_it_is_for_in_its_first_line(folder):
    first, *_ = (folder / "__init__.py").read_text(encoding="utf-8").splitlines()
    assert re.match(r'"""[A-Z`].{20,}\.', first), "__init__.py opens with one sentence of purpose"
    assert purpose(name_of(folder)) in first


def test_every_folder_is_a_package_of_the_distribution():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {"convsearch." + name_of(folder).replace("/", ".") for folder in FOLDERS}
    assert set(project["tool"]["setuptools"]["packages"]) == packages


def test_every_room_has_its_row_in_the_architecture(rooms):
    named = set(re.findall(r"^\| `([a-z/]+)/` \|", ARCHITECTURE, re.MULTILINE))
    assert named == set(rooms.imports)


# ---------------------------------------------------------------------- what the documents name


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_what_is_there(document):
    text = without_code(document.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = (document.parent / path).resolve() if path else document
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_of_the_repository_that_are_named_are_there(document):
    text = document.read_text(encoding="utf-8")
    for path in re.findall(rf"`((?:{'|'.join(HOUSES)}|tests|benchmarks|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_every_test_that_the_reliability_names_is_there():
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", text)
    assert len(named) >= 40
    for name, path in named:
        assert Path(path).stem == name
        assert (ROOT / path).is_file(), path
    assert not re.search(r"`test_\w+\.py`", text), "a test is named by a link, which is followed here"


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page: Path) -> list[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
