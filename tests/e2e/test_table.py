"""A table of labels as people download it: the first command ends with a bundle, and the study goes on with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from terminal import typed

from convsearch.search.study.home import Home

SMALL = ("--space", "tiny", "--epochs", 1, "--repeats", 0, "--study", "dogs")
SAID = ("--label-column", "kind of dog")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images in train/, their table beside it, and in the same folder the studies."""
    root = tmp_path_factory.mktemp("dogs")
    (root / "train").mkdir()
    random = np.random.default_rng(0)
    lines = ["id,weight,kind of dog,owner"]
    for number in range(20):
        light = 128 * (number % 2)
        pixels = random.integers(light, light + 128, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{number:04x}.png")
        lines.append(f"{number:04x},{number},{('pug', 'St. Bernard')[number % 2]},{number // 4}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root / "labels.csv"


@pytest.fixture(scope="module")
def home(table: Path) -> Path:
    home = table.parent / "studies"
    done = typed("run", "--data", table, *SAID, *SMALL, "--trials", 1, "--home", home)
    assert done.returncode == 0, done.stderr
    taken = "columns: images from 'id' in train/, labels from 'kind of dog' (2 classes); not read: 'weight', 'owner'"
    assert f"note: {taken}\n" in done.stderr
    return home


def test_the_bundle_has_the_classes_of_the_table_and_predicts(home: Path, table: Path) -> None:
    bundle = home / "dogs" / "bundle"
    assert (bundle / "labels.txt").read_text().splitlines() == ["St. Bernard", "pug"]
    images = sorted((table.parent / "train").iterdir())[:2]
    rows = json.loads(typed("predict", bundle, *images, "--json").stdout)
    assert {row["label"] for row in rows} <= {"St. Bernard", "pug"}


def test_the_study_goes_on_with_the_columns_that_it_was_begun_with(home: Path) -> None:
    assert Home(home).study("dogs").read().data.columns.label == "kind of dog"
    done = typed("run", "--study", "dogs", "--resume", "--trials", 2, "--home", home)
    assert done.returncode == 0, done.stderr
    assert Home(home).study("dogs").record().finished() == 2
    assert json.loads(typed("show", "dogs", "--json", "--home", home).stdout)["data"]["classes"] == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--label-column", "weight"), "the study 'dogs' has --label-column kind of dog, not weight"),
        (("--group-column", "owner"), "the study 'dogs' has no --group-column, not owner"),
        (("--data", "digits"), "--label-column kind of dog: only a table has columns, and --data digits is none"),
    ],
)
def test_it_does_not_go_on_with_others(home: Path, given: tuple[str, str], said: str) -> None:
    done = typed("run", "--study", "dogs", "--resume", *given, "--home", home)
    assert done.returncode == 2
    assert said in done.stderr


def test_another_label_is_other_data(home: Path, table: Path, tmp_path: Path) -> None:
    before = table.read_text()
    try:
        table.write_text(before.replace("0003,3,St. Bernard", "0003,3,pug"))
        done = typed("run", "--study", "dogs", "--resume", "--trials", 3, "--home", home)
    finally:
        table.write_text(before)
    assert done.returncode == 2
    assert "is not the data that the study 'dogs' was created with: its fingerprint is" in done.stderr


def test_the_folder_of_images_alone_is_refused_with_the_command_that_reads_the_table(
    table: Path, tmp_path: Path
) -> None:
    done = typed("run", "--data", "train", "--home", tmp_path, cwd=table.parent)
    assert done.returncode == 2
    assert "train has 20 images but no class folders" in done.stderr
    assert "Or are the labels in labels.csv? `convsearch run --data labels.csv`" in done.stderr


def test_a_home_that_holds_images_of_the_table_is_refused(table: Path) -> None:
    done = typed("run", "--data", table, *SAID, *SMALL, "--home", table.parent / "train")
    assert done.returncode == 2
    assert f"holds images of --data {table}, such as train/0000.png, which would be left out" in done.stderr
