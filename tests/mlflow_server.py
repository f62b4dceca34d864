"""An MLflow server for tests."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from terminal import environment, wait_until

from benchmarks.ports import free_port


class Server:
    """A real MLflow server, which can be stopped and started again at the same address."""

    def __init__(self, place: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.store = f"sqlite:///{place / 'server.db'}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--backend-store-uri", self.store, "--workers", "1"]
        self._command += ["--artifacts-destination", str(place / "artifacts")]
        self._log = (place / "server.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        bare = environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")  # without five processes that nobody needs here
        self._process = subprocess.Popen(
            self._command, stdout=self._log, stderr=self._log, env=bare, start_new_session=True
        )
        wait_until(self._answers, "the server answered")

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        port = int(self.address.rpartition(":")[2])
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
