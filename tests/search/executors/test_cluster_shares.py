"""How a cluster is divided between workers."""

import pytest

from convsearch.search.executors.cluster_shares import Node, places
from convsearch.spaces.errors import InputError


def node(name: str, cpus: float, gpus: float = 0) -> Node:
    return Node(name, name, cpus, gpus)


def test_without_gpus_there_is_a_worker_for_two_cores_of_a_node() -> None:
    found = places([node("a", 5), node("b", 4), node("c", 1)], free_cpus=10, free_gpus=0)
    assert (found.count, found.cpus, found.gpus, found.note) == (4, 2, 0, None)
    assert [used.name for used in found.nodes] == ["a", "b"]


def test_where_no_node_has_two_cores_a_worker_has_one() -> None:
    found = places([node("a", 1), node("b", 1)], free_cpus=2, free_gpus=0)
    assert (found.count, found.cpus) == (2, 1)


def test_auto_is_what_is_free_and_a_number_may_wait() -> None:
    nodes = [node("a", 8), node("b", 8)]
    assert places(nodes, free_cpus=5, free_gpus=0).count == 2
    asked = places(nodes, free_cpus=5, free_gpus=0, workers="6")
    assert asked.count == 6
    assert asked.note is not None
    assert asked.note.startswith("6 workers, but the cluster has room for 2 right now")


def test_auto_on_a_cluster_that_is_in_use_is_one_worker_that_waits() -> None:
    found = places([node("a", 8)], free_cpus=0, free_gpus=0)
    assert (found.count, found.free) == (1, 0)
    assert found.note is not None


def test_more_workers_than_pairs_of_cores_have_one_core_each() -> None:
    found = places([node("a", 4)], free_cpus=4, free_gpus=0, workers="4")
    assert (found.count, found.cpus) == (4, 1)
    with pytest.raises(InputError, match="--workers 5: the cluster has 4 cores on 1 node, and no GPU: --workers 4 at"):
        places([node("a", 4)], free_cpus=4, free_gpus=0, workers="5")


@pytest.mark.parametrize(("per_gpu", "count", "gpus", "cpus"), [(1, 6, 1.0, 2), (2, 12, 0.5, 1), (3, 18, 0.3333, 0.66)])
def test_gpus_are_divided_and_only_nodes_that_have_some_are_used(
    per_gpu: int, count: int, gpus: float, cpus: float
) -> None:
    nodes = [node("head", 16), node("a", 8, 4), node("b", 16, 2)]
    found = places(nodes, free_cpus=40, free_gpus=6, per_gpu=per_gpu)
    assert (found.count, found.gpus, found.cpus) == (count, gpus, cpus)
    assert [used.name for used in found.nodes] == ["a", "b"]
    assert found.gpus * per_gpu <= 1


def test_more_workers_than_the_gpus_hold_are_refused_with_what_does_fit() -> None:
    with pytest.raises(
        InputError,
        match="--workers 5: the cluster has 2 GPUs, which hold 2 at 1 each: --workers 2, or --workers-per-gpu 3",
    ):
        places([node("a", 8, 2)], free_cpus=8, free_gpus=2, workers="5")


def test_a_cluster_with_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(InputError, match="no node with a core or a GPU"):
        places([node("head", 0)], free_cpus=0, free_gpus=0)
