"""What `make demo` does once the packages are there: the search of the digits to its bundle."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure() -> list[tuple[str, str, str]]:
    """Return its time and its test accuracy."""
    command = str(Path(sys.executable).with_name("convsearch"))
    with tempfile.TemporaryDirectory() as home:
        begin = time.perf_counter()
        subprocess.run([command, "run", "--study", "demo", "--home", home], check=True, capture_output=True)
        seconds = time.perf_counter() - begin
        shown = subprocess.run([command, "show", "demo", "--json", "--home", home], check=True, capture_output=True)
    test = json.loads(shown.stdout)["test"]
    low, high = test["interval_95"]
    return [
        ("the demo, from the command to the bundle", f"{seconds:.0f} s", "180 s"),
        ("its test accuracy", f"{test['accuracy']:.1%} ({low:.1%} to {high:.1%})", "97 %"),
    ]
