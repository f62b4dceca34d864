"""How long `convsearch --help` takes, as a whole process."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 10


def measure() -> list[tuple[str, str, str]]:
    """Return the median of some runs, after one that fills the disk's cache."""
    command = [str(Path(sys.executable).with_name("convsearch")), "--help"]
    times = []
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - begin)
    return [("`convsearch --help`", f"{statistics.median(times[1:]):.2f} s", "0.5 s")]
