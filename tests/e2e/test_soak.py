"""The soak in its short form: the command that runs it in full, with fewer trials and kills."""

import subprocess
import sys
from pathlib import Path

from terminal import PATIENCE, environment

ROOT = Path(__file__).parents[2]


def test_a_study_that_is_killed_at_random_moments_ends_whole() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks", "soak"],
        cwd=ROOT,
        env=environment(SOAK_TRIALS="8", SOAK_KILLS="2", SOAK_PAUSE="2"),  # before any machine is done with the trials
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "a study of 8 trials, killed 2 times" in said.stdout
    assert "all agree" in said.stdout
