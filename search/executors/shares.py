"""How a machine is divided between its workers: cores, memory, GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...spaces.errors import InputError
from ..system.machine import Gpu, Machine
from ..values.commands import command

CORES = 2  # for each worker, by default: a small network leaves more of them idle
NEEDED = 2 * 2**30  # bytes of memory for each worker, by default; one starts with about 600 MB
RESERVED = 2**30  # bytes of memory kept for the loop
NO_GPU = "-1"  # how CUDA_VISIBLE_DEVICES hides all GPUs
GPU_MEMORY = 0.9  # the share of a GPU's memory that its workers divide

AUTO = "auto"


@dataclass(frozen=True)
class Share:
    """What a worker may use: cores, bytes of memory, and a GPU with a part of its memory, or none.

    `device` is the GPU's name for CUDA_VISIBLE_DEVICES, if that is not its number; NO_GPU hides all GPUs. `gpu_bytes`
    is its part of the GPU's memory; None where the driver does not report that.
    """

    cores: tuple[int, ...]
    memory: int
    gpu: int | None = None
    gpu_memory: float = GPU_MEMORY
    device: str | None = None
    gpu_bytes: int | None = None

    @property
    def for_training(self) -> int:
        """The bytes that one training may take: of the GPU's memory where there is one, else of the worker's."""
        return self.memory if self.gpu_bytes is None else self.gpu_bytes

    @property
    def threads(self) -> dict[str, str]:
        """The environment that makes the backends start one thread per core: more threads only compete.

        With two threads on one core, a step of a small network took two thirds longer than with one.
        """
        if not self.cores:
            return {}
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        return dict.fromkeys(names, str(len(self.cores)))

    @property
    def environment(self) -> dict[str, str]:
        """The environment that keeps TensorFlow, JAX and PyTorch to the GPU, and to the memory that they need of it."""
        if self.gpu is None and self.device is None:
            return {}
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": self.device or str(self.gpu),
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{self.gpu_memory:.3f}",
            "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        }


def shares(
    machine: Machine,
    workers: int | str = AUTO,
    per_gpu: int = 1,
    gpus: Sequence[int] = (),
    most: int | None = None,
) -> list[Share]:
    """Divide a machine between workers.

    Args:
        machine: the machine.
        workers: how many, or `auto`: `per_gpu` for each GPU; without a GPU one for each CORES cores, as far as the
            memory goes.
        per_gpu: the number of workers that share a GPU.
        gpus: the numbers of the GPUs to use; by default, all of them.
        most: the bytes of memory of a worker, and of its GPU, at most; by default, its part of all.

    Raises:
        InputError: more workers than the GPUs have room for, or an unknown GPU; the message says what fits.
    """
    used = _used(machine, gpus)
    places = len(used) * per_gpu
    if workers == AUTO:
        count = places or max(1, min(len(machine.cores) // CORES, _for_workers(machine) // NEEDED))
    else:
        count = int(workers)
        if places and count > places:
            raise InputError(
                f"--workers {count}: {_named(used)} hold{'s' if len(used) == 1 else ''} {places} at {per_gpu} "
                f"each: --workers {places}, or --workers-per-gpu {-(-count // len(used))}"
            )
    memory, part = _at_most(_for_workers(machine) // count, most), GPU_MEMORY / per_gpu
    cores = [_part(machine.cores, i, count) for i in range(count)]
    if not used:
        return [Share(own, memory) for own in cores]
    # Round-robin over the GPUs, so that a few workers are spread over all of them.
    spread = [used[i % len(used)] for i in range(count)]
    return [
        Share(
            own,
            memory,
            gpu.index,
            part,
            gpu.device,
            None if gpu.memory is None else _at_most(int(part * gpu.memory), most),
        )
        for own, gpu in zip(cores, spread, strict=True)
    ]


def _at_most(memory: int, most: int | None) -> int:
    return memory if most is None else min(memory, most)


def crowded(machine: Machine, count: int) -> str | None:
    """Return a warning if there are more workers than the machine has cores or memory for; None if they fit."""
    if count > len(machine.cores):
        return (
            f"{count} workers on {len(machine.cores)} cores: they compete for them; {len(machine.cores)} workers would "
            "finish as many trials"
        )
    each = _for_workers(machine) / count
    if each < NEEDED:
        return f"{count} workers have {each / 2**30:.1f} GB of memory each; one that needs more is killed"
    return None


def _for_workers(machine: Machine) -> int:
    """Return the bytes of memory that workers divide: at least half of it, on a very small machine."""
    return max(machine.memory - RESERVED, machine.memory // 2)


def _used(machine: Machine, gpus: Sequence[int]) -> list[Gpu]:
    by_index = {gpu.index: gpu for gpu in machine.gpus}
    for index in gpus:
        if index not in by_index:
            there = f"this machine has {_named(machine.gpus)}" if by_index else "this machine has no usable GPU"
            raise InputError(f"--gpus {index}: {there}; `{command('doctor')}` lists what it has")
    return [by_index[index] for index in dict.fromkeys(gpus)] if gpus else list(machine.gpus)


def _named(gpus: Sequence[Gpu]) -> str:
    numbers = ", ".join(str(gpu.index) for gpu in gpus)
    return f"GPU {numbers}" if len(gpus) == 1 else f"the GPUs {numbers}"


def _part(cores: Sequence[int], i: int, count: int) -> tuple[int, ...]:
    """Return the cores of worker `i` of `count`; if there are fewer cores than workers, one each, round-robin."""
    if count > len(cores):
        return (cores[i % len(cores)],)
    return tuple(cores[i * len(cores) // count : (i + 1) * len(cores) // count])
