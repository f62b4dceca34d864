"""A process that has imported Keras and whatever else programs need, and forks them on request.

Importing TensorFlow takes three to thirteen seconds and some 300 MB. A program that is forked from a process that has
done so starts at once, and shares the memory. That is safe as long as the backend's runtime, with its threads and
devices, is not initialized before the fork; so this process imports, and does nothing else (docs/scaling.md says which
backends tolerate it).

Requests arrive on a socket, with the file descriptors for the program; its process ID and exit code go back.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

from .addresses import discreet
from .backend import chosen_backend, import_keras
from .processes import end_with_parent, environment
from .programs import Process, Spawner, Starter, run

BACKENDS = ("tensorflow", "jax")  # that tolerate it
LARGEST = 1 << 16  # bytes of a message
TICK = 0.05  # seconds between polls for the end of a process


def starter(modules: Sequence[str], *, gpus: bool = False) -> Starter:
    """Return the fastest starter of programs that is safe on this machine.

    Args:
        modules: what they all import.
        gpus: whether they use GPUs. An initialized driver does not survive a fork, and whether importing a backend
            initializes it has only been checked on machines without one.
    """
    return ForkServer(modules) if may_fork(gpus=gpus) else Spawner()


def may_fork(*, gpus: bool = False) -> bool:
    """Whether a process that has imported Keras, but not initialized the backend's runtime, may be forked."""
    return sys.platform == "linux" and not gpus and chosen_backend()[0] in BACKENDS


class ForkServer:
    """The client's side: starts the server, restarts it if it dies, and tracks how programs end."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        """Start the server, which imports Keras and `modules`."""
        self._modules = modules
        self._programs: dict[int, Forked] = {}  # the running ones, by the number of their request
        self._count = 0
        self._start_server()

    def start(
        self, program: str, output: int, variables: Mapping[str, str] | None = None
    ) -> tuple[Connection, Process]:
        """Have a program forked as soon as everything is imported; see `Starter`."""
        self.receive()
        if self.process.poll() is not None:
            self._clean_up()
            self._start_server()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            forked = Forked(self, os.dup(output))
            self._count += 1
            self._programs[self._count] = forked
            request = {"number": self._count, "program": program, "variables": dict(variables or {})}
            with contextlib.suppress(OSError):  # the server has just died, which `receive` will notice
                socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno(), output])
            return Connection(ours.detach()), forked

    def receive(self) -> None:
        """Process the server's messages: which processes it forked, and how they ended."""
        while self._control.fileno() >= 0 and wait([self._control], 0):
            try:
                received = self._control.recv(LARGEST)
            except OSError:
                received = b""
            if not received:
                self._clean_up()
                return
            message = json.loads(received)
            forked = self._programs.get(message["number"])
            if forked is None:
                continue
            if "pid" in message:
                forked.mark_started(message["pid"])
            else:
                forked.mark_ended(message["code"])
                del self._programs[message["number"]]

    def close(self) -> None:
        """End the server, and with it all programs that were forked from it."""
        self.process.kill()
        self._clean_up()

    def _start_server(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), *self._modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env=environment(),
                start_new_session=True,
            )

    def _clean_up(self) -> None:
        """Reap the server, and mark its programs as dead: none outlives it."""
        if self._output.closed:
            return
        self._control.close()
        code = self.process.wait()
        self._output.seek(0)
        output = self._output.read()
        self._output.close()
        for forked in self._programs.values():
            forked.mark_lost(code, output)
        self._programs.clear()


class Forked:
    """A program that was, or is to be, forked from a server."""

    def __init__(self, server: ForkServer, output: int) -> None:
        self._pid: int | None = None
        self._server = server
        self._output: int | None = output  # until the process exists and writes to it itself
        self._code: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process ID; None while it is still to be forked."""
        if self._pid is None:
            self._server.receive()
        return self._pid

    def poll(self) -> int | None:
        """Return its exit code; None while it runs, or is still to be forked."""
        if self._code is None:
            self._server.receive()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self._pid), timeout or 0.0)
            time.sleep(TICK)
        return code

    def kill(self) -> None:
        """Kill it; if it is not forked yet, count it as dead now and kill it as soon as it is."""
        if self.poll() is not None:
            return
        if self._pid is None:
            self._code = -signal.SIGKILL
            self._close_output()
        else:
            self._kill(self._pid)

    def mark_started(self, pid: int) -> None:
        """Record that it was forked."""
        if self._code is not None:
            self._kill(pid)
            return
        self._pid = pid
        self._close_output()

    def mark_ended(self, code: int) -> None:
        """Record its exit code."""
        if self._code is None:
            self._code = code

    def mark_lost(self, code: int, output: bytes) -> None:
        """Record that its server has died; if it was never forked, the server's output explains why."""
        if self._code is not None:
            return
        self._code = code if self._pid is None else -signal.SIGKILL
        if self._output is not None:
            os.write(self._output, output)
            self._close_output()

    @staticmethod
    def _kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _close_output(self) -> None:
        if self._output is not None:
            os.close(self._output)
            self._output = None


# ---------------------------------------------------------------------- the server


def main(control: socket.socket, modules: Sequence[str]) -> None:
    """Import, then fork a process for each request, until the client closes the socket."""
    import_keras(start=False)
    for module in modules:
        import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would write to every object, and each page with one would be copied
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    numbers: dict[int, int] = {}  # the request of each process
    server = os.getpid()
    while True:
        ready = wait([control, woken])
        if woken in ready:
            woken.recv(LARGEST)
            for pid, code in _reap():
                _send(control, number=numbers.pop(pid), code=code)
        if control in ready:
            message, descriptors, _, _ = socket.recv_fds(control, LARGEST, 2)
            if not message:
                return
            request = json.loads(message)
            pid = os.fork()
            if pid == 0:
                for left in (control, woken, wakes):
                    left.close()
                _become(request, server, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            numbers[pid] = request["number"]
            _send(control, number=request["number"], pid=pid)


def _reap() -> list[tuple[int, int]]:
    """Return the processes that have ended, with their exit codes."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _send(control: socket.socket, **message: Any) -> None:
    with contextlib.suppress(OSError):  # the client has closed the socket, which the next read will notice
        control.send(json.dumps(message).encode())


def _become(request: dict[str, Any], server: int, connection: int, output: int) -> NoReturn:
    """Run the requested program in the process that was just forked; `server` is the ID of the one it came from."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for standard in (1, 2):
            os.dup2(output, standard)
        os.close(output)
        os.environ.update(request["variables"])
        end_with_parent(server)  # which may have died since
        run(request["program"], connection)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        if isinstance(leaving.code, str):  # a message, as Python itself would print it
            print(leaving.code, file=sys.stderr)
    except BaseException:
        sys.stderr.write(discreet(traceback.format_exc()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # skip the server's own clean-up


if __name__ == "__main__":
    end_with_parent()
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
