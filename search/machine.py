"""What this machine has to train on: cores, memory and GPUs, as far as this process may use them."""

import math
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")  # where a container's limits stand


@dataclass(frozen=True)
class Gpu:
    """A GPU by the number that the driver gives it; `memory` in bytes."""

    index: int
    name: str
    memory: int


@dataclass(frozen=True)
class Machine:
    """`cores` are the numbers of the cores that may be used, `memory` is in bytes."""

    cores: tuple[int, ...]
    memory: int
    gpus: tuple[Gpu, ...] = ()


@cache
def this_machine() -> Machine:
    """Return what this process may use: its affinity, its container's limits, CUDA_VISIBLE_DEVICES."""
    if hasattr(os, "sched_getaffinity"):
        cores = tuple(sorted(os.sched_getaffinity(0)))
    else:
        cores = tuple(range(os.cpu_count() or 1))
    return Machine(cores[: _core_limit(CGROUP) or len(cores)], _memory(CGROUP), _visible(_gpus()))


def _core_limit(cgroup: Path) -> int | None:
    """Return how many cores a container may use, where it says so."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return None


def _memory(cgroup: Path) -> int:
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int((cgroup / "memory.max").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return total


def _gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that NVIDIA's own tool lists; none where it is not there."""
    query = ["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = (line.split(",") for line in said.splitlines())
    return tuple(Gpu(int(row[0]), row[1].strip(), int(row[2]) * 2**20) for row in rows if len(row) == 3)


def _visible(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Return those that CUDA_VISIBLE_DEVICES leaves, where it holds plain numbers."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return gpus
    names = {name.strip() for name in allowed.split(",")}
    return tuple(gpu for gpu in gpus if str(gpu.index) in names)
