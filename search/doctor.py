"""What this machine has and what of it works: versions, backends, devices, optional parts, places, tiny trials.

Facts are gathered here, and what is wrong with them is named as `Fault`s; `doctor_report.py` shows both. What may be
missing or broken is imported late, or by another process: to tell of it is what this is for.
"""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from platform import python_version
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
from packaging.requirements import Requirement

from ..spaces.errors import WorkError
from .backend import BACKENDS, chosen_backend
from .executors.shares import Share, crowded, shares
from .home import Home
from .machine import Machine, limits, this_machine
from .tryout import CORES_ALONE, Tried, begin, devices, finish

PATIENCE = 120  # seconds until the backend has to have said what it sees
REACH = 3  # seconds until an MLflow server has to answer
ROOM = 2**29  # bytes that have to be free at home: decoded images, weights, a bundle
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
ASK = "import json; from convsearch.search.backend import gpus_seen; print(json.dumps(gpus_seen()))"

WITH_GPUS = {
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
    "jax": "pip install --upgrade 'jax[cuda12]'",
    "torch": "pip install --force-reinstall torch",
}
EXTRAS = {  # the module that an extra brings, the distributions it comes in, what it is for
    "gp": ("torch", ("torch",), "Optuna's Gaussian process: --algorithm gp"),
    "ray": ("ray", ("ray",), "trials on the machines of a cluster"),
    "postgres": ("psycopg2", ("psycopg2-binary", "psycopg2"), "several loops on one study"),
}


@dataclass(frozen=True)
class Package:
    """A package that Convsearch needs: the version that is there, and the range that is right."""

    name: str
    version: str | None
    needed: str
    fits: bool


@dataclass(frozen=True)
class Backend:
    """One of Keras's backends; `chosen_by` says what chooses it, where something does."""

    name: str
    version: str | None
    chosen_by: str | None


@dataclass(frozen=True)
class Extra:
    """An optional part: what it is for, the version of it that is there, the command that installs it."""

    name: str
    purpose: str
    version: str | None
    command: str


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
class GpuFacts:
    """A GPU that the driver lists, and whether the backend sees it; None where that is not known."""

    index: int
    name: str
    memory: int | None
    seen: bool | None


@dataclass(frozen=True)
class Worker:
    """What a worker of `--workers auto` gets; memory in bytes."""

    cores: int
    memory: int
    gpu: int | None


@dataclass(frozen=True)
class Place:
    """A folder: whether it is there and can be written to, the bytes that are free, and what is wrong with it."""

    path: str
    exists: bool
    writable: bool
    free: int
    trouble: str | None


@dataclass(frozen=True)
class Address:
    """Where MLflow is, without a password; `reachable` is None where nothing was tried, `uri` without mlflow."""

    uri: str | None
    reachable: bool | None
    said: str


@dataclass(frozen=True)
class Fault:
    """Something that is broken, and what to do about it."""

    what: str
    remedy: str


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


@dataclass(frozen=True)
class Seen:
    """What the backend said for one device: the GPUs that it sees, or why it cannot be used."""

    gpus: tuple[str, ...] = ()
    trouble: str | None = None


def diagnose(home: Home) -> Diagnosis:
    """Look at everything, while each device trains tiny networks, and say what is broken."""
    machine, backends = this_machine(), _backends()
    chosen = next(backend for backend in backends if backend.chosen_by)
    faults = _backend_faults(chosen, machine)
    tried = {} if faults else devices(machine)
    with ExitStack() as held:
        asked = {
            device: held.enter_context(_asking(share))
            for device, share in tried.items()
            if share.gpu is not None or not machine.gpus  # where there are GPUs, the cores are asked for none
        }
        try:
            tryouts = begin(tried, held) if tried else []
        except WorkError as error:
            tryouts = []
            faults.append(Fault(str(error), "mend that; TMPDIR names another temporary folder"))
        packages, place, address = _packages(), _place(home.path), _mlflow(home)
        seen = {device: _answer(process) for device, process in asked.items()}
        trials = tuple(_judged(one, seen, chosen.name) for one in finish(tryouts))
    gpus = tuple(GpuFacts(g.index, g.name, g.memory, _is_seen(seen.get(f"GPU {g.index}"))) for g in machine.gpus)
    faults += [
        *_gpu_faults(machine, gpus, chosen.name),
        *_seeing_faults(seen, chosen.name),
        *_trial_faults(trials, seen),
        *_package_faults(packages, chosen.name),
        *_place_faults(place, address),
    ]
    workers = shares(machine)
    return Diagnosis(
        python=python_version(),
        packages=packages,
        backends=backends,
        cores=_cores(machine),
        gpus=gpus,
        others_seen=() if machine.gpus else tuple(name for one in seen.values() for name in one.gpus),
        extras=_extras(),
        workers=tuple(Worker(len(share.cores), share.memory, share.gpu) for share in workers),
        note=crowded(machine, len(workers)),
        home=place,
        mlflow=address,
        trials=trials,
        faults=tuple(dict.fromkeys(faults)),
    )


# ---------------------------------------------------------------------- packages


def _packages() -> tuple[Package, ...]:
    """Return Convsearch and what it needs, by its own metadata."""
    try:
        needed = [Requirement(line) for line in requires("convsearch") or ()]
    except PackageNotFoundError:  # it runs from a folder that nothing has installed
        needed = []
    found = [Package("convsearch", _version("convsearch"), "convsearch", True)]
    for one in needed:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            there = _version(one.name)
            fits = there is not None and one.specifier.contains(there, prereleases=True)
            found.append(Package(one.name, there, f"{one.name}{one.specifier}", fits))
    return tuple(found)


def _version(*distributions: str) -> str | None:
    for name in distributions:
        with suppress(PackageNotFoundError):
            return version(name)
    return None


def _module_version(module: str, distributions: Sequence[str]) -> str | None:
    """Return the version of a module that can be imported, without importing it."""
    return (_version(*distributions) or "of unknown version") if find_spec(module) else None


def _extras() -> tuple[Extra, ...]:
    return tuple(
        Extra(name, purpose, _module_version(module, distributions), f"pip install 'convsearch[{name}]'")
        for name, (module, distributions, purpose) in EXTRAS.items()
    )


def _package_faults(packages: Sequence[Package], backend: str) -> Iterator[Fault]:
    for package in packages:
        if package.version is None and package.name == "tensorflow" and backend != "tensorflow":
            continue  # what trains is there
        if not package.fits:
            there = "is not installed" if package.version is None else f"{package.version} does not fit"
            yield Fault(f"{package.name} {there}", f"pip install '{package.needed}'")


# ---------------------------------------------------------------------- the backend, and what it sees


def _backends() -> tuple[Backend, ...]:
    name, chosen_by = chosen_backend()
    known = BACKENDS if name in BACKENDS else {**BACKENDS, name: ()}
    return tuple(
        Backend(each, _module_version(each, distributions), chosen_by if each == name else None)
        for each, distributions in known.items()
    )


def _backend_faults(chosen: Backend, machine: Machine) -> list[Fault]:
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
def _asking(share: Share) -> Iterator["subprocess.Popen[str]"]:
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


def _answer(process: "subprocess.Popen[str]") -> Seen:
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


def _is_seen(seen: Seen | None) -> bool | None:
    return None if seen is None or seen.trouble else bool(seen.gpus)


def _gpu_faults(machine: Machine, gpus: Sequence[GpuFacts], backend: str) -> Iterator[Fault]:
    if machine.trouble is not None:
        yield Fault(
            f"NVIDIA's tool lists no GPU: {machine.trouble}",
            "mend the driver, after an update mostly by starting the machine anew; until then the cores are used",
        )
    if unseen := [str(gpu.index) for gpu in gpus if gpu.seen is False]:
        yield Fault(f"{backend} does not see GPU {', '.join(unseen)}, which the driver lists", WITH_GPUS[backend])


def _seeing_faults(seen: Mapping[str, Seen], backend: str) -> Iterator[Fault]:
    for trouble in {one.trouble for one in seen.values() if one.trouble}:
        yield Fault(f"{backend} cannot be used: {trouble}", f"pip install --force-reinstall {backend}")


# ---------------------------------------------------------------------- tiny trials


def _judged(tried: Tried, seen: Mapping[str, Seen], backend: str) -> Tried:
    """Return a trial as a failed one, where it was to be on a GPU and can only have been on the cores."""
    if tried.device in seen and tried.device != CORES_ALONE and _is_seen(seen[tried.device]) is False:
        return Tried(tried.device, tried.precision, reason=f"{backend} does not see the GPU and trained on the cores")
    return tried


def _trial_faults(trials: Sequence[Tried], seen: Mapping[str, Seen]) -> Iterator[Fault]:
    """Yield the failures that nothing said before explains."""
    good = {one.device for one in trials if one.reason is None}
    for one in trials:
        on_gpu = one.device != CORES_ALONE
        explained = any(other.trouble for other in seen.values()) or (on_gpu and not _is_seen(seen.get(one.device)))
        if one.reason is None or explained:
            continue
        if one.device in good:
            remedy = f"train with another --precision than {one.precision} there"
        elif on_gpu:
            remedy = "look at it by nvidia-smi; --gpus with the numbers of the others leaves it out"
        else:
            remedy = "mend what the reason names; where it names a package, install that anew"
        yield Fault(f"a tiny trial on {one.device} in {one.precision} failed: {one.reason}", remedy)


# ---------------------------------------------------------------------- the machine


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


# ---------------------------------------------------------------------- places


def _place(path: Path) -> Place:
    """Look at the home, or where it would be made, and leave nothing there."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if _is_there(folder))
    trouble = None
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        trouble = error.strerror or str(error)
    free = shutil.disk_usage(there).free
    return Place(str(path), _is_there(path), trouble is None, free, trouble)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that may not be looked into
        return False


def _mlflow(home: Home) -> Address:
    try:
        from .tracking import tracking_uri  # takes a second
    except ImportError as error:
        return Address(None, None, f"mlflow cannot be imported: {error}")
    uri = tracking_uri(home)
    if uri.startswith("sqlite:"):
        return Address(uri, *_sqlite(Path(uri.partition(":///")[2])))
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        return Address(uri.rpartition("@")[2], False, f"this is no address: {error}")
    place = parts.netloc.rpartition("@")[2]  # without user and password, which do not matter for whether it answers
    shown = uri.replace(f":{parts.password}@", ":***@") if parts.password else uri
    kind = parts.scheme.partition("+")[0]
    if kind in ("http", "https"):
        return Address(shown, *_server(f"{kind}://{place}{parts.path.rstrip('/')}/health"))
    if kind in PORTS and parts.hostname:
        return Address(shown, *_port(parts.hostname, port or PORTS[kind]))
    return Address(shown, None, "not tried")


def _sqlite(file: Path) -> tuple[bool | None, str]:
    if not _is_there(file):
        return None, "not there yet: the first run makes it"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=REACH)) as database:
            (count,) = database.execute("select count(*) from runs").fetchone()
    except sqlite3.Error as error:
        return False, str(error)
    return True, f"{count:,} run{'' if count == 1 else 's'}"


def _server(address: str) -> tuple[bool, str]:
    try:
        with urlopen(address, timeout=REACH):
            return True, "answers"
    except HTTPError as error:
        return error.code < 500, f"answers with status {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return False, str(getattr(error, "reason", error))


def _port(host: str, port: int) -> tuple[bool, str]:
    try:
        socket.create_connection((host, port), timeout=REACH).close()
    except OSError as error:
        return False, str(error)
    return True, "the server takes connections"


def _place_faults(place: Place, address: Address) -> Iterator[Fault]:
    if not place.writable:
        yield Fault(f"--home {place.path}: cannot be written to: {place.trouble}", "name a folder that can, by --home")
    elif place.free < ROOM:
        yield Fault(
            f"--home {place.path}: {place.free / 2**20:,.0f} MB are free, less than {ROOM / 2**20:,.0f}",
            "make room, or name a folder on another disk by --home",
        )
    if address.uri is None and find_spec("mlflow") is not None:  # where it is not there at all, that has been said
        yield Fault(address.said, "pip install --force-reinstall mlflow")
    if address.reachable is False:
        remedy = "move that file away, and runs begin anew"
        if os.environ.get("MLFLOW_TRACKING_URI"):
            remedy = "see to that server, or unset MLFLOW_TRACKING_URI to keep runs in the home"
        yield Fault(f"MLflow at {address.uri} cannot be reached: {address.said}", remedy)
