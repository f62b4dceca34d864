"""The way into a Ray cluster: reach it, and know its nodes and that what they have installed is what is here."""

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager

from ...spaces.errors import InputError
from .cluster_shares import Node

AUTO_ADDRESS = "auto"
REACHED_IN = 5.0  # seconds in which a cluster has to take a connection
SETTINGS = b"\x04"  # the kind of the frame with which both sides of HTTP/2, which a cluster speaks, begin
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS + b"\0\0\0\0\0"
ANSWERED_IN = 120.0  # seconds in which a node has to say what it has
BACKENDS = ("tensorflow", "jax", "torch")


def connect(address: str) -> None:
    """Make this process part of a cluster that runs; none is started.

    Raises:
        InputError: there is none at the address, or it has another version of Ray or Python.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray._private.worker as driver

    place = _place(address)
    _reach(address, place)
    # Its errors would go to standard output, where our tables and JSON do. This is the switch of Ray's own debugger.
    driver._worker_logs_enabled = False
    try:
        # Workers look for modules where the loop was started: nothing of the user's may stand in for ours.
        with chdir("/"), _quiet():
            ray.init(address=place, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # Ray says by many kinds what is wrong with a cluster; the message has its words
        ray.shutdown()
        raise InputError(_why_not(address, place, error)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is written to standard error: Ray's C++ part does so until it knows where its logs are."""
    sys.stderr.flush()
    real = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        os.close(nowhere)


def head_address() -> str:
    """Return HOST:PORT of the head of the cluster that this process is part of."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def takes_connections(address: str) -> bool:
    """Whether somebody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_IN).close()
    except OSError:
        return False
    return True


def nodes() -> list[Node]:
    """Return the nodes that are there."""
    import ray

    return [
        Node(
            id=node["NodeID"],
            name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def free() -> tuple[float, float]:
    """Return how many cores and how many GPUs of all nodes nobody uses."""
    import ray

    resources = ray.available_resources()
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def check_nodes(used: Sequence[Node]) -> None:
    """Ask each node what it has installed.

    Raises:
        InputError: one has other versions than this machine, or does not have it at all, or does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = _versions_function()()
    asked = ray.remote(num_cpus=0, max_retries=0)(_versions_function())
    answers = {
        node.id: asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
        for node in used
    }
    ray.wait(list(answers.values()), num_returns=len(answers), timeout=ANSWERED_IN)
    for node in used:
        try:
            there: dict[str, str | None] = ray.get(answers[node.id], timeout=0)
        except ray.exceptions.RayError as error:
            if node not in nodes():  # it has just been lost: nothing will run there
                continue
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"node {node.name} of the cluster does not say what it has installed: {reason}") from error
        for package, needed in here.items():
            if needed is not None and there[package] != needed:
                has = f"has {package} {there[package]}" if there[package] else f"does not have {package}"
                raise InputError(
                    f"node {node.name} of the cluster {has}, this machine has {needed}: there too, "
                    f"`pip install {package}=={needed}` into the Python that `ray start` was called with"
                )


def _versions_function() -> Callable[[], dict[str, str | None]]:
    """Return the function that finds what is installed: an inner one, which Ray sends to nodes without Convsearch."""
    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    packages = ("convsearch", "keras", *(name for name in BACKENDS if name == backend))

    def versions() -> dict[str, str | None]:
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, str | None] = {}
        for package in packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                found[package] = None
        return found

    return versions


def _place(address: str) -> str:
    """Return HOST:PORT of an address, which may be `auto`."""
    from ray._private.services import canonicalize_bootstrap_address

    try:
        place: str | None = canonicalize_bootstrap_address(address)
    except ConnectionError:
        place = None
    except ValueError as error:
        raise InputError(
            f"--ray-address {address}: write HOST:PORT, as in 10.0.0.1:6379, or '{AUTO_ADDRESS}'"
        ) from error
    if place is None:
        raise InputError(
            "--executor ray: no Ray cluster runs on this machine, and RAY_ADDRESS names none: `ray start --head` "
            "begins one, --ray-address HOST:6379 names another one"
        )
    return place


def _reach(address: str, place: str) -> None:
    """Raise an InputError where nothing takes a connection, or no cluster does; Ray itself would try for minutes."""
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_IN) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(GREETING)
                if connection.recv(4)[3:] != SETTINGS:
                    raise OSError("what answers there is something else")
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{_named(address, place)}: no Ray cluster can be reached there ({reason}): `ray start --head` on that "
            "machine begins one, --ray-address HOST:6379 names another one"
        ) from error


def _why_not(address: str, place: str, error: Exception) -> str:
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(error))
    if len(versions) == 2:
        (ray, python), (ray_here, python_here) = versions
        return (
            f"{_named(address, place)}: the cluster runs Ray {ray} with Python {python}, this machine has Ray "
            f"{ray_here} with Python {python_here}: both must be the same on all machines (`pip install ray=={ray}`)"
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"{_named(address, place)}: this machine could not join the cluster ({lines[0][:200]}); it has to be one of "
        f"its nodes: `ray start --address {place}`"
    )


def _named(address: str, place: str) -> str:
    if address == AUTO_ADDRESS:
        return (
            f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}" if os.environ.get("RAY_ADDRESS") else f"the cluster at {place}"
        )
    return f"--ray-address {address}" + (f" ({place})" if address != place else "")
