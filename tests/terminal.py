"""The command as a user types it: its exit code, and what it prints; in a process of its own, or in the test's."""

import fcntl
import io
import logging
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import psutil
import typer

from convsearch.search.command.main import app, main
from convsearch.search.command.terminal import standard_error
from convsearch.search.executors.local import PROGRAM
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.system.processes import shown_as

COMMAND = str(Path(sys.executable).with_name("convsearch"))
WORKER = shown_as(PROGRAM)  # the name of a worker's process
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

    def copied(self, home: Path) -> "Finished":
        """The same study in a home of its own, to be gone on with or damaged."""
        shutil.copytree(self.home, home)
        return replace(self, home=home)


def environment(**more: str) -> dict[str, str]:
    """The user's environment, without settings of whoever runs the tests."""
    ours = ("CONVSEARCH_HOME", "MLFLOW_TRACKING_URI", "PYTHONPATH", "FORCE_COLOR")
    return {key: value for key, value in os.environ.items() if key not in ours} | more


def understood(words: list[str]) -> dict[str, Any]:
    """The values of a command's options and arguments; it is not run."""
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    name, verb, rest = program.resolve_command(program.make_context("convsearch", words), words)
    assert verb is not None
    return verb.make_context(name, rest).params


def convsearch(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command, in a process of its own, and wait for its end."""
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**variables),
        timeout=PATIENCE,
        check=False,
    )


def typed(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command in the test's own process, which has imported already what a new one would import for a second.

    For whatever trains nothing: options, messages, reports. What the command leaves behind in the process is undone.
    """
    words, users = ["convsearch", *map(str, arguments)], environment(**variables)
    assert words[1] != "dashboard", "it takes the place of the process that it is typed in"
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, ExitStack() as undone:
        undone.enter_context(_as_it_was())
        undone.enter_context(_instead(1, "stdout", out))
        undone.enter_context(_instead(2, "stderr", err))
        if cwd is not None:
            undone.enter_context(chdir(cwd))
        os.environ.clear()
        os.environ.update(users)
        sys.argv = words
        code = _exit_code()
        undone.close()
        return subprocess.CompletedProcess(words, code, *map(_text, (out, err)))


def _exit_code() -> int:
    """Run the command, and return how its process would end."""
    try:
        main()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return leaving.code or 0
    except Exception:
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _instead(descriptor: int, name: str, file: IO[bytes]) -> Iterator[None]:
    """Have a file in the place of standard output or standard error, for Python and for whatever writes below it."""
    kept, before = os.dup(descriptor), getattr(sys, name)
    before.flush()
    os.dup2(file.fileno(), descriptor)
    stream = io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), "utf-8", write_through=True)
    setattr(sys, name, stream)
    try:
        yield
    finally:
        setattr(sys, name, before)
        os.dup2(kept, descriptor)
        os.close(kept)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what a command leaves behind where it expects its process to end with it."""
    variables, words, root = dict(os.environ), sys.argv, logging.getLogger()
    handlers, level = list(root.handlers), root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    standard_error.cache_clear()  # it would be what standard error was for another command
    try:
        yield
    finally:
        standard_error().close()
        standard_error.cache_clear()
        for number, handler in signals.items():
            signal.signal(number, handler)
        root.handlers[:] = handlers
        root.setLevel(level)
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].set_tracking_uri(None)  # first, for it writes the environment
        sys.argv = words
        os.environ.clear()
        os.environ.update(variables)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"in {PATIENCE} s it did not happen that {what}"
        time.sleep(0.05)


@contextmanager
def begun(*arguments: object, cwd: Path | None = None, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Type a command that will be disturbed; whatever is left of it is ended with the block."""
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(**variables),
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
            [sys.executable, "-P", "-c", TAKE_THE_TERMINAL, COMMAND, *map(str, arguments)],
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
            if process.name() != WORKER:
                continue
            if any(Path(file.path).is_relative_to(home.resolve()) for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found
