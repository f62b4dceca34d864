"""How a cluster is divided between workers: how many there are, and the cores and the share of a GPU that each has."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...spaces.errors import InputError
from .shares import AUTO, CORES

FINEST = 10_000  # the smallest share of a GPU that a cluster counts is one in so many


@dataclass(frozen=True)
class Node:
    """A machine of a cluster, with all the cores, GPUs and bytes of memory that it offers."""

    id: str
    name: str
    cpus: float
    gpus: float
    memory: float = 0.0


@dataclass(frozen=True)
class Places:
    """Room for `count` workers on `nodes`, each with `cpus` cores and `gpus` of a GPU; `free` of them fit right now."""

    count: int
    cpus: float
    gpus: float
    free: int
    nodes: tuple[Node, ...]

    @property
    def memory(self) -> int | None:
        """The bytes of memory of the worker with the least; None with GPUs, whose memory a cluster does not know."""
        if self.gpus or not all(node.memory for node in self.nodes):
            return None
        return int(min(node.memory // max(1, node.cpus // self.cpus) for node in self.nodes))

    @property
    def note(self) -> str | None:
        """A remark for the user if not all of them fit right now, because others use the cluster, too."""
        if self.free >= self.count:
            return None
        return (
            f"{self.count} workers, but the cluster has room for {self.free} right now: the others start when there "
            "is more; `ray status` shows what is in use"
        )


def places(
    nodes: Sequence[Node],
    free_cpus: float,
    free_gpus: float,
    workers: int | str = AUTO,
    per_gpu: int = 1,
) -> Places:
    """Divide a cluster between workers.

    Args:
        nodes: the machines.
        free_cpus: the number of cores that are not in use.
        free_gpus: the number of GPUs that are not in use.
        workers: how many, or `auto`: as many as fit into what is free, and at least one. Where there are GPUs,
            `per_gpu` for each; where there are none, one for each CORES cores.
        per_gpu: the number of workers that share a GPU.

    Raises:
        InputError: more workers than all nodes have room for; the message says how many fit.
    """
    with_gpus = tuple(node for node in nodes if node.gpus >= 1)
    if with_gpus:
        gpus = FINEST // per_gpu / FINEST
        cpus = _whole(min([CORES, *(node.cpus / (int(node.gpus) * per_gpu) for node in with_gpus)]))
        room = sum(int(node.gpus) * per_gpu for node in with_gpus)
        free = min(int(free_gpus / gpus), int(free_cpus / cpus) if cpus else room, room)
        count = max(1, free) if workers == AUTO else int(workers)
        if count > room:
            everything = sum(int(node.gpus) for node in with_gpus)
            raise InputError(
                f"--workers {count}: the cluster has {everything} GPU{'s' if everything > 1 else ''}, which hold "
                f"{room} at {per_gpu} each: --workers {room}, or --workers-per-gpu {-(-count // everything)}"
            )
        return Places(count, cpus, gpus, free, with_gpus)
    most = int(max((node.cpus for node in nodes), default=0))
    if not most:
        raise InputError("the cluster has no node with a core or a GPU to train on: `ray start` adds one")
    for cores in range(min(CORES, most), 0, -1):  # if there are many workers, each gets fewer cores
        used = tuple(node for node in nodes if node.cpus >= cores)
        room = sum(int(node.cpus // cores) for node in used)
        free = min(int(free_cpus // cores), room)
        if workers == AUTO or int(workers) <= room:
            return Places(max(1, free) if workers == AUTO else int(workers), cores, 0.0, free, used)
    raise InputError(
        f"--workers {workers}: the cluster has {room} cores on {len(used)} node{'s' if len(used) > 1 else ''}, and no "
        f"GPU: --workers {room} at the most"
    )


def _whole(cores: float) -> float:
    """Round cores down to whole ones, or to hundredths where it is less than one."""
    return float(int(cores)) if cores >= 1 else int(cores * 100) / 100
