"""What a study has taken, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminal import PATIENCE, wait_until

from convsearch.search.loop.budget import Budget
from convsearch.search.loop.time_used import INTERVAL, noting_time_used, time_used
from convsearch.spaces.errors import InputError


def test_a_new_study_has_taken_nothing(tmp_path: Path) -> None:
    assert time_used(tmp_path) == 0


def test_each_launch_adds_its_seconds(tmp_path: Path) -> None:
    for launch in (1, 2):
        budget = Budget(None, None, began=time.monotonic() - 100)
        with noting_time_used(tmp_path, budget):
            pass
        assert 100 * launch - 1 < time_used(tmp_path) < 100 * launch + 50


def test_a_kill_costs_the_last_few_seconds_of_what_is_known(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; "
        "from convsearch.search.loop.budget import Budget\n"
        "from convsearch.search.loop.time_used import noting_time_used\n"
        "with noting_time_used(Path(sys.argv[1]), Budget(None, None)): time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path]) as process:
        wait_until(lambda: time_used(tmp_path) >= INTERVAL, "the second note was made")
        os.kill(process.pid, signal.SIGKILL)
    assert INTERVAL <= time_used(tmp_path) < PATIENCE
    assert [path.name for path in tmp_path.iterdir()] == ["spent.txt"]


@pytest.mark.parametrize("text", ["a while", "nan", "inf", "-1"])
def test_what_is_no_number_of_seconds_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "spent.txt").write_text(f"{text}\n")
    with pytest.raises(InputError, match=rf"spent\.txt: '{text}' is not a number of seconds; remove the file"):
        time_used(tmp_path)


def test_where_it_cannot_be_written_the_work_goes_on(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with noting_time_used(gone, Budget(None, None)):
        assert not gone.exists()
    assert time_used(gone) == 0
