"""`--storage`: the address of the PostgreSQL database in which several loops share a study.

Addresses are kept and told without a password. One that was given goes to PGPASSWORD, where PostgreSQL's own client
looks for it, in this process and in those that it starts.
"""

import os
from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...spaces.errors import InputError

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
DRIVER = "postgresql+psycopg2"  # said in full: SQLAlchemy's default is another one from 2.1 on
RIGHT = "write postgresql://USER@HOST/DATABASE"
SCHEMA = "mlflow"  # of MLflow's tables: one of them has the same name as one of Optuna's


def checked_storage(text: str) -> str:
    """Return an address without its password, which is put where PostgreSQL's client finds it.

    Raises:
        InputError: it is no address of a PostgreSQL database, or the package that talks to one is not installed.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # what it was may hold a password
        raise InputError(f"--storage: this is no address of a database; {RIGHT}") from error
    if url.drivername not in SCHEMES:
        why = (
            "a file can be written by one loop at a time"
            if url.drivername.startswith("sqlite")
            else "loops share a study in PostgreSQL only"
        )
        raise InputError(f"--storage {url.drivername}://...: {why}; {RIGHT}")
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    shown = str(plain)
    if not url.database:
        raise InputError(f"--storage {shown}: it names no database; {RIGHT}")
    if "password" in url.query:
        raise InputError(f"--storage: the password stands behind the user or in PGPASSWORD, not behind a '?'; {RIGHT}")
    if find_spec("psycopg2") is None:
        raise InputError(f"--storage {shown}: needs the package psycopg2: pip install 'convsearch[postgres]'")
    if url.password is not None:
        os.environ["PGPASSWORD"] = str(url.password)
    return shown


def place(storage: str) -> str:
    """Return where a database is, in words."""
    url = make_url(storage)
    host = url.host or os.environ.get("PGHOST") or "this machine"
    return f"database '{url.database}' on {host}" + (f":{url.port}" if url.port else "")


def optuna_url(storage: str) -> str:
    """Return the address under which Optuna's tables are, for SQLAlchemy."""
    return make_url(storage).set(drivername=DRIVER).render_as_string()


def mlflow_url(storage: str) -> str:
    """Return the address under which MLflow's tables are: the same database, but a schema of their own."""
    url = make_url(storage).set(drivername=DRIVER)
    given = url.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), f"-csearch_path={SCHEMA}"])
    return url.update_query_dict({"options": options}).render_as_string()
