"""Child processes that end with their parent, whatever happens to it."""

import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT = "CONVSEARCH_PARENT"  # the variable that holds the process ID of the parent
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # of prctl(2)
LONGEST_NAME = 15  # characters of a process's name that the system keeps
TAIL = 1 << 16  # bytes of a dead process's log that are searched for its last words
TRACEBACK = "Traceback (most recent call last):"
NOISE = ("WARNING", "I0000", "W0000", "E0000")  # how the backend's own log lines begin


def environment() -> dict[str, str]:
    """Return the environment of a child process that ends with this one."""
    return os.environ | {PARENT: str(os.getpid())}


def end_with_parent(parent: int | None = None) -> None:
    """Have the system kill this process when its parent dies, whatever it is doing; on Linux only.

    `parent` is the ID of the process that started it, taken before it did, because it may have exited already; by
    default the environment's.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    expected = os.environ.get(PARENT, str(os.getppid())) if parent is None else str(parent)
    if expected != str(os.getppid()):  # the parent died before this call
        os._exit(1)


def shown_as(name: str) -> str:
    """Return the name that the system shows for a process named by `name_process`."""
    return name[-LONGEST_NAME:]


def name_process(name: str) -> None:
    """Set the name of this process in `ps` and `top` to the end of `name`; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, shown_as(name).encode())


def how_it_ended(code: int, log: Path) -> str:
    """Describe how a process ended, with the last words of its log after an error."""
    if code < 0:
        return f"was killed by signal {-code} ({_signal(-code)})"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        said = last_words(file.read().decode(errors="replace"))
    return f"ended with exit code {code}" + (f" ({said[:200]})" if code > 0 and said else "")


def first_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"


def last_words(output: str) -> str:
    """Return the line of a dead process's output that says why it ended; empty if there is none.

    After a traceback that is the first line of the exception, its type and message: the text of some, such as Keras's,
    goes on with the arguments of a call. Otherwise it is the last line.
    """
    lines = [line for line in output.splitlines() if line.strip() and not line.startswith(NOISE)]
    if TRACEBACK in lines:
        last = max(i for i, line in enumerate(lines) if line == TRACEBACK)
        lines = [line for line in lines[last + 1 :] if not line[0].isspace()][:1] or lines  # frames are indented
    return lines[-1].strip() if lines else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "of no name"
