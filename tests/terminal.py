"""The command as a user types it: a real process, its exit code, and what it prints."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record

COMMAND = str(Path(sys.executable).with_name("convsearch"))
PATIENCE = 300  # seconds until something that has to happen is given up
TAKE_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


# What the shared study was begun with; other runs that shall find the same say the same.
SAME = ("--space", "tiny", "--epochs", "2", "--seed", "3")


@dataclass(frozen=True)
class Finished:
    """A study that `convsearch run` has finished, and what it printed."""

    home: Path
    name: str
    said: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> StudyFolder:
        return Home(self.home).study(self.name)

    @property
    def bundle(self) -> Path:
        return self.folder.bundle

    @property
    def record(self) -> Record:
        return self.folder.record()


def environment(**more: str) -> dict[str, str]:
    """The user's environment, without settings of whoever runs the tests."""
    ours = ("CONVSEARCH_HOME", "MLFLOW_TRACKING_URI", "PYTHONPATH", "FORCE_COLOR")
    return {key: value for key, value in os.environ.items() if key not in ours} | more


def convsearch(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command and wait for its end."""
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**variables),
        timeout=PATIENCE,
        check=False,
    )


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"in {PATIENCE} s it did not happen that {what}"
        time.sleep(0.05)


@contextmanager
def begun(*arguments: object, cwd: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Type a command that will be disturbed; whatever is left of it is ended with the block."""
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class Terminal:
    """A command in a terminal of its own, 120 columns wide, in which keys can be pressed."""

    def __init__(self, cwd: Path, *arguments: object) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_THE_TERMINAL, COMMAND, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=environment(TERM="xterm-256color", COLUMNS="120"),
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._seen = b""

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def seen(self) -> str:
        """All that has appeared so far, without colours and movements."""
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # nothing at the moment, or the other end is closed
                break
            if not chunk:
                break
            self._seen += chunk
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._seen.decode(errors="replace"))

    def end(self) -> int:
        """Wait for the command's end, reading on, and return its exit code."""
        wait_until(lambda: (self.seen(), self.process.poll() is not None)[1], "the command ended")
        self.seen()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)


def workers_of(home: Path) -> list[psutil.Process]:
    """The living worker processes whose logs are in a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if "convsearch.search.workers.process" not in process.cmdline():
                continue
            if any(Path(file.path).is_relative_to(home.resolve()) for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found
