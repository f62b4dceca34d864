"""What this machine has and what of it works: versions, backends, devices, optional parts, places, tiny trials.

Facts are gathered, and what is wrong with them is named as `Fault`s; `report.py` shows both. What may be missing or
broken is imported late, or by another process: to tell of it is what this is for.
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
from .places import Address, Place, find_mlflow, look_at, place_faults
from .sight import (
    Backend,
    GpuFacts,
    Seen,
    answer,
    asking,
    backend_faults,
    find_backends,
    gpu_faults,
    is_seen,
    seeing_faults,
)
from .tryout import CORES_ALONE, Tried, begin, devices, finish


@dataclass(frozen=True)
class Cores:
    """Cores and bytes of memory: those of the machine, those that may be used, and a container's limits if any."""

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
    """All that was found. `others_seen` are GPUs that the backend sees and no tool lists, as those of Apple."""

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
    """Look at everything, while each device trains tiny networks, and say what is broken."""
    machine, backends = this_machine(), find_backends()
    chosen = next(backend for backend in backends if backend.chosen_by)
    faults = backend_faults(chosen, machine)
    tried = {} if faults else devices(machine)
    with ExitStack() as held:
        asked = {
            device: held.enter_context(asking(share))
            for device, share in tried.items()
            if share.gpu is not None or not machine.gpus  # where there are GPUs, the cores are asked for none
        }
        try:
            tryouts = begin(tried, held) if tried else []
        except WorkError as error:
            tryouts = []
            faults.append(Fault(str(error), "mend that; TMPDIR names another temporary folder"))
        packages, place, address = find_packages(), look_at(home.path), find_mlflow(home)
        seen = {device: answer(process) for device, process in asked.items()}
        trials = tuple(_judged(one, seen, chosen.name) for one in finish(tryouts))
    gpus = tuple(GpuFacts(g.index, g.name, g.memory, is_seen(seen.get(f"GPU {g.index}"))) for g in machine.gpus)
    faults += [
        *gpu_faults(machine, gpus, chosen.name),
        *seeing_faults(seen, chosen.name),
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


def _judged(tried: Tried, seen: Mapping[str, Seen], backend: str) -> Tried:
    """Return a trial as a failed one, where it was to be on a GPU and can only have been on the cores."""
    if tried.device in seen and tried.device != CORES_ALONE and is_seen(seen[tried.device]) is False:
        return Tried(tried.device, tried.precision, reason=f"{backend} does not see the GPU and trained on the cores")
    return tried


def _trial_faults(trials: Sequence[Tried], seen: Mapping[str, Seen]) -> Iterator[Fault]:
    """Yield the failures that nothing said before explains."""
    good = {one.device for one in trials if one.reason is None}
    for one in trials:
        on_gpu = one.device != CORES_ALONE
        explained = any(other.trouble for other in seen.values()) or (on_gpu and not is_seen(seen.get(one.device)))
        if one.reason is None or explained:
            continue
        if one.device in good:
            remedy = f"train with another --precision than {one.precision} there"
        elif on_gpu:
            remedy = "look at it by nvidia-smi; --gpus with the numbers of the others leaves it out"
        else:
            remedy = "mend what the reason names; where it names a package, install that anew"
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
