"""Keras's backends, and which GPUs the chosen one sees: it is asked in a process with a worker's environment."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from ..executors.shares import Share
from ..system.backend import BACKENDS, chosen_backend
from ..system.machine import Machine
from .fault import Fault
from .packages import module_version

PATIENCE = 120  # seconds until the backend has to have said what it sees
ASK = "import json; from convsearch.search.system.backend import gpus_seen; print(json.dumps(gpus_seen()))"

WITH_GPUS = {
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
    "jax": "pip install --upgrade 'jax[cuda12]'",
    "torch": "pip install --force-reinstall torch",
}


@dataclass(frozen=True)
class Backend:
    """One of Keras's backends; `chosen_by` says what chooses it, where something does."""

    name: str
    version: str | None
    chosen_by: str | None


@dataclass(frozen=True)
class GpuFacts:
    """A GPU that the driver lists, and whether the backend sees it; None where that is not known."""

    index: int
    name: str
    memory: int | None
    seen: bool | None


@dataclass(frozen=True)
class Seen:
    """What the backend said for one device: the GPUs that it sees, or why it cannot be used."""

    gpus: tuple[str, ...] = ()
    trouble: str | None = None


def find_backends() -> tuple[Backend, ...]:
    """Return all backends, whether they are there or not."""
    name, chosen_by = chosen_backend()
    known = BACKENDS if name in BACKENDS else {**BACKENDS, name: ()}
    return tuple(
        Backend(each, module_version(each, distributions), chosen_by if each == name else None)
        for each, distributions in known.items()
    )


def backend_faults(chosen: Backend, machine: Machine) -> list[Fault]:
    """Return why no worker could come up, where that is plain without trying."""
    if find_spec("keras") is None:
        return [Fault("keras is not installed", "pip install convsearch")]
    if chosen.name not in BACKENDS:
        right = f"set KERAS_BACKEND to {', '.join(BACKENDS)}, or unset it"
        return [Fault(f"{chosen.chosen_by}: Keras has no backend '{chosen.name}' that can train", right)]
    if chosen.version is None:
        command = WITH_GPUS[chosen.name] if machine.gpus else f"pip install {chosen.name}"
        other = "" if chosen.name == "tensorflow" else ", or set KERAS_BACKEND=tensorflow"
        return [Fault(f"{chosen.chosen_by}, but {chosen.name} is not installed", command + other)]
    return []


@contextmanager
def asking(share: Share) -> Iterator["subprocess.Popen[str]"]:
    """Ask the backend which GPUs it sees, in a process with the environment of the share's worker."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", ASK],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | share.environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answer(process: "subprocess.Popen[str]") -> Seen:
    """Wait for what the backend says; see `asking`."""
    try:
        said, complaint = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Seen(trouble=f"it did not say in {PATIENCE} s what it sees")
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    if process.returncode < 0:
        return Seen(trouble=f"it was killed by signal {-process.returncode}")
    if process.returncode or not said:
        return Seen(trouble=lines[-1][:300] if lines else f"it ended with exit code {process.returncode}")
    return Seen(gpus=tuple(json.loads(said.splitlines()[-1])))


def is_seen(seen: Seen | None) -> bool | None:
    """Return whether a device has a GPU that the backend sees; None where that is not known."""
    return None if seen is None or seen.trouble else bool(seen.gpus)


def gpu_faults(machine: Machine, gpus: Sequence[GpuFacts], backend: str) -> Iterator[Fault]:
    """Yield what is wrong with the driver, and the GPUs that it lists in vain."""
    if machine.trouble is not None:
        yield Fault(
            f"NVIDIA's tool lists no GPU: {machine.trouble}",
            "mend the driver, after an update mostly by starting the machine anew; until then the cores are used",
        )
    if unseen := [str(gpu.index) for gpu in gpus if gpu.seen is False]:
        yield Fault(f"{backend} does not see GPU {', '.join(unseen)}, which the driver lists", WITH_GPUS[backend])


def seeing_faults(seen: Mapping[str, Seen], backend: str) -> Iterator[Fault]:
    """Yield why the backend cannot be used."""
    for trouble in {one.trouble for one in seen.values() if one.trouble}:
        yield Fault(f"{backend} cannot be used: {trouble}", f"pip install --force-reinstall {backend}")
