"""What there is to train on: against the system's own word, real files, and a program in the place of NVIDIA's."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from terminal import PATIENCE, environment

from convsearch.search.system.machine import Limits, limits, this_machine

ASK = """
import dataclasses, json
from convsearch.search.system.machine import this_machine
print(json.dumps(dataclasses.asdict(this_machine())))
"""
TWO_GPUS = """\
0, 81559, GPU-aaaa1111-0000, NVIDIA H100 80GB HBM3
1, 24576, GPU-bbbb2222-0000, NVIDIA A30, the second
"""
TWO_NAMES = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa1111-0000)
GPU 1: NVIDIA A30, the second (UUID: GPU-bbbb2222-0000)
"""
WITH_PARTS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa1111-0000)
  MIG 3g.40gb     Device  0: (UUID: MIG-11111111-0000)
  MIG 1g.10gb     Device  1: (UUID: MIG-22222222-0000)
GPU 1: NVIDIA A30, the second (UUID: GPU-bbbb2222-0000)
"""

Machine = Callable[..., dict[str, Any]]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """The machine as a fresh process finds it, where `nvidia-smi` is a program that says what it is given to say."""

    def find(query: str | None = None, names: str = "", code: int = 0, **variables: str) -> dict[str, Any]:
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        if query is not None:
            (tmp_path / "query").write_text(query)
            (tmp_path / "names").write_text(names)
            program = place / "nvidia-smi"
            program.write_text(
                f'#!/bin/sh\nif [ "$1" = -L ]; then cat {tmp_path}/names; else cat {tmp_path}/query; fi\nexit {code}\n'
            )
            program.chmod(0o755)
        told = {key: value for key, value in environment().items() if key != "CUDA_VISIBLE_DEVICES"}
        path = f"{place}:/usr/bin:/bin" if query is not None else str(place)
        said = subprocess.run(
            [sys.executable, "-c", ASK],
            env=told | {"PATH": path} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert said.returncode == 0, said.stderr
        found: dict[str, Any] = json.loads(said.stdout)
        return found

    return find


# ---------------------------------------------------------------------- cores and memory


def test_cores_and_memory_are_at_most_what_the_system_has() -> None:
    found = this_machine()
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    limit = limits()
    assert set(found.cores) <= allowed
    assert len(found.cores) == min(len(allowed), -int(-(limit.cores or len(allowed)) // 1))
    assert found.memory == min(psutil.virtual_memory().total, limit.memory or sys.maxsize)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux keeps a process to some cores")
def test_cores_that_the_process_is_kept_from_are_not_counted() -> None:
    one = min(os.sched_getaffinity(0))
    ask = f"import os; os.sched_setaffinity(0, [{one}])\n{ASK}"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert json.loads(said.stdout)["cores"] == [one]


# ---------------------------------------------------------------------- a container's limits


@pytest.fixture
def groups(tmp_path: Path) -> Callable[[str, dict[str, str]], Limits]:
    """The limits by control groups: which are the process's own, and the files of some."""

    def read(own: str, files: dict[str, str]) -> Limits:
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return limits(tmp_path / "cgroup", tmp_path / "own")

    return read


Groups = Callable[[str, dict[str, str]], Limits]


def test_a_container_of_version_2_says_what_it_allows(groups: Groups) -> None:
    assert groups("0::/\n", {"cpu.max": "150000 100000", "memory.max": "1073741824"}) == Limits(1.5, 2**30)


def test_max_is_no_limit(groups: Groups) -> None:
    assert groups("0::/\n", {"cpu.max": "max 100000", "memory.max": "max"}) == Limits()


def test_a_container_of_version_1_says_what_it_allows(groups: Groups) -> None:
    own = "4:memory:/\n3:cpuset:/\n2:cpu,cpuacct:/\n0::/\n"
    files = {
        "cpu/cpu.cfs_quota_us": "50000",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "536870912",
    }
    assert groups(own, files) == Limits(0.5, 2**29)


def test_version_1_writes_no_limit_as_minus_one_and_as_a_huge_number(groups: Groups) -> None:
    files = {
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }
    assert groups("4:memory:/\n2:cpu:/\n", files) == Limits()


def test_the_tightest_limit_of_all_groups_above_holds(groups: Groups) -> None:
    files = {
        "jobs/cpu.max": "200000 100000",
        "jobs/17/cpu.max": "800000 100000",
        "jobs/17/memory.max": "1073741824",
        "memory.max": "max",
        "others/memory.max": "1",
    }
    assert groups("0::/jobs/17\n", files) == Limits(2.0, 2**30)


def test_a_group_that_cannot_be_seen_from_here_is_no_limit(groups: Groups) -> None:
    assert groups("0::/../outside\n4:memory:/gone\n", {"cpu.max": "100000 100000"}) == Limits(1.0, None)


def test_where_there_are_no_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert limits(tmp_path / "nothing", tmp_path / "neither") == Limits()


# ---------------------------------------------------------------------- GPUs


def test_without_nvidias_tool_there_is_no_gpu_and_no_trouble(machine: Machine) -> None:
    found = machine()
    assert (found["gpus"], found["trouble"]) == ([], None)


def test_gpus_have_number_name_and_memory(machine: Machine) -> None:
    first, second = machine(TWO_GPUS, TWO_NAMES)["gpus"]
    assert first == {"index": 0, "name": "NVIDIA H100 80GB HBM3", "memory": 81559 * 2**20, "device": None}
    assert second == {"index": 1, "name": "NVIDIA A30, the second", "memory": 24576 * 2**20, "device": None}


def test_memory_that_the_driver_does_not_tell_is_not_known(machine: Machine) -> None:
    (only,) = machine("0, [N/A], GPU-cccc, NVIDIA GB10\n", "GPU 0: NVIDIA GB10 (UUID: GPU-cccc)\n")["gpus"]
    assert (only["index"], only["memory"]) == (0, None)


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("1,0", [0, 1]),
        ("0, 1", [0, 1]),
        ("0,7,1", [0]),  # CUDA too stops at the first that is not there
        ("GPU-bbbb2222-0000", [1]),
        ("GPU-bb", [1]),
        ("NoDevFiles", []),
    ],
)
def test_only_gpus_that_cuda_visible_devices_names_are_there(machine: Machine, visible: str, left: list[int]) -> None:
    found = machine(TWO_GPUS, TWO_NAMES, CUDA_VISIBLE_DEVICES=visible)
    assert [gpu["index"] for gpu in found["gpus"]] == left
    assert found["trouble"] is None


def test_the_parts_of_a_divided_gpu_stand_for_it(machine: Machine) -> None:
    found = machine(TWO_GPUS, WITH_PARTS)["gpus"]
    assert [(gpu["index"], gpu["device"]) for gpu in found] == [
        (0, "MIG-11111111-0000"),
        (1, "MIG-22222222-0000"),
        (2, "1"),
    ]
    assert found[0]["name"] == "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    assert [gpu["memory"] for gpu in found] == [40 * 2**30, 10 * 2**30, 24576 * 2**20]


def test_one_part_of_a_gpu_may_be_all_that_is_left(machine: Machine) -> None:
    (only,) = machine(TWO_GPUS, WITH_PARTS, CUDA_VISIBLE_DEVICES="MIG-22222222-0000")["gpus"]
    assert (only["index"], only["device"]) == (1, "MIG-22222222-0000")


def test_a_tool_that_fails_is_told_with_what_it_says(machine: Machine) -> None:
    found = machine("Failed to initialize NVML: Driver/library version mismatch\n", code=18)
    assert found["gpus"] == []
    assert found["trouble"] == (
        "nvidia-smi ended with exit code 18: Failed to initialize NVML: Driver/library version mismatch"
    )


def test_a_tool_that_finds_no_gpu_is_no_trouble(machine: Machine) -> None:
    found = machine("No devices were found\n", code=6)
    assert (found["gpus"], found["trouble"]) == ([], None)


# ---------------------------------------------------------------------- what a worker imports

WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

import keras  # whose backend may well be TensorFlow; from here on it is not to be had

sys.modules.pop("tensorflow", None)
BLOCKED = {"tensorflow", "optuna", "mlflow", "keras_tuner", "pandas", "sqlalchemy", "streamlit", "plotly", "sklearn"}

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from importlib import import_module
from pkgutil import iter_modules

import convsearch.search.data
import convsearch.spaces

for package in (convsearch.spaces, convsearch.search.data):
    for module in iter_modules(package.__path__, package.__name__ + "."):
        import_module(module.name)
for name in ("executors.local", "executors.run_jobs", "workers.process", "training.trial", "doctor.diagnosis"):
    import_module("convsearch.search." + name)
print("imported")
"""


def test_a_worker_imports_no_tensorflow_optuna_mlflow_or_keras_tuner_of_its_own() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert said.stdout.splitlines()[-1:] == ["imported"], said.stderr
