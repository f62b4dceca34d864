"""Whether MLflow's store can be reached: asked before any work is done, and without MLflow, whose import takes seconds.

Only what is certain counts: what MLflow alone can tell, such as whether it trusts a certificate, is left to it.
"""

import base64
import os
import socket
import sqlite3
import ssl
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from ...spaces.errors import InputError, nearest
from ..study.home import Home
from ..system.addresses import (
    PASSWORD,
    REGISTRY,
    TOKEN,
    TRACKING,
    USER,
    discreet,
    masked,
    mlflow_url,
    sqlite_path,
    sqlite_url,
)

FILE = "mlflow.db"  # in the home
PATIENCE = 20.0  # seconds that a server has to answer: as long as the delivery gives it
LOCKED = 3.0  # seconds at most to wait for another program's lock
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
TIMED = ("postgresql", "mysql")  # whose drivers know `connect_timeout`
HOSTED = ("databricks", "databricks-uc", "uc")  # addresses without a scheme that are no folders; schemes, too
SERVERS = ("http", "https")
# The groups of entry points by which packages add stores of other schemes to MLflow.
STORES, REGISTRIES = "mlflow.tracking_store", "mlflow.model_registry_store"
ALLOW_FOLDER = "MLFLOW_ALLOW_FILE_STORE"
YES, NO = ("true", "1"), ("false", "0")  # what MLflow takes for it, in capitals too; it takes nothing else
UNAUTHORIZED = 401  # HTTP's status where user, password or token are wrong
UNUSABLE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN)  # a lock, say, is no fault


def tracking_uri(home: Home, storage: str | None = None) -> str:
    """Return where runs are logged: MLFLOW_TRACKING_URI, the database of a shared study, or SQLite in the home."""
    if (server := own_server(home)) is not None:
        return server
    return sqlite_url(home.path.resolve() / FILE) if storage is None else mlflow_url(storage)


def own_server(home: Home) -> str | None:
    """Return MLFLOW_TRACKING_URI, the user's own store; None if it is not set, or names the home's own file."""
    if not (configured := os.environ.get(TRACKING)):
        return None
    file = sqlite_path(configured)
    return None if file is not None and _is_one_file(file, home.path / FILE) else configured


def _is_one_file(one: Path, other: Path) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other) or one.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or no file can have its name
        return False


def require_reachable(home: Home, patience: float = PATIENCE) -> None:
    """Check that runs can be logged, as far as that is known without trying.

    `patience` are the seconds that a server has to answer.

    Raises:
        InputError: MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI, or the home's own file, cannot be used.
    """
    uri = tracking_uri(home)
    reached, said = reach(uri, patience)
    if reached is False:
        raise InputError(f"MLflow at {masked(uri)} cannot be reached: {said}; {remedy_for(home)}")
    if (trouble := registry_trouble(patience)) is not None:
        raise InputError("; ".join(trouble))


def registry_trouble(patience: float) -> tuple[str, str] | None:
    """Return why MLFLOW_REGISTRY_URI cannot be used and what to do, without secrets; None if it can, or is not set.

    It is needed at the end only, when the model is registered. `patience` are the seconds that a server has to answer.
    """
    if not (registry := os.environ.get(REGISTRY)):
        return None
    reached, said = reach(registry, patience, REGISTRIES)
    if reached is not False:
        return None
    what = f"{REGISTRY}: MLflow's registry at {masked(registry)} cannot be reached: {said}"
    return what, f"check it, or unset {REGISTRY} to register models where runs are logged"


def remedy_for(home: Home) -> str:
    """Return what to do about a store that cannot be reached: the user's own, or that of the home."""
    if own_server(home) is not None:
        return f"check that server, or unset {TRACKING} to store runs in the home"
    return "move that file away; the next run creates a new one"


def reach(uri: str, patience: float, group: str = STORES) -> tuple[bool | None, str]:
    """Return whether a store can be reached, None where that cannot be told, and what was found, without secrets.

    Args:
        uri: as MLflow takes it.
        patience: seconds that it has to answer.
        group: of the entry points of such stores.
    """
    if (file := sqlite_path(uri)) is not None:
        return _sqlite(file, patience)
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # its message quotes what may be a part of a password
        return False, "not a valid address: write http://HOST:PORT"
    if uri not in HOSTED and (len(parts.scheme) < 2 or parts.scheme == "file"):  # MLflow takes a letter for a drive
        return _folder()
    if not parts.netloc and parts.path.partition("/")[0].isdigit():  # the host looks like a scheme
        return False, f"an address begins with its scheme: write http://{masked(uri)}"
    kind = parts.scheme.partition("+")[0]
    if kind == "sqlite":
        return False, "it names no file: write sqlite:////FOLDER/mlflow.db"
    if parts.scheme in SERVERS:
        place = parts.netloc.rpartition("@")[2]
        return _server(f"{kind}://{place}{parts.path.rstrip('/')}", patience)
    if kind in PORTS:
        return _database(uri, kind, (parts.hostname, port or PORTS[kind]), patience)
    if (parts.scheme or uri) in (*HOSTED, *(one.name for one in entry_points(group=group))):
        return None, "not tried"
    if not parts.netloc and "@" in uri:  # a user looks like a scheme, and is not shown
        return False, f"an address begins with its scheme: write http://{masked(uri)}"
    known = [f"{scheme}://" for scheme in (*SERVERS, *PORTS, "sqlite")]
    return False, f"MLflow has no store for {parts.scheme}://: {nearest(f'{parts.scheme}://', known)}"


def _folder() -> tuple[bool | None, str]:
    """Return what MLflow says of runs in a folder: by its own rule it refuses them, wherever it is."""
    allowed = os.environ.get(ALLOW_FOLDER, NO[0])
    if allowed.lower() in YES:
        return None, "not tried"
    if allowed.lower() not in NO:
        return False, f"{ALLOW_FOLDER} is '{allowed}', and MLflow takes only true or false"
    what = "it names a folder, and MLflow no longer stores runs in one"
    instead = "write sqlite:////FOLDER/mlflow.db, or http://HOST:PORT for a server"
    return False, f"{what}: {instead}; or set {ALLOW_FOLDER}=true"


def _sqlite(file: Path, patience: float) -> tuple[bool | None, str]:
    try:
        if not file.exists():
            if file.is_symlink():  # its disk may be missing: a new store in its place would hide all runs
                return False, f"it is a link to {os.path.realpath(file)}, which is not there"
            return None, "not there yet: the first run creates it"
        address = f"{file.absolute().as_uri()}?mode=rw"  # so that SQLite can undo what a kill has left half-written
        with closing(sqlite3.connect(address, uri=True, timeout=min(LOCKED, patience))) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone() is None:
                return None, "no runs yet: the first run creates their tables"
            (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
    except (OSError, sqlite3.Error) as error:
        certain = isinstance(error, OSError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in UNUSABLE
        return (False if certain else None), str(error)
    return True, f"{count:,} run{'' if count == 1 else 's'}"


def _server(address: str, patience: float) -> tuple[bool | None, str]:
    """Ask a server for its health or, where there are a user or a token, for something that only they may have."""
    from http.client import HTTPException  # few launches need these
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    credentials = _credentials()
    path = "/health" if credentials is None else "/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        request = Request(address + path)
        if credentials is not None:
            request.add_unredirected_header("Authorization", credentials)
        with urlopen(request, timeout=patience):
            return True, "answers"
    except HTTPError as error:
        with error:
            if error.code == UNAUTHORIZED and credentials is not None:
                return False, f"it refuses {USER} and {PASSWORD}, or {TOKEN}"
            return error.code < 500, f"answers with status {error.code}"
    except ValueError:  # its message quotes what it does not like, which may be a token
        return False, f"the address, {USER}, {PASSWORD} or {TOKEN} has characters that cannot be sent"
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        certificate = isinstance(reason, ssl.SSLCertVerificationError)  # MLflow has settings of its own for these
        return (None if certificate else False), _words(reason)


def _credentials() -> str | None:
    """Return the header that MLflow authorizes itself with, if its variables say so."""
    user, password, token = (os.environ.get(name, "") for name in (USER, PASSWORD, TOKEN))
    if user and password:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Bearer {token}" if token else None


def _database(uri: str, kind: str, place: tuple[str | None, int], patience: float) -> tuple[bool, str]:
    """Connect to a database as MLflow does, but once."""
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    host, port = place
    timed = {"connect_timeout": max(1, round(patience))} if kind in TIMED else {}
    try:
        if host:  # not every driver can be told how long to wait
            socket.create_connection((host, port), timeout=patience).close()
        with create_engine(uri, poolclass=NullPool, connect_args=timed).connect():
            return True, "the server accepts connections"
    except ImportError as error:
        return False, f"its driver cannot be imported: {error}"
    except (OSError, SQLAlchemyError) as error:
        return False, _words(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)


def _words(error: object) -> str:
    """Return what an error says, in one line and without secrets."""
    return discreet(" ".join(str(getattr(error, "strerror", None) or error).split()))
