"""One whole command in which every name that a user can give is as bad as it can be."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from terminal import convsearch, environment, typed

from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.spaces.printable import printable

CLASSES = [
    os.fsdecode(b"B\xe4r"),
    os.fsdecode(b"B\xf6r"),
    "a\u2028b",
    "[red]cat[bold]",
    "<img src=x onerror=alert(1)>",
    "# heading | cell",
    "\u202egnp",
    "x" * 200,
]
HOME = "my [studies] 100%?#'"
DATA = "birds[/old] \x1b[2J"
SPACE = "[bold]tiny.yaml"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images in classes of such names, a loose and a bad image, and a space."""
    folder = tmp_path_factory.mktemp("nasty")
    random = np.random.default_rng(0)
    for i, name in enumerate(CLASSES):
        (folder / DATA / name).mkdir(parents=True)
        for j in range(6):
            pixels = random.integers(20 * i, 20 * i + 60, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / DATA / name / f"{j}\n.png")
    (folder / DATA / CLASSES[0] / os.fsdecode(b"\xff[red].png")).write_bytes(b"")
    Image.new("L", (8, 8)).save(folder / DATA / os.fsdecode(b"\xfe[bold]<b>.png"))
    space = (Path(__file__).parents[2] / "spaces" / "presets" / "tiny.yaml").read_text(encoding="utf-8")
    (folder / SPACE).write_text(space, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(place: Path) -> subprocess.CompletedProcess[str]:
    """What the whole command printed."""
    options = ("--trials", 1, "--epochs", 1, "--repeats", 0, "--skip-bad")
    names = ("--data", DATA, "--home", HOME, "--study", "nasty", "--space", SPACE)
    return convsearch("run", *names, *options, cwd=place)


@pytest.fixture(scope="module")
def folder(place: Path, said: subprocess.CompletedProcess[str]) -> StudyFolder:
    assert said.returncode == 0, said.stderr
    return Home(place / HOME).existing("nasty")


def require_printable(text: str) -> None:
    """Every line is one that a terminal shows as it is."""
    kinds = {unicodedata.category(letter) for line in text.split("\n") for letter in line}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_everything_that_is_printed_is_printable_and_nothing_is_taken_for_markup(
    folder: StudyFolder, said: subprocess.CompletedProcess[str]
) -> None:
    home = folder.path.parent
    for done in (said, typed("show", "nasty", "--home", home), typed("studies", "--home", home)):
        assert done.returncode == 0, done.stderr
        require_printable(done.stdout + done.stderr)
    assert f"data {printable(Path(DATA).name)}: " in said.stderr
    assert r"\xfe[bold]<b>.png" in said.stderr
    assert r"\xff[red].png" in said.stderr
    assert "'my [studies] 100%?#'" in said.stdout.replace("'\"'\"'", "'")  # quoted, to be copied into a shell


def test_each_class_is_one_label_in_the_order_of_the_models_outputs(folder: StudyFolder) -> None:
    labels = (folder.bundle / "labels.txt").read_text(encoding="utf-8")
    assert labels.splitlines() == list(folder.read().data.classes)
    assert set(labels.splitlines()) == set(map(printable, CLASSES))


def test_the_model_card_has_no_markup_of_a_name(folder: StudyFolder) -> None:
    card = (folder.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    require_printable(card)
    assert not re.search(r"(?<!\\)<img|(?<!\\)<b>", card)


def test_the_bundle_predicts_under_the_names(folder: StudyFolder, place: Path) -> None:
    image = place / DATA / CLASSES[0] / "0\n.png"
    done = subprocess.run(
        [sys.executable, str(folder.bundle / "predict.py"), str(image)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.split("\t")[1] in map(printable, CLASSES)


def test_the_study_goes_on_without_being_told_again_that_images_are_bad(folder: StudyFolder, place: Path) -> None:
    done = convsearch("run", "--study", "nasty", "--resume", "--trials", 1, "--home", HOME, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "nothing left to do" in done.stderr
    assert json.loads(typed("show", "nasty", "--json", "--home", HOME, cwd=place).stdout)


def test_a_study_whose_images_can_no_longer_all_be_read_does_not_go_on_with_a_shifted_split(
    folder: StudyFolder, place: Path
) -> None:
    broken = folder.read().model_copy(update={"data": folder.read().data.model_copy(update={"rows": "0" * 64})})
    before = folder.file.read_text(encoding="utf-8")
    folder.write(broken)
    done = typed("run", "--study", "nasty", "--resume", "--trials", 2, "--home", HOME, cwd=place)
    folder.file.write_text(before, encoding="utf-8")
    assert done.returncode == 2
    assert "other images can be read than then" in done.stderr
