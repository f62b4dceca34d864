"""The machine that a benchmark ran on, in a line."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Return one line about this machine."""
    name = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else name}, {os.cpu_count()} cores, Python {platform.python_version()}"
