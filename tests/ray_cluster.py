"""A real Ray cluster of several nodes on this machine, some of which may run another Python; nothing of it stays."""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster
from terminal import PATIENCE, wait_until

MARK = "CLUSTER_OF_TESTS"  # in the environment of all processes of a cluster: the process whose tests it is for
RAY = "from ray.scripts.scripts import main; main()"


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder of a short name, for Ray keeps sockets in it; what still uses it is ended with the block."""
    place = Path(tempfile.mkdtemp(prefix="ray"))
    try:
        yield place
    finally:
        end(ray_processes(place))
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def a_cluster(nodes: int = 2, cpus: int = 1) -> Iterator[Cluster]:
    """So many nodes with so many cores each, as the cluster counts them; the first one is the head."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # Ray's own is 15: on a busy machine, they would hardly run at all
        "RAY_gcs_server_port_wait_time_s": str(PATIENCE),
        MARK: str(os.getpid()),
    }
    with short_folder() as place:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(place))  # what killed workers leave goes with it
            (place / "ray").mkdir()  # Ray's own note of where the last cluster is
            head = {"num_cpus": cpus, "temp_dir": str(place), "wait": False}
            cluster = Cluster(initialize_head=True, head_node_args=head)
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=cpus, wait=False)
            cluster.wait_for_nodes(PATIENCE)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def ray_processes(place: Path) -> list[psutil.Process]:
    """The processes of a cluster whose files are in a place: those that name it, and their children."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(str(place) in word for word in process.cmdline()):
                found += [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
    return found


def end(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def actors() -> set[int]:
    """The processes of our workers on all nodes of this process's cluster; other tests have theirs at the same time."""
    found = set()
    for process in psutil.process_iter():
        try:
            ours = "ray::RayWorker" in " ".join(process.cmdline()) and process.environ().get(MARK) == str(os.getpid())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


@contextmanager
def ray_start(python: Path, *arguments: str) -> Iterator[None]:
    """Type `ray start` with another Python, and end what it started with the block."""
    command = [str(python), "-c", RAY, "start", "--block", "--num-cpus=1", *arguments]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)

        def is_up() -> bool:
            said.seek(0)
            text = said.read().decode()
            assert process.poll() is None, text
            return "Ray runtime started." in text

        try:
            wait_until(is_up, "the node was up")
            yield
        finally:
            started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for one in started[1:]:
                with suppress(psutil.NoSuchProcess):
                    if "raylet" in one.name():
                        one.terminate()  # so that the cluster knows at once that the node is gone
            psutil.wait_procs(started, timeout=5)
            end(started)
            process.wait()


def python_with_other(folder: Path, package: str, version: str | None) -> Path:
    """Make a Python that has everything that this one has, but a package in another version, or not at all."""
    venv.create(folder, with_pip=False)
    here, there = (
        Path(base) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        for base in (sys.prefix, folder)
    )
    for entry in here.iterdir():
        if package not in entry.name.partition("-")[0].strip("_"):
            (there / entry.name).symlink_to(entry)
    if version is not None:
        described = there / f"{package}-{version}.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {package}\nVersion: {version}\n")
        if package == "ray":  # which says its version itself
            (there / "ray").mkdir()
            for entry in Path(ray.__file__).parent.iterdir():
                (there / "ray" / entry.name).symlink_to(entry)
            (there / "ray" / "_version.py").unlink()
            (there / "ray" / "_version.py").write_text(f'version = "{version}"\ncommit = "none"\n')
    return folder / "bin" / "python"
