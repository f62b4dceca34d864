"""Processes of ours beside the loop: they end when it does, whatever happens to it."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_the_loop() -> None:
    """Have the system kill this process when the one that started it dies, whatever it is at; where it can (Linux)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # it died before that
        os._exit(1)
