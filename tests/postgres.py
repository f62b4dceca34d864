"""A PostgreSQL server of the tests' own, as Debian ships it: a cluster in a temporary folder, on a port of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from benchmarks.ports import free_port

PASSWORD = "not to be seen"
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))


class Server:
    """A server that can be stopped and started again; `url` of each of its databases has the password in it."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster and start it."""
        self._programs = SERVERS[-1].parent
        self._folder = folder
        self._user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        folder.mkdir()
        if self._user:
            shutil.chown(folder, self._user)
        (secret := folder / "secret").write_text(PASSWORD)
        self.port = free_port()
        secure = ("--auth=scram-sha-256", f"--pwfile={secret}")
        self._run("initdb", "--username=tester", *secure, "--no-sync", f"--pgdata={folder / 'data'}")
        self.start()

    def url(self, database: str, password: str = PASSWORD, user: str = "tester") -> str:
        """The address of a database."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def make(self, database: str) -> str:
        """Make a database and return its address."""
        self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Execute a statement as the server's owner, outside any transaction."""
        url = make_url(self.url(database)).set(drivername="postgresql+psycopg2")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "--wait", f"--log={self._folder / 'log'}", f"--options={options}", *self._data, "start")

    def stop(self) -> None:
        """Stop it at once, whoever is connected."""
        self._run("pg_ctl", "--wait", "--mode=fast", *self._data, "stop")

    @property
    def _data(self) -> tuple[str, str]:
        return "--pgdata", str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
        )


@contextmanager
def server() -> Iterator[Server]:
    """Run a server while the block does; the test is skipped where Debian's PostgreSQL is not installed."""
    if not SERVERS:
        pytest.skip("no PostgreSQL in /usr/lib/postgresql")
    # Not below pytest's own folder, which is closed to the user that the server runs as.
    with tempfile.TemporaryDirectory(prefix="convsearch-postgres-") as place:
        Path(place).chmod(0o755)
        made = Server(Path(place) / "postgres")
        try:
            yield made
        finally:
            made.stop()
