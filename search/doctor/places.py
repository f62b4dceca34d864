"""Checks where data is stored: the home, and MLflow's store or server. It leaves no files behind."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..delivery.reach import reach, registry_trouble, remedy_for, tracking_uri
from ..study.home import Home
from ..system.addresses import masked
from .fault import Fault

REACH = 3  # seconds that MLflow's store has to answer
ROOM = 2**29  # bytes that must be free in the home: decoded images, weights, a bundle


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
        from ..delivery import tracking  # noqa: F401 - takes a second
    except ImportError as error:
        return Address(None, None, f"mlflow cannot be imported: {error}")
    uri = tracking_uri(home)
    return Address(masked(uri), *reach(uri, REACH))


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
        remedy = remedy_for(Home(Path(place.path)))
        yield Fault(f"MLflow at {address.uri} cannot be reached: {address.said}", remedy)
    if address.uri is not None and (trouble := registry_trouble(REACH)) is not None:
        yield Fault(*trouble)
