"""Processes of ours beside the loop: they end when it does, whatever happens to it."""

import ctypes
import os
import signal
import sys

PARENT = "CONVSEARCH_PARENT"  # the variable that tells a process which one has started it
PR_SET_PDEATHSIG = 1  # of prctl(2)


def environment() -> dict[str, str]:
    """Return the variables of a process that is to end with this one."""
    return os.environ | {PARENT: str(os.getpid())}


def end_with_the_loop() -> None:
    """Have the system kill this process when the one that started it dies, whatever it is at; where it can (Linux)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):  # it died before that
        os._exit(1)
