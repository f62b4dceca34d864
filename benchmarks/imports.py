"""What every search waits for first: Keras with its backend, imported as our processes do and plainly."""

import re
import statistics
import subprocess
import sys

ROUNDS = 5
OURS = "from convsearch.search.system.backend import import_keras; import_keras(start=False)"
PLAIN = "import keras"
RESOURCES = """
import psutil
used = psutil.Process()
times = used.cpu_times()
print("used", times.user + times.system, used.memory_info().rss / 2**20)
"""


def measure() -> list[tuple[str, str, str]]:
    """Return processor time and memory of both: medians of some runs in turn, after one that fills the disk's cache."""
    runs = [(_used(OURS), _used(PLAIN)) for _ in range(ROUNDS + 1)][1:]
    seconds, all_seconds = (statistics.median(run[which][0] for run in runs) for which in (0, 1))
    memory, all_memory = (statistics.median(run[which][1] for run in runs) for which in (0, 1))
    what = "Keras and its backend imported, against `import keras`"
    return [
        (f"{what}: processor time", f"{seconds / all_seconds:.2f} times ({seconds:.1f} s, {all_seconds:.1f} s)", ""),
        (f"{what}: memory", f"{memory / all_memory:.2f} times ({memory:.0f} MB, {all_memory:.0f} MB)", ""),
    ]


def _used(program: str) -> tuple[float, float]:
    """Run a program, and return the seconds of processor time and the MB of memory that it takes."""
    command = [sys.executable, "-c", program + "\n" + RESOURCES]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (found,) = re.findall(r"^used (\S+) (\S+)$", said, re.MULTILINE)
    return float(found[0]), float(found[1])
