"""Processes of ours: they end when the one that started them does, whatever happens to it."""

import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT = "CONVSEARCH_PARENT"  # the variable that tells a process which one has started it
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # of prctl(2)
LONGEST_NAME = 15  # characters of a process's name that the system keeps
TAIL = 2000  # bytes of a dead process's log that are looked at for its last words
NOISE = ("WARNING", "I0000", "W0000", "E0000")  # how the backend's own log lines begin


def environment() -> dict[str, str]:
    """Return the variables of a process that is to end with this one."""
    return os.environ | {PARENT: str(os.getpid())}


def end_with_parent(parent: int | None = None) -> None:
    """Have the system kill this process when its parent dies, whatever it is at; where it can (Linux).

    `parent` is the process that started it: it may be gone already. Where it is not given, the environment tells it.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    expected = os.environ.get(PARENT, str(os.getppid())) if parent is None else str(parent)
    if expected != str(os.getppid()):  # it died before that
        os._exit(1)


def shown_as(name: str) -> str:
    """Return how the system shows a process that `name_process` has given a name."""
    return name[-LONGEST_NAME:]


def name_process(name: str) -> None:
    """Have the system show this process by the end of a name, in `ps` and `top`; where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, shown_as(name).encode())


def how_it_ended(code: int, log: Path) -> str:
    """Return how a process ended with that exit code, with the last line of its log where it ended with an error."""
    if code < 0:
        return f"was killed by signal {-code} ({_signal(-code)})"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    lines = [line.strip() for line in lines if line.strip() and not line.startswith(NOISE)]
    return f"ended with exit code {code}" + (f" ({lines[-1][:200]})" if code > 0 and lines else "")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "of no name"
