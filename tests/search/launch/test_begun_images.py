"""A study goes on with the images that it began with, also where a new one would have more."""

import io
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from searches import prepared

from convsearch.search.data import Split, split
from convsearch.search.data.splits import divide
from convsearch.search.launch.contract import joined_contract, resumed_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.prepared import Prepared
from convsearch.search.sources.open import scan
from convsearch.search.sources.store import stored
from convsearch.search.study.home import Home
from convsearch.search.study.shared import shared_of
from convsearch.spaces.sizes import Size


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty images, of which one lacks its last 20 bytes."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{number}.jpg")
    path = tmp_path / "set/cat/3.jpg"
    path.write_bytes(path.read_bytes()[:-20])
    return tmp_path / "set"


def begun_earlier(home: Home, root: Path) -> Prepared:
    """Return a study as an earlier version began it, which took the image for a bad one."""
    new = prepared(home, data=str(root), space="tiny", trials=1, skip_bad=True)
    size, begun = Size(64, 64), new.dataset.folder.name.removesuffix("-truncated")
    old = stored(scan(str(root)), size, "stretch", home.data, skip_bad=True, step=None, begun=begun)
    parts = split(old, new.study.seed)
    train, val, test = (len(part) for part in (parts.train, parts.val, parts.test))
    changed = {"folder": old.folder.name, "rows": old.rows, "train": train, "val": val, "test": test}
    new.folder.write(new.study.model_copy(update={"data": new.study.data.model_copy(update=changed)}))
    new.folder.split.unlink()
    parts.save(new.folder.split)
    return new


def resumed(begun: Prepared) -> Prepared:
    options = Options(home=begun.folder.path.parent, study="mine", resume=True)
    with ExitStack() as held:
        contract, home = resumed_contract(begun.folder, options), Home(options.home)
        found = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    assert found is not None
    return found


def joined(study: Prepared, place: Path) -> Prepared:
    """Join a study that others run, in a home of another machine."""
    shared = shared_of(study.study, study.folder.space_file.read_text(encoding="utf-8"), study.split)
    home = Home(place)
    options = Options(home=place, study="mine", storage="postgresql://me@host/x")
    with ExitStack() as held:
        contract = joined_contract(home.study("mine"), options, shared)
        found = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    assert found is not None
    return found


@pytest.mark.parametrize("earlier", [False, True])
def test_a_loop_that_joins_a_study_divides_as_the_others_do_although_an_earlier_version_knew_of_no_copies(
    tmp_path: Path, root: Path, earlier: bool
) -> None:
    for number in range(5):
        shutil.copy(root / "dog/1.jpg", root / f"dog/again{number}.jpg")
    others = prepared(Home(tmp_path / "home"), data=str(root), space="tiny", trials=1)
    plain = divide(others.dataset.labels(), others.dataset.given, others.study.seed)
    assert not np.array_equal(plain.test, others.split.test)
    if earlier:
        others = replace(others, split=plain)
    assert np.array_equal(joined(others, tmp_path / "another").split.test, others.split.test)


def test_a_new_study_has_the_image_that_lacks_its_end_and_goes_on_with_it(tmp_path: Path, root: Path) -> None:
    home = Home(tmp_path / "home")
    first = prepared(home, data=str(root), space="tiny", trials=1)
    assert len(first.dataset) == 20
    assert "1 of 20 images lack their end and are read as far as they go, such as cat/3.jpg" in first.study.data.notes
    again = resumed(first)
    assert again.dataset == first.dataset
    assert again.study.data == first.study.data


def test_a_study_that_began_without_it_goes_on_without_it_while_a_new_one_has_it(tmp_path: Path, root: Path) -> None:
    old = begun_earlier(Home(tmp_path / "home"), root)
    again = resumed(old)
    assert len(again.dataset) == 19
    assert [line.split(":")[0] for line in again.dataset.bad] == ["cat/3.jpg"]
    assert again.split.divides(19)
    assert Split.load(old.folder.split).divides(19)
    assert len(old.dataset) == 20
