"""Helper programs: modules with `main(connection)`, each run in a separate process.

A program starts in a new interpreter (`Spawner`), or is forked from a process that has imported what it needs
(`fork_server.py`). Either way it talks to its parent through a connection, and ends with it.
"""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from ...spaces.errors import InputError, WorkError
from .addresses import hide_secrets_in_tracebacks
from .processes import end_with_parent, environment, how_it_ended, name_process

PATIENCE = 3600.0  # seconds until an answer: for a test on very many images, or a model on its way to a slow server
LEAVING = 10.0  # seconds in which a program that has closed its connection ends by itself, with its true exit code


class Process(Protocol):
    """A running or finished program; the part of `subprocess.Popen` that is needed."""

    @property
    def pid(self) -> int | None:
        """Its process ID; None until it is known."""

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that killed it; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return what `poll` does; subprocess.TimeoutExpired after `timeout` seconds."""

    def kill(self) -> None:
        """Kill it, unless it has exited already."""


class Starter(Protocol):
    """What starts programs."""

    def start(
        self, program: str, output: int, variables: Mapping[str, str] | None = None
    ) -> tuple[Connection, Process]:
        """Start a program.

        Args:
            program: its module.
            output: the descriptor of the file for its output.
            variables: environment variables to add to this process's.

        Returns:
            the connection to it, and its process.
        """

    def close(self) -> None:
        """Release the resources; programs that were forked end."""


class Spawner:
    """Starts each program in a new interpreter, which imports everything anew."""

    def start(
        self, program: str, output: int, variables: Mapping[str, str] | None = None
    ) -> tuple[Connection, Process]:
        """Start a program; see `Starter`."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
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
        """There is nothing to release."""


class Call:
    """A program that answers one request. It starts at once, and does its imports before the request comes."""

    def __init__(self, starter: Starter, program: str, log: Path, leaving: float = LEAVING) -> None:
        """Start the program, whose output goes to the file `log`; see LEAVING."""
        self._log, self._leaving = log, leaving
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

    def ask(self, patience: float = PATIENCE, **request: Any) -> dict[str, Any]:
        """Send the request and return the program's answer; both are JSON values.

        Args:
            patience: seconds that the program has to answer.
            request: for the program.

        Raises:
            InputError, WorkError, OSError: as the program raised them; WorkError too where it died, or took too long.
        """
        try:
            self._connection.send_bytes(json.dumps(request).encode())
            if not self._connection.poll(patience):
                raise WorkError(f"a process of Convsearch has not answered for {patience:g} s; its log is {self._log}")
            reply: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self._leaving)
            self._process.kill()
            how = how_it_ended(self._process.wait(), self._log)
            raise WorkError(f"a process of Convsearch {how}; its log is {self._log}") from error
        if "answer" in reply:
            answer: dict[str, Any] = reply["answer"]
            return answer
        raise _error(reply)


def answer(connection: Connection, work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the request that comes in; the other side of `Call`."""
    try:
        request = json.loads(connection.recv_bytes())
    except (EOFError, OSError):  # the caller has exited
        return
    reply: dict[str, Any]
    try:
        reply = {"answer": work(request)}
    except InputError as error:
        reply = {"input": str(error)}
    except WorkError as error:
        reply = {"work": str(error)}
    except OSError as error:
        reply = {"system": error.errno, "message": error.strerror or str(error), "file": error.filename}
    connection.send_bytes(json.dumps(reply).encode())


def _error(reply: Mapping[str, Any]) -> Exception:
    if "input" in reply:
        return InputError(reply["input"])
    if "work" in reply:
        return WorkError(reply["work"])
    return OSError(reply["system"] or errno.EIO, reply["message"], reply["file"])


def run(program: str, descriptor: int) -> None:
    """Run a program; `descriptor` is its end of the connection."""
    name_process(program)
    import_module(program).main(Connection(descriptor))


if __name__ == "__main__":
    end_with_parent()
    hide_secrets_in_tracebacks()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run(sys.argv[1], int(sys.argv[2]))
