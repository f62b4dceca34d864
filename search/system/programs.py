"""Programs of ours beside the one that starts them: a module with `main(connection)`, in a process of its own.

A program begins in a new interpreter (`Spawner`), or is forked from a process that has imported what it needs
(`fork_server.py`). Either way it talks to whoever started it through a connection, and ends when they do.
"""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from ...spaces.errors import InputError, WorkError
from .processes import end_with_parent, environment, how_it_ended, name_process


class Process(Protocol):
    """A program that runs, or did; the part of `subprocess.Popen` that is needed."""

    @property
    def pid(self) -> int | None:
        """Its process id; None until it is known."""

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that killed it; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return what `poll` does; subprocess.TimeoutExpired after so many seconds."""

    def kill(self) -> None:
        """Kill it; it may be gone already."""


class Starter(Protocol):
    """What starts programs."""

    def start(
        self, program: str, output: int, variables: Mapping[str, str] | None = None
    ) -> tuple[Connection, Process]:
        """Start a program.

        Args:
            program: its module.
            output: the descriptor of a file that takes what it prints.
            variables: what its environment has beyond this process's.

        Returns:
            the connection to it, and its process.
        """

    def close(self) -> None:
        """Let go of what programs are started from; those that were forked end."""


class Spawner:
    """Starts each program in a new interpreter, which imports everything anew."""

    def start(
        self, program: str, output: int, variables: Mapping[str, str] | None = None
    ) -> tuple[Connection, Process]:
        """Start a program; see `Starter`."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                # -P: the user's folder may hold a module by any name, and must not stand in for ours.
                [sys.executable, "-P", "-m", __name__, program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment() | dict(variables or {}),
                start_new_session=True,  # Ctrl-C is for the loop, which ends its programs tidily
            )
        return Connection(ours.detach()), process

    def close(self) -> None:
        """There is nothing to let go of."""


class Call:
    """A program that answers one question. It begins at once, and imports what it needs until it is asked."""

    def __init__(self, starter: Starter, program: str, log: Path) -> None:
        """Start the program, whose output goes to the file `log`."""
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._connection, self._process = starter.start(program, output.fileno())

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the program's answer; question and answer are values of JSON.

        Raises:
            InputError, WorkError, OSError: as the program raised them; WorkError too where it died.
        """
        try:
            self._connection.send_bytes(json.dumps(question).encode())
            said: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            how = how_it_ended(self._process.wait(), self._log)
            raise WorkError(f"a process of Convsearch {how}; its log is {self._log}") from error
        if "answer" in said:
            answer: dict[str, Any] = said["answer"]
            return answer
        raise _error(said)


def answer(connection: Connection, work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the question that comes in; the other side of `Call`."""
    try:
        question = json.loads(connection.recv_bytes())
    except (EOFError, OSError):  # nobody asks any more
        return
    said: dict[str, Any]
    try:
        said = {"answer": work(question)}
    except InputError as error:
        said = {"input": str(error)}
    except WorkError as error:
        said = {"work": str(error)}
    except OSError as error:
        said = {"system": error.errno, "message": error.strerror or str(error), "file": error.filename}
    connection.send_bytes(json.dumps(said).encode())


def _error(said: Mapping[str, Any]) -> Exception:
    if "input" in said:
        return InputError(said["input"])
    if "work" in said:
        return WorkError(said["work"])
    return OSError(said["system"] or errno.EIO, said["message"], said["file"])


def run(program: str, descriptor: int) -> None:
    """Be a program, whose end of the connection is a descriptor."""
    name_process(program)
    import_module(program).main(Connection(descriptor))


if __name__ == "__main__":
    end_with_parent()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run(sys.argv[1], int(sys.argv[2]))
