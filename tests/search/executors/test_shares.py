"""How a machine is divided: what holds for every machine and every number of workers."""

import re
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convsearch.search.executors.shares import GPU_MEMORY, NO_GPU, Share, crowded, shares
from convsearch.search.system.machine import Gpu, Machine
from convsearch.spaces.errors import InputError

GB = 2**30


def gpus(count: int) -> tuple[Gpu, ...]:
    return tuple(Gpu(index, "a GPU", 80 * GB) for index in range(count))


cores = st.sets(st.integers(0, 255), min_size=1, max_size=64).map(lambda found: tuple(sorted(found)))
memory = st.integers(256 * 2**20, 2048 * GB)
bare = st.builds(Machine, cores, memory)
with_gpus = st.builds(Machine, cores, memory, st.integers(1, 8).map(gpus))
any_machine = bare | with_gpus
per_gpu = st.integers(1, 8)


@st.composite
def divided(draw: st.DrawFn) -> tuple[Machine, int, list[Share]]:
    """A machine, how many share a GPU of it, and the shares of as many workers as it takes, or `auto`."""
    machine, sharing = draw(any_machine), draw(per_gpu)
    most = len(machine.gpus) * sharing or 100
    workers = draw(st.integers(1, most) | st.just("auto"))
    return machine, sharing, shares(machine, workers, sharing)


# ---------------------------------------------------------------------- what every division keeps


@given(divided())
def test_every_worker_has_a_core_and_memory_and_only_what_there_is(found: tuple[Machine, int, list[Share]]) -> None:
    machine, _, parts = found
    for part in parts:
        assert part.cores
        assert set(part.cores) <= set(machine.cores)
        assert part.memory > 0
    assert sum(part.memory for part in parts) <= machine.memory


@given(divided())
def test_cores_are_all_used_and_shared_only_where_there_are_more_workers(
    found: tuple[Machine, int, list[Share]],
) -> None:
    machine, _, parts = found
    used = Counter(core for part in parts for core in part.cores)
    assert set(used) == set(machine.cores)
    if len(parts) <= len(machine.cores):
        assert max(used.values()) == 1
        sizes = [len(part.cores) for part in parts]
        assert max(sizes) - min(sizes) <= 1
    else:
        assert max(used.values()) - min(used.values()) <= 1


@given(divided())
def test_gpus_are_spread_evenly_and_none_holds_more_workers_than_were_allowed(
    found: tuple[Machine, int, list[Share]],
) -> None:
    machine, sharing, parts = found
    if not machine.gpus:
        assert {part.gpu for part in parts} == {None}
        return
    held = Counter(part.gpu for part in parts)
    assert set(held) <= {gpu.index for gpu in machine.gpus}
    counts = [held[gpu.index] for gpu in machine.gpus]
    assert max(counts) - min(counts) <= 1
    assert max(counts) <= sharing
    for gpu in machine.gpus:
        assert sum(part.gpu_memory for part in parts if part.gpu == gpu.index) <= GPU_MEMORY + 1e-9


@given(with_gpus, per_gpu)
def test_auto_fills_every_gpu(machine: Machine, sharing: int) -> None:
    assert len(shares(machine, "auto", sharing)) == len(machine.gpus) * sharing


@given(bare)
def test_auto_without_a_gpu_is_a_worker_for_two_cores_as_far_as_the_memory_goes(machine: Machine) -> None:
    found = shares(machine)
    assert 1 <= len(found) <= max(1, len(machine.cores) // 2)
    if len(found) > 1:
        assert crowded(machine, len(found)) is None
    elif len(machine.cores) >= 4:
        assert machine.memory < 5 * GB


def test_a_container_of_a_gigabyte_still_leaves_memory_to_its_worker() -> None:
    (only,) = shares(Machine((0,), GB))
    assert only.memory == GB // 2


# ---------------------------------------------------------------------- refusals


@given(with_gpus, per_gpu, st.integers(1, 100))
def test_more_workers_than_the_gpus_hold_are_refused_with_both_numbers_that_fit(
    machine: Machine, sharing: int, more: int
) -> None:
    count = len(machine.gpus) * sharing + more
    with pytest.raises(InputError) as refused:
        shares(machine, count, sharing)
    said = str(refused.value)
    assert said.startswith(f"--workers {count}: ")
    fewer = re.search(r" --workers (\d+),", said)
    closer = re.search(r"--workers-per-gpu (\d+)$", said)
    assert fewer is not None
    assert closer is not None
    assert len(shares(machine, int(fewer[1]), sharing)) == int(fewer[1])
    assert len(shares(machine, count, int(closer[1]))) == count
    with pytest.raises(InputError):
        shares(machine, count, int(closer[1]) - 1 or sharing)


@given(any_machine, st.integers(0, 20))
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(machine: Machine, index: int) -> None:
    there = [gpu.index for gpu in machine.gpus]
    assume(index not in there)
    with pytest.raises(InputError) as refused:
        shares(machine, "auto", 1, [index])
    said = str(refused.value)
    assert said.startswith(f"--gpus {index}: this machine has ")
    assert "convsearch doctor" in said
    assert ", ".join(map(str, there)) in said
    assert ("no usable GPU" in said) == (not there)


def test_only_the_gpus_that_were_named_are_used_each_once() -> None:
    machine = Machine(tuple(range(16)), 64 * GB, gpus(4))
    assert [part.gpu for part in shares(machine, "auto", 2, [3, 1, 3])] == [3, 1, 3, 1]
    with pytest.raises(InputError, match=r"^--workers 5: the GPUs 3, 1 hold 4 at 2 each: --workers 4, or"):
        shares(machine, 5, 2, [3, 1])
    with pytest.raises(
        InputError, match=r"^--workers 2: GPU 3 holds 1 at 1 each: --workers 1, or --workers-per-gpu 2$"
    ):
        shares(machine, 2, 1, [3])


# ---------------------------------------------------------------------- what is said of too many


@given(bare, st.integers(1, 100))
def test_workers_are_crowded_where_cores_or_memory_do_not_suffice(machine: Machine, count: int) -> None:
    said = crowded(machine, count)
    if count > len(machine.cores):
        assert said is not None
        assert f"{count} workers on {len(machine.cores)} cores" in said
    elif shares(machine, count)[0].memory < 2 * GB:
        assert said is not None
        assert said.startswith(f"{count} workers have ")
    else:
        assert said is None


# ---------------------------------------------------------------------- the worker's environment


def test_a_worker_without_a_gpu_finds_the_environment_as_it_is() -> None:
    assert Share((0,), GB).environment == {}


@given(with_gpus, per_gpu)
def test_a_worker_sees_its_own_gpu_alone_and_takes_its_part_of_the_memory(machine: Machine, sharing: int) -> None:
    for part in shares(machine, "auto", sharing):
        variables = part.environment
        assert variables["CUDA_VISIBLE_DEVICES"] == str(part.gpu)
        assert variables["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # or the numbers are not those of the driver
        assert variables["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
        assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
        assert float(variables["XLA_PYTHON_CLIENT_MEM_FRACTION"]) == pytest.approx(0.9 / sharing, abs=1e-3)


def test_a_worker_can_be_kept_from_all_gpus() -> None:
    assert Share((0,), GB, device=NO_GPU).environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_part_of_a_gpu_is_named_as_cuda_names_it() -> None:
    machine = Machine(
        (0, 1), 16 * GB, (Gpu(0, "MIG 3g.20gb", 20 * GB, "MIG-1"), Gpu(1, "MIG 3g.20gb", 20 * GB, "MIG-2"))
    )
    assert [part.environment["CUDA_VISIBLE_DEVICES"] for part in shares(machine)] == ["MIG-1", "MIG-2"]
