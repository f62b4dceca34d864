"""Keras's backends, and which GPUs the chosen one sees, by a query in a process with a worker's environment."""

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
from ..system.processes import last_words
from .fault import Fault
from .packages import module_version

PATIENCE = 120  # seconds that the backend has to answer
QUERY = "import json; from convsearch.search.system.backend import visible_gpus; print(json.dumps(visible_gpus()))"

WITH_GPUS = {
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
    "jax": "pip install --upgrade 'jax[cuda12]'",
    "torch": "pip install --force-reinstall torch",
}


@dataclass(frozen=True)
class Backend:
    """One of Keras's backends; `chosen_by` says what selects it, None if nothing does."""

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
    """The backend's answer for one device: the GPUs that it sees, or why it cannot be used."""

    gpus: tuple[str, ...] = ()
    trouble: str | None = None


def find_backends() -> tuple[Backend, ...]:
    """Return all backends, installed or not."""
    name, chosen_by = chosen_backend()
    known = BACKENDS if name in BACKENDS else {**BACKENDS, name: ()}
    return tuple(
        Backend(each, module_version(each, distributions), chosen_by if each == name else None)
        for each, distributions in known.items()
    )


def backend_faults(chosen: Backend, machine: Machine) -> list[Fault]:
    """Return why no worker could start, as far as that is known without trying."""
    if find_spec("keras") is None:
        return [Fault("keras is not installed", "pip install convsearch")]
    if chosen.name not in BACKENDS:
        remedy = f"set KERAS_BACKEND to {', '.join(BACKENDS)}, or unset it"
        return [Fault(f"{chosen.chosen_by}: Keras has no backend '{chosen.name}' that can train", remedy)]
    if chosen.version is None:
        command = WITH_GPUS[chosen.name] if machine.gpus else f"pip install {chosen.name}"
        other = "" if chosen.name == "tensorflow" else ", or set KERAS_BACKEND=tensorflow"
        return [Fault(f"{chosen.chosen_by}, but {chosen.name} is not installed", command + other)]
    return []


@contextmanager
def gpu_query(share: Share) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that asks the backend which GPUs it sees, with the environment of the share's worker."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", QUERY],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | share.environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def query_result(process: "subprocess.Popen[str]") -> Seen:
    """Wait for the backend's answer; see `gpu_query`."""
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Seen(trouble=f"it did not answer within {PATIENCE} s")
    if process.returncode < 0:
        return Seen(trouble=f"it was killed by signal {-process.returncode}")
    if process.returncode or not output:
        return Seen(trouble=last_words(errors)[:300] or f"it ended with exit code {process.returncode}")
    return Seen(gpus=tuple(json.loads(output.splitlines()[-1])))


def is_seen(seen: Seen | None) -> bool | None:
    """Return whether a device has a GPU that the backend sees; None where that is not known."""
    return None if seen is None or seen.trouble else bool(seen.gpus)


def gpu_faults(machine: Machine, gpus: Sequence[GpuFacts], backend: str) -> Iterator[Fault]:
    """Yield what is wrong with the driver, and GPUs that it lists but the backend does not see."""
    if machine.trouble is not None:
        yield Fault(
            f"nvidia-smi lists no GPU: {machine.trouble}",
            "fix the driver (after an update, a reboot usually helps); until then the CPU cores are used",
        )
    if unseen := [str(gpu.index) for gpu in gpus if gpu.seen is False]:
        yield Fault(f"{backend} does not see GPU {', '.join(unseen)}, which the driver lists", WITH_GPUS[backend])


def import_faults(seen: Mapping[str, Seen], backend: str) -> Iterator[Fault]:
    """Yield why the backend cannot be used."""
    for trouble in {one.trouble for one in seen.values() if one.trouble}:
        yield Fault(f"{backend} cannot be used: {trouble}", f"pip install --force-reinstall {backend}")
