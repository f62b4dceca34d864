"""What `convsearch doctor` prints: a diagnosis as plain tables, with faults last."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .diagnosis import Cores, Diagnosis
from .packages import Extra, Package
from .places import Address, Place
from .sight import GpuFacts
from .tryout import Tried

NOT_THERE = "not installed"
SEEN = {
    True: "the backend sees it",
    False: "the backend does not see it",
    None: "not known whether the backend sees it",
}

Rows = Sequence[tuple[str, ...]]


def as_json(found: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as `doctor --json` prints it."""
    return {"ok": not found.faults, **asdict(found)}


def report(found: Diagnosis) -> RenderableType:
    """Return the diagnosis as tables."""
    tables: dict[str, Rows] = {
        "versions": [("Python", found.python), *((one.name, _package(one)) for one in found.packages)],
        "backends": [(one.name, one.version or NOT_THERE, _by(one.chosen_by)) for one in found.backends],
        "devices": [*_cores(found.cores), *map(_gpu, found.gpus), *map(_other, found.others_seen)],
        "optional": [(one.name, *_extra(one)) for one in found.extras],
        "--workers auto": _workers(found),
        "places": [("home", _home(found.home)), ("MLflow", _mlflow(found.mlflow))],
        "tiny trials": _trials(found),
    }
    shown = [part for title, rows in tables.items() for part in (Text(title, style="bold"), _table(rows), Text())]
    return Group(*shown, *_end(found))


def _table(rows: Rows) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    for row in rows:
        table.add_row(*row)
    return table


def _package(package: Package) -> str:
    if package.fits:
        return package.version or ""
    return f"{package.version or NOT_THERE}, but {package.needed} is required"


def _by(chosen_by: str | None) -> str:
    return f"chosen by {chosen_by}" if chosen_by else ""


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GB"


def _cores(cores: Cores) -> Rows:
    of_them = "" if cores.container_cores is None else f"; the container allows {cores.container_cores:g}"
    of_it = "" if cores.container_memory is None else f"; the container allows {_gb(cores.container_memory)}"
    return [
        ("cores", f"{cores.usable} of {cores.total}{of_them}"),
        ("memory", f"{_gb(cores.memory)} of {_gb(cores.total_memory)}{of_it}"),
    ]


def _gpu(gpu: GpuFacts) -> tuple[str, ...]:
    memory = "memory not known" if gpu.memory is None else _gb(gpu.memory)
    return f"GPU {gpu.index}", f"{gpu.name}, {memory}; {SEEN[gpu.seen]}"


def _other(name: str) -> tuple[str, ...]:
    return "GPU", f"{name}: the backend sees it, but nvidia-smi does not list it, so workers will not use it"


def _extra(extra: Extra) -> tuple[str, str]:
    if extra.version is not None:
        return extra.version, extra.purpose
    return NOT_THERE, f"{extra.purpose}; {extra.command} installs it"


def _workers(found: Diagnosis) -> Rows:
    rows = []
    for number, worker in enumerate(found.workers):
        gpu = "" if worker.gpu is None else f", GPU {worker.gpu}"
        cores = f"{worker.cores} core{'s' if worker.cores > 1 else ''}"
        rows.append((f"worker-{number}", f"{cores}, {_gb(worker.memory)} of memory{gpu}"))
    return [*rows, *([("note", found.note)] if found.note else [])]


def _home(home: Place) -> str:
    if not home.writable:
        return f"{home.path}: cannot be written to: {home.trouble}"
    there = "" if home.exists else "; the first run creates it"
    return f"{home.path}: writable, {_gb(home.free)} free{there}"


def _mlflow(address: Address) -> str:
    return f"{address.uri}: {address.said}" if address.uri else address.said


def _trials(found: Diagnosis) -> Rows:
    if not found.trials:
        return [("none: fix what is broken first",)]
    return [(one.device, one.precision, _result(one)) for one in found.trials]


def _result(tried: Tried) -> str:
    return f"failed: {tried.reason}" if tried.seconds is None else f"ok, {tried.seconds:.1f} s"


def _end(found: Diagnosis) -> list[RenderableType]:
    if not found.faults:
        return [Text("nothing is broken")]
    return [f"broken: {fault.what}; to do: {fault.remedy}" for fault in found.faults]
