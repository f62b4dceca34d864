"""A Ray cluster: connect to it, list its nodes, and check that their versions are those of this machine."""

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager

from ...spaces.errors import InputError
from ..system.addresses import discreet, masked
from ..system.backend import BACKENDS, chosen_backend
from .cluster_shares import Node

AUTO_ADDRESS = "auto"
PLACE_EXPECTED = f"write HOST:PORT, as in 10.0.0.1:6379, or '{AUTO_ADDRESS}'"
CONNECT_TIMEOUT = 5.0  # seconds in which a cluster has to accept a connection
SETTINGS = b"\x04"  # the type of the first frame on both sides of HTTP/2, which a cluster speaks
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS + b"\0\0\0\0\0"
CHECK_TIMEOUT = 120.0  # seconds in which a node has to report its versions


def connect(address: str) -> None:
    """Make this process part of a running cluster; none is started.

    Raises:
        InputError: there is none at the address, or it has another version of Ray or Python.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray._private.worker as driver

    place = _place(address)
    _reach(address, place)
    # Its errors would go to standard output, among our tables and JSON. Ray's own debugger uses this switch.
    driver._worker_logs_enabled = False
    try:
        # Workers import from the folder where the loop was started: no module of the user's may shadow ours.
        with chdir("/"), _quiet(), _discreet_entrypoint():
            ray.init(address=place, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # Ray raises many types; the message quotes it
        ray.shutdown()
        raise InputError(_refusal(address, place, error)) from error


@contextmanager
def _discreet_entrypoint() -> Iterator[None]:
    """Have Ray store the command line, which all of the cluster can read, without the password of --storage."""
    import ray._private.utils as utils

    command_line = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: discreet(command_line())
    try:
        yield
    finally:
        utils.get_entrypoint_name = command_line


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard standard error: Ray's C++ part writes there until it knows where its logs are."""
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
    """Whether HOST:PORT accepts connections."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT).close()
    except OSError:
        return False
    return True


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    import ray

    return [
        Node(
            id=node["NodeID"],
            name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            memory=node["Resources"].get("memory", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def free() -> tuple[float, float]:
    """Return the number of free cores and of free GPUs on all nodes."""
    import ray

    resources = ray.available_resources()
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)


def check_nodes(used: Sequence[Node]) -> None:
    """Check that each node has the same versions installed as this machine.

    Raises:
        InputError: one has another version or lacks a package, or does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = _versions_function()()
    probe = ray.remote(num_cpus=0, max_retries=0)(_versions_function())
    answers = {
        node.id: probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
        for node in used
    }
    ray.wait(list(answers.values()), num_returns=len(answers), timeout=CHECK_TIMEOUT)
    for node in used:
        try:
            there: dict[str, str | None] = ray.get(answers[node.id], timeout=0)
        except ray.exceptions.RayError as error:
            if node not in nodes():  # it has just been lost: nothing will run there
                continue
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"node {node.name} of the cluster did not report its versions: {reason}") from error
        for package, needed in here.items():
            if needed is not None and there[package] != needed:
                has = f"has {package} {there[package]}" if there[package] else f"does not have {package}"
                raise InputError(
                    f"node {node.name} of the cluster {has}, this machine has {needed}: on the node, run "
                    f"`pip install {package}=={needed}` in the Python environment of `ray start`"
                )


def _versions_function() -> Callable[[], dict[str, str | None]]:
    """Return the function that finds the versions: an inner one, which Ray can send to nodes without Convsearch."""
    backend, _ = chosen_backend()
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
        raise InputError(f"{_named(address, address)}: {PLACE_EXPECTED}") from error
    if place is None:
        raise InputError(
            "--executor ray: no Ray cluster runs on this machine, and RAY_ADDRESS names none: `ray start --head` "
            "starts one, --ray-address HOST:6379 selects another one"
        )
    return place


def _reach(address: str, place: str) -> None:
    """Raise an InputError if no cluster accepts a connection there; Ray itself would try for minutes."""
    host, _, port = place.rpartition(":")
    if not port.isdecimal():  # what int says of it may be a part of a password
        raise InputError(f"{_named(address, place)}: {PLACE_EXPECTED}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(GREETING)
                if connection.recv(4)[3:] != SETTINGS:
                    raise OSError("another program answers there")
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{_named(address, place)}: no Ray cluster can be reached there ({discreet(reason)}): `ray start --head` "
            "on that machine starts one, --ray-address HOST:6379 selects another one"
        ) from error


def _refusal(address: str, place: str, error: Exception) -> str:
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(error))
    if len(versions) == 2:
        (ray, python), (ray_here, python_here) = versions
        return (
            f"{_named(address, place)}: the cluster runs Ray {ray} with Python {python}, this machine has Ray "
            f"{ray_here} with Python {python_here}: both must be the same on all machines (`pip install ray=={ray}`)"
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"{_named(address, place)}: this machine could not join the cluster ({discreet(lines[0])[:200]}); it has to be "
        f"one of its nodes: `ray start --address {masked(place)}`"
    )


def _named(address: str, place: str) -> str:
    if address == AUTO_ADDRESS:
        return (
            f"RAY_ADDRESS={masked(os.environ['RAY_ADDRESS'])}"
            if os.environ.get("RAY_ADDRESS")
            else f"the cluster at {masked(place)}"
        )
    return f"--ray-address {masked(address)}" + (f" ({masked(place)})" if address != place else "")
