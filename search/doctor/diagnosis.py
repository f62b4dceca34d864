"""Examines this machine: versions, backends, devices, optional parts, places, tiny trials.

Facts are gathered, and problems become `Fault`s; `report.py` shows both. Whatever may be missing or broken is imported
late, or by another process, so that it can be reported.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from platform import python_version

import psutil

from ...spaces.errors import WorkError
from ..executors.shares import crowded, shares
from ..study.home import Home
from ..system.machine import Machine, limits, this_machine
from .fault import Fault
from .packages import Extra, Package, find_extras, find_packages, package_faults
from .places import Address, Place, examine_home, find_mlflow, place_faults
from .sight import (
    Backend,
    GpuFacts,
    Seen,
    backend_faults,
    find_backends,
    gpu_faults,
    gpu_query,
    import_faults,
    is_seen,
    query_result,
)
from .tryout import CORES_ALONE, Tried, devices, start_trials, wait_for_trials


@dataclass(frozen=True)
class Cores:
    """Cores and bytes of memory: those of the machine, those that may be used, and any container limits."""

    usable: int
    total: int
    memory: int
    total_memory: int
    container_cores: float | None
    container_memory: int | None


@dataclass(frozen=True)
class Worker:
    """What a worker of `--workers auto` gets; memory in bytes."""

    cores: int
    memory: int
    gpu: int | None


@dataclass(frozen=True)
class Diagnosis:
    """All findings. `others_seen` are GPUs that the backend sees but no tool lists, such as Apple's."""

    python: str
    packages: tuple[Package, ...]
    backends: tuple[Backend, ...]
    cores: Cores
    gpus: tuple[GpuFacts, ...]
    others_seen: tuple[str, ...]
    extras: tuple[Extra, ...]
    workers: tuple[Worker, ...]
    note: str | None
    home: Place
    mlflow: Address
    trials: tuple[Tried, ...]
    faults: tuple[Fault, ...]


def diagnose(home: Home) -> Diagnosis:
    """Examine everything while each device trains tiny networks, and report what is broken."""
    machine, backends = this_machine(), find_backends()
    chosen = next(backend for backend in backends if backend.chosen_by)
    faults = backend_faults(chosen, machine)
    tried = {} if faults else devices(machine)
    with ExitStack() as held:
        queries = {
            device: held.enter_context(gpu_query(share))
            for device, share in tried.items()
            if share.gpu is not None or not machine.gpus  # where there are GPUs, the cores are not queried for any
        }
        try:
            tryouts = start_trials(tried, held) if tried else []
        except WorkError as error:
            tryouts = []
            faults.append(Fault(str(error), "fix that, or choose another temporary folder with TMPDIR"))
        packages, place, address = find_packages(), examine_home(home.path), find_mlflow(home)
        seen = {device: query_result(process) for device, process in queries.items()}
        trials = tuple(_checked(one, seen, chosen.name) for one in wait_for_trials(tryouts))
    gpus = tuple(GpuFacts(g.index, g.name, g.memory, is_seen(seen.get(f"GPU {g.index}"))) for g in machine.gpus)
    faults += [
        *gpu_faults(machine, gpus, chosen.name),
        *import_faults(seen, chosen.name),
        *_trial_faults(trials, seen),
        *package_faults(packages, chosen.name),
        *place_faults(place, address),
    ]
    workers = shares(machine)
    return Diagnosis(
        python=python_version(),
        packages=packages,
        backends=backends,
        cores=_cores(machine),
        gpus=gpus,
        others_seen=() if machine.gpus else tuple(name for one in seen.values() for name in one.gpus),
        extras=find_extras(),
        workers=tuple(Worker(len(share.cores), share.memory, share.gpu) for share in workers),
        note=crowded(machine, len(workers)),
        home=place,
        mlflow=address,
        trials=trials,
        faults=tuple(dict.fromkeys(faults)),
    )


def _checked(tried: Tried, seen: Mapping[str, Seen], backend: str) -> Tried:
    """Return a trial as failed if it was meant for a GPU but can only have run on the CPU cores."""
    if tried.device in seen and tried.device != CORES_ALONE and is_seen(seen[tried.device]) is False:
        return Tried(tried.device, tried.precision, reason=f"{backend} does not see the GPU and trained on the cores")
    return tried


def _trial_faults(trials: Sequence[Tried], seen: Mapping[str, Seen]) -> Iterator[Fault]:
    """Yield the failures that no other fault explains."""
    good = {one.device for one in trials if one.reason is None}
    for one in trials:
        on_gpu = one.device != CORES_ALONE
        explained = any(other.trouble for other in seen.values()) or (on_gpu and not is_seen(seen.get(one.device)))
        if one.reason is None or explained:
            continue
        if one.device in good:
            remedy = f"do not train with --precision {one.precision} there"
        elif on_gpu:
            remedy = "inspect it with nvidia-smi; to leave it out, list the other GPUs with --gpus"
        else:
            remedy = "fix what the reason names; if it names a package, reinstall that"
        yield Fault(f"a tiny trial on {one.device} in {one.precision} failed: {one.reason}", remedy)


def _cores(machine: Machine) -> Cores:
    limit = limits()
    return Cores(
        usable=len(machine.cores),
        total=os.cpu_count() or len(machine.cores),
        memory=machine.memory,
        total_memory=int(psutil.virtual_memory().total),
        container_cores=limit.cores,
        container_memory=limit.memory,
    )
