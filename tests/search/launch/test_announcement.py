"""What is said before a search."""

import io
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from convsearch.search.launch.announcement import announce
from convsearch.search.launch.contract import folder_of, new_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.loop.budget import Budget
from convsearch.search.study.home import Home


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"cat": 4, "dog": 4}, "2 classes ('cat', 'dog') with 4 images each; 4 train, 2 validation, 2 test"),
        ({"cat": 4, "dog": 5}, "2 classes ('cat', 'dog') with from 4 ('cat') to 5 ('dog') images; "),
        (dict.fromkeys("abcdefg", 3), "7 classes ('a', 'b', 'c', 'd', 'e' and 2 more) with 3 images each; "),
    ],
)
def test_the_first_classes_are_named_so_that_a_wrong_reading_is_seen(
    tmp_path: Path, make_classes: Callable[..., Path], counts: dict[str, int], said: str
) -> None:
    root = make_classes(tmp_path / "set", counts)
    assert f"data set: 8x8x3, {said}" in announced(home=tmp_path / "home", data=str(root))


def test_the_built_in_digits_are_told_from_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    note = "  note: this is not the ./digits of the current folder\n"
    assert note not in announced(home=tmp_path / "home")
    (tmp_path / "digits").mkdir()
    assert note in announced(home=tmp_path / "other")


def announced(**given: Any) -> str:
    """What is said before a new search begins."""
    options = Options(space="tiny", study="one", **given)
    home, console = Home(options.home), Console(file=io.StringIO(), width=500)
    with ExitStack() as held:
        contract = new_contract(home, folder_of(home, options), options)
        prepared = prepare(home, contract, Budget(None, None), console, held)
    assert prepared is not None
    with console.capture() as found:
        announce(prepared, Budget(1, None), console)
    return found.get()
