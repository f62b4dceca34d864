"""The cores, memory and GPUs of this machine that this process may use."""

import math
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import psutil

CGROUP = Path("/sys/fs/cgroup")  # where a container's limits are
OWN_GROUPS = Path("/proc/self/cgroup")  # and which of them are this process's
PATIENCE = 20  # seconds for nvidia-smi, which is slow while the driver is asleep

GPU_LINE = re.compile(r"GPU (?P<number>\d+): ")
PART_LINE = re.compile(r"\s+MIG (?P<profile>\S+) .*\(UUID: (?P<uuid>MIG-[^)]+)\)")
PART_MEMORY = re.compile(r"(\d+)gb")  # in the name of a profile, as in 3g.20gb


@dataclass(frozen=True)
class Gpu:
    """A GPU by the number that the driver gives it; `memory` in bytes, None where the driver does not report it.

    Where MIG divides a GPU, each instance is one of these, and all are numbered consecutively. `device` is the name of
    the instance in CUDA_VISIBLE_DEVICES; without MIG that is the number.
    """

    index: int
    name: str
    memory: int | None
    device: str | None = None


@dataclass(frozen=True)
class Machine:
    """`cores` are the numbers of the cores that may be used, `memory` is in bytes.

    `trouble` is the error of nvidia-smi, if it is installed but cannot list GPUs.
    """

    cores: tuple[int, ...]
    memory: int
    gpus: tuple[Gpu, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True)
class Limits:
    """A container's limits: `cores`, which may be fractional, and `memory` in bytes; None where there is no limit."""

    cores: float | None = None
    memory: int | None = None


@cache
def this_machine() -> Machine:
    """Return what this process may use by its CPU affinity, its container's limits and CUDA_VISIBLE_DEVICES."""
    if hasattr(os, "sched_getaffinity"):
        cores = tuple(sorted(os.sched_getaffinity(0)))
    else:
        cores = tuple(range(os.cpu_count() or 1))
    limit, total = limits(), int(psutil.virtual_memory().total)
    if limit.cores is not None:
        cores = cores[: max(1, math.ceil(limit.cores))]
    gpus, trouble = _gpus()
    return Machine(cores, total if limit.memory is None else min(total, limit.memory), gpus, trouble)


def limits(cgroup: Path = CGROUP, own: Path = OWN_GROUPS) -> Limits:
    """Return the tightest limits of this process's control groups and their ancestors, in version 2 or 1."""
    cores, memory = [], []
    for folder in _groups(cgroup, own, "cpu"):
        words = _words(folder / "cpu.max") or _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        if len(words) == 2 and all(word.isdecimal() for word in words):  # "max" and -1 are no limit
            cores.append(int(words[0]) / int(words[1]))
    total = psutil.virtual_memory().total
    for folder in _groups(cgroup, own, "memory"):
        words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        if words and words[0].isdecimal() and int(words[0]) < total:  # version 1 uses a huge number for no limit
            memory.append(int(words[0]))
    return Limits(min(cores, default=None), min(memory, default=None))


def _groups(cgroup: Path, own: Path, controller: str) -> Iterator[Path]:
    """Yield the folders whose limits apply to this process, from its own group up."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = cgroup / controller if controllers else cgroup  # version 2 names no controllers
        group = PurePosixPath(path.lstrip("/"))
        yield from (top / part for part in (group, *group.parents))


def _words(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text(encoding="utf-8").split())
    except OSError:
        return ()


# ---------------------------------------------------------------------- GPUs


@dataclass(frozen=True)
class _Listed:
    """A GPU or MIG instance as nvidia-smi lists it, with all names that CUDA_VISIBLE_DEVICES may use for it."""

    gpu: Gpu
    uuid: str
    number: str | None  # the driver's; of the instances of a GPU only the first has it

    def is_called(self, name: str) -> bool:
        """Whether CUDA takes a name for this one: its number, its UUID, or a prefix of it."""
        return name == self.number or (name.startswith(("GPU-", "MIG-")) and self.uuid.startswith(name))


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Return the GPUs that nvidia-smi lists and this process may use, and the error of nvidia-smi if any."""
    try:
        rows = _nvidia_smi("--query-gpu=index,memory.total,uuid,name", "--format=csv,noheader,nounits")
        parts = _parts(_nvidia_smi("-L"))
    except FileNotFoundError:  # no NVIDIA driver here
        return (), None
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi did not answer within {PATIENCE} s"
    except subprocess.CalledProcessError as error:
        output = " ".join((error.stdout + error.stderr).split())
        # To nvidia-smi it is an error to have no GPU, to us it is not.
        problem = f"nvidia-smi ended with exit code {error.returncode}: {output[:300]}"
        return (), None if "No devices" in output else problem
    except OSError as error:
        return (), f"nvidia-smi cannot be run: {error.strerror}"
    found: list[_Listed] = []
    for row in rows:
        number, _, rest = row.partition(",")
        if number.isdecimal() and rest.count(",") >= 2:
            memory, uuid, name = (field.strip() for field in rest.split(",", 2))
            found += _listed(len(found), number, memory, uuid, name, parts)
    return _visible(found), None


def _nvidia_smi(*arguments: str) -> list[str]:
    done = subprocess.run(
        ["nvidia-smi", *arguments], capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=True
    )
    return done.stdout.splitlines()


def _parts(lines: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the MIG instances of GPUs: profile and UUID of each, by the driver's number of the GPU."""
    parts: dict[str, list[tuple[str, str]]] = {}
    number = ""
    for line in lines:
        if gpu := GPU_LINE.match(line):
            number = gpu["number"]
        elif part := PART_LINE.match(line):
            parts.setdefault(number, []).append((part["profile"], part["uuid"]))
    return parts


def _listed(
    first: int, number: str, memory: str, uuid: str, name: str, parts: dict[str, list[tuple[str, str]]]
) -> list[_Listed]:
    """Return one GPU, or its MIG instances; numbered from `first` if any GPU has instances."""
    if number not in parts:
        size = int(memory) * 2**20 if memory.isdecimal() else None  # [N/A] where GPU and processor share it
        gpu = Gpu(first, name, size, number) if parts else Gpu(int(number), name, size)
        return [_Listed(gpu, uuid, number)]
    found = []
    for i, (profile, part) in enumerate(parts[number]):
        size = int(match[1]) * 2**30 if (match := PART_MEMORY.search(profile)) else None
        found.append(_Listed(Gpu(first + i, f"{name} MIG {profile}", size, part), part, None if i else number))
    return found


def _visible(listed: list[_Listed]) -> tuple[Gpu, ...]:
    """Return those that CUDA_VISIBLE_DEVICES names: numbers or UUIDs, up to the first unknown one."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return tuple(one.gpu for one in listed)
    visible = []
    for name in map(str.strip, allowed.split(",")):
        named = next((one for one in listed if one.is_called(name)), None)
        if named is None:
            break
        visible.append(named)
    return tuple(one.gpu for one in listed if one in visible)
