"""The program of a worker process: `python -P -m convsearch.search.executors.worker FD`.

Reads jobs as JSON from the socket FD, trains them, sends reports and outcomes back. Imports Keras while the loop still
prepares. Ends when the loop does.
"""

import json
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..backend import import_keras
from ..job import EpochReport, Job


class _Line:
    """The worker's end of the talk."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, **message: Any) -> None:
        self._connection.send_bytes(json.dumps(message).encode())

    def read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return message

    def report(self, epoch: EpochReport) -> bool:
        """Send an epoch and wait for the answer."""
        self.send(epoch=epoch.model_dump())
        return bool(self.read().get("go_on", False))

    def stop_now(self) -> bool:
        """Whether the loop has called; between batches it calls only to stop, or because it is gone."""
        return self._connection.poll() and bool(self.read().get("stop"))


def _write_to(log: str) -> None:
    """Let what this process prints go to a file from now on; what it has printed so far is moved there."""
    out, error = sys.stdout.fileno(), sys.stderr.fileno()
    with Path(log).open("ab", buffering=0) as file:
        file.write(os.pread(out, os.fstat(out).st_size, 0))
        os.ftruncate(out, 0)
        for descriptor in (out, error):
            os.dup2(file.fileno(), descriptor)


def main(file_descriptor: int) -> None:
    """Serve until the other end is closed."""
    line = _Line(Connection(file_descriptor))
    import_keras()  # takes seconds
    from ..trial import train

    has_log = False
    try:
        while True:
            message = line.read()
            if "job" not in message:
                continue  # a late answer to a job that is over
            job = Job.model_validate(message["job"])
            line.send(started=job.number)
            try:
                if not has_log:
                    _write_to(message["log"])
                    has_log = True
                outcome = train(job, line.report, line.stop_now)
            except OSError as error:  # reading the data, writing weights or log: not the candidate's fault
                reason = os.strerror(error.errno) if error.errno else str(error)
                line.send(broken=f"{error.filename or job.weights}: {reason}")
                continue
            line.send(outcome=outcome.model_dump(mode="json"))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
