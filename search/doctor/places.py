"""Checks where data is stored: the home, and MLflow's store or server. It leaves no files behind."""

import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from ..study.home import Home
from ..system.addresses import TRACKING, discreet, masked, sqlite_path
from .fault import Fault

REACH = 3  # seconds that an MLflow server has to answer
ROOM = 2**29  # bytes that must be free in the home: decoded images, weights, a bundle
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class Place:
    """A folder: whether it exists and is writable, the free bytes, and what is wrong with it."""

    path: str
    exists: bool
    writable: bool
    free: int
    trouble: str | None


@dataclass(frozen=True)
class Address:
    """Where MLflow's runs are, without a password; `reachable` is None if not tried, `uri` if mlflow is missing."""

    uri: str | None
    reachable: bool | None
    said: str


def examine_home(path: Path) -> Place:
    """Check the home, or the folder in which it would be created."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if _exists(folder))
    trouble = None
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        trouble = error.strerror or str(error)
    free = shutil.disk_usage(existing).free
    return Place(str(path), _exists(path), trouble is None, free, trouble)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder without read permission
        return False


def find_mlflow(home: Home) -> Address:
    """Return where runs are stored, and whether that can be reached."""
    try:
        from ..delivery.tracking import tracking_uri  # takes a second
    except ImportError as error:
        return Address(None, None, f"mlflow cannot be imported: {error}")
    uri = tracking_uri(home)
    shown = masked(uri)
    if (file := sqlite_path(uri)) is not None:
        return Address(shown, *_sqlite(file))
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # its message quotes what may be a part of a password
        return Address(shown, False, "not a valid address: write http://HOST:PORT")
    place = parts.netloc.rpartition("@")[2]  # without user and password, which a health check does not need
    kind = parts.scheme.partition("+")[0]
    if kind in ("http", "https"):
        return Address(shown, *_server(f"{kind}://{place}{parts.path.rstrip('/')}/health"))
    if kind in PORTS and parts.hostname:
        return Address(shown, *_port(parts.hostname, port or PORTS[kind]))
    return Address(shown, None, "not tried")


def _sqlite(file: Path) -> tuple[bool | None, str]:
    if not _exists(file):
        return None, "not there yet: the first run creates it"
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
        return False, discreet(str(getattr(error, "reason", error)))


def _port(host: str, port: int) -> tuple[bool, str]:
    try:
        socket.create_connection((host, port), timeout=REACH).close()
    except OSError as error:
        return False, str(error)
    return True, "the server accepts connections"


def place_faults(place: Place, address: Address) -> Iterator[Fault]:
    """Yield what is wrong with the home, and with MLflow."""
    if not place.writable:
        remedy = "choose a writable folder with --home"
        yield Fault(f"--home {place.path}: cannot be written to: {place.trouble}", remedy)
    elif place.free < ROOM:
        yield Fault(
            f"--home {place.path}: {place.free / 2**20:,.0f} MB are free, less than {ROOM / 2**20:,.0f}",
            "free some space, or choose a folder on another disk with --home",
        )
    if address.uri is None and find_spec("mlflow") is not None:  # if it is missing, that is a fault already
        yield Fault(address.said, "pip install --force-reinstall mlflow")
    if address.reachable is False:
        remedy = "move that file away; the next run creates a new one"
        if os.environ.get(TRACKING):
            remedy = f"check that server, or unset {TRACKING} to store runs in the home"
        yield Fault(f"MLflow at {address.uri} cannot be reached: {address.said}", remedy)
