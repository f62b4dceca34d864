"""What is printed: text from outside is never taken for markup, and fits the terminal's encoding."""

import os
import subprocess

import pytest
from rich.table import Table
from terminal import COMMAND, environment

from convsearch.search.command.terminal import console, print_text
from convsearch.search.launch.progress import ProgressView
from convsearch.search.loop.budget import Budget
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.architecture import Architecture, Candidate, Layer
from convsearch.spaces.arithmetic import Volume

ODD = "birds[/old] [red]cat[/red] :smile: 1234"


def test_lines_tables_and_their_titles_show_text_that_looks_like_markup_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table(title=ODD, caption=ODD)
    table.add_column(f"{ODD} column", footer=ODD)
    table.add_row(f"{ODD} cell")
    print_text(f"{ODD} line")
    print_text(table)
    printed = capsys.readouterr().out
    for place in (f"{ODD} line", f"{ODD} column", f"{ODD} cell"):
        assert place in printed
    assert printed.count(ODD) == 5


def test_the_reason_of_a_failed_trial_may_look_like_markup(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = Candidate(architecture=Architecture(input=Volume(8, 8, 1), layers=(Layer(filters=4),), classes=2))
    trial = Trial.begin(Proposal(0, {}, candidate)).lose("failed", f"{ODD}\x1b[2J\nand more")
    ProgressView(console(), Record(tmp_path), Budget(None, None), epochs=3).ended(trial)
    assert capsys.readouterr().out.rstrip().endswith(rf": {ODD}\x1b[2J\nand more")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_that_the_terminal_cannot_show_end_nothing(encoding: str) -> None:
    name = os.fsdecode("猫-".encode() + b"\xe4")
    told = environment(PYTHONIOENCODING=encoding)
    done = subprocess.run([COMMAND, "explain", f"{name}.json"], capture_output=True, env=told, check=False)
    assert done.returncode == 2
    assert done.stderr.decode() == "convsearch: 猫-\\xe4.json: cannot be read: No such file or directory\n"
    command = [COMMAND, "check", "classic", "--input", "8x8x1"]
    shown = subprocess.run(command, capture_output=True, env=told, check=False)
    assert (shown.returncode, shown.stderr) == (0, b"")
