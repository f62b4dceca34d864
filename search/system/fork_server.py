"""A process that has imported Keras and what else programs need, and forks them when they are asked for.

Importing TensorFlow takes three to thirteen seconds and some 300 MB. A program that is forked from a process that has
done so begins at once, and shares the memory. That is sound as long as nothing of the backend's runtime, with its
threads and devices, has begun before the fork; so this process imports, and does nothing else (docs/scaling.md says
which backends bear it).

Requests come in on a socket, with the descriptors that a program gets; what happens to it goes out in the same way.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from .backend import chosen_backend, import_keras
from .processes import end_with_parent, environment
from .programs import Process, Spawner, Starter, run

BACKENDS = ("tensorflow", "jax")  # that bear it
LARGEST = 1 << 16  # bytes of a message
TICK = 0.05  # seconds between two looks for a process that is waited for


def starter(modules: Sequence[str], *, gpus: bool = False) -> Starter:
    """Return what programs are best started by on this machine.

    Args:
        modules: what they all import.
        gpus: whether they are to use some. What a driver has begun does not survive a fork, and whether importing a
            backend begins it has only been looked at where there is none.
    """
    return ForkServer(modules) if may_fork(gpus=gpus) else Spawner()


def may_fork(*, gpus: bool = False) -> bool:
    """Whether a process that has imported Keras, and not begun the backend's runtime, may be forked."""
    return sys.platform == "linux" and not gpus and chosen_backend()[0] in BACKENDS


class ForkServer:
    """The side of whoever wants programs: starts the server, another one where it dies, and tells how programs end."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        """Start the server, which begins to import Keras and `modules`."""
        self._modules = modules
        self._programs: dict[int, Forked] = {}  # that have not ended, by the number of their request
        self._count = 0
        self._begin()

    def start(
        self, program: str, output: int, variables: Mapping[str, str] | None = None
    ) -> tuple[Connection, Process]:
        """Have a program forked, as soon as all is imported; see `Starter`."""
        self.receive()
        if self.process.poll() is not None:
            self._die()
            self._begin()
        ours, theirs = socket.socketpair()
        self._count += 1
        forked = self._programs[self._count] = Forked(self, os.dup(output))
        request = {"number": self._count, "program": program, "variables": dict(variables or {})}
        with theirs, contextlib.suppress(OSError):  # it dies at this moment, which `receive` finds out
            socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno(), output])
        return Connection(ours.detach()), forked

    def receive(self) -> None:
        """Take in what the server has said: which processes it has made, and how they ended."""
        while self._control.fileno() >= 0 and select.select([self._control], [], [], 0)[0]:
            try:
                message = self._control.recv(LARGEST)
            except OSError:
                message = b""
            if not message:
                self._die()
                return
            said = json.loads(message)
            forked = self._programs.get(said["number"])
            if forked is None:
                continue
            if "pid" in said:
                forked.begun(said["pid"])
            else:
                forked.ended(said["code"])
                del self._programs[said["number"]]

    def close(self) -> None:
        """End the server, and with it all programs that were forked from it."""
        self.process.kill()
        self._die()

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), *self._modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env=environment(),
                start_new_session=True,
            )

    def _die(self) -> None:
        """Note that the server has ended, and that no program outlives it."""
        if self._said.closed:
            return
        self._control.close()
        code = self.process.wait()
        self._said.seek(0)
        said = self._said.read()
        self._said.close()
        for forked in self._programs.values():
            forked.lost(code, said)
        self._programs.clear()


class Forked:
    """A program that was, or is to be, forked from a server."""

    def __init__(self, server: ForkServer, output: int) -> None:
        self._pid: int | None = None
        self._server = server
        self._output: int | None = output  # until it is there and prints there itself
        self._code: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is still to be forked."""
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
        """Kill it; where it was not forked yet nobody waits for that, and it is killed when it is."""
        if self.poll() is not None:
            return
        if self._pid is None:
            self._code = -signal.SIGKILL
            self._close_output()
        else:
            self._kill(self._pid)

    def begun(self, pid: int) -> None:
        """Note that it was forked."""
        if self._code is not None:
            self._kill(pid)
            return
        self._pid = pid
        self._close_output()

    def ended(self, code: int) -> None:
        """Note how it ended."""
        if self._code is None:
            self._code = code

    def lost(self, code: int, said: bytes) -> None:
        """Note that its server has ended; where it was never forked, what the server printed tells why."""
        if self._code is not None:
            return
        self._code = code if self._pid is None else -signal.SIGKILL
        if self._output is not None:
            os.write(self._output, said)
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
    """Import, then fork whatever is asked for, until nobody is left to ask."""
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
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(LARGEST)
            for pid, code in _ended():
                _say(control, number=numbers.pop(pid), code=code)
        if control in ready:
            message, descriptors, _, _ = socket.recv_fds(control, LARGEST, 2)
            if not message:
                return
            request = json.loads(message)
            pid = os.fork()
            if pid == 0:
                for left in (control, woken, wakes):
                    left.close()
                _become(request, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            numbers[pid] = request["number"]
            _say(control, number=request["number"], pid=pid)


def _ended() -> list[tuple[int, int]]:
    """Return the processes that have ended, and how."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _say(control: socket.socket, **message: Any) -> None:
    with contextlib.suppress(OSError):  # nobody is left to receive it, which the next read finds out
        control.send(json.dumps(message).encode())


def _become(request: dict[str, Any], connection: int, output: int) -> NoReturn:
    """Be the program that was asked for, in a process that was just forked."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for standard in (1, 2):
            os.dup2(output, standard)
        os.close(output)
        os.environ.update(request["variables"])
        end_with_parent(os.getppid())
        run(request["program"], connection)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the server's own end is none of its business


if __name__ == "__main__":
    end_with_parent()
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
