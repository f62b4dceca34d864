"""The packages that Convsearch needs, by its own metadata, and its optional parts."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement

from .fault import Fault

EXTRAS = {  # the module that an extra installs, the distributions that provide it, its purpose
    "gp": ("torch", ("torch",), "Optuna's Gaussian process: --algorithm gp"),
    "ray": ("ray", ("ray",), "trials on the machines of a cluster"),
    "postgres": ("psycopg2", ("psycopg2-binary", "psycopg2"), "several loops on one study"),
}


@dataclass(frozen=True)
class Package:
    """A package that Convsearch needs: the installed version, and the required range."""

    name: str
    version: str | None
    needed: str
    fits: bool


@dataclass(frozen=True)
class Extra:
    """An optional part: its purpose, the installed version, and the command that installs it."""

    name: str
    purpose: str
    version: str | None
    command: str


def find_packages() -> tuple[Package, ...]:
    """Return Convsearch and its dependencies, by its own metadata."""
    try:
        needed = [Requirement(line) for line in requires("convsearch") or ()]
    except PackageNotFoundError:  # it runs from a folder without being installed
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


def module_version(module: str, distributions: Sequence[str]) -> str | None:
    """Return the version of a module, without importing it; None if it is not installed."""
    return (_version(*distributions) or "of unknown version") if find_spec(module) else None


def find_extras() -> tuple[Extra, ...]:
    """Return the optional parts, installed or not."""
    return tuple(
        Extra(name, purpose, module_version(module, distributions), f"pip install 'convsearch[{name}]'")
        for name, (module, distributions, purpose) in EXTRAS.items()
    )


def package_faults(found: Sequence[Package], backend: str) -> Iterator[Fault]:
    """Yield packages that are missing or have the wrong version; `backend` is the one that trains."""
    for package in found:
        if package.version is None and package.name == "tensorflow" and backend != "tensorflow":
            continue  # another backend trains
        if not package.fits:
            there = "is not installed" if package.version is None else f"{package.version} does not fit"
            yield Fault(f"{package.name} {there}", f"pip install '{package.needed}'")
