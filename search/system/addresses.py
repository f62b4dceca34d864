"""`--storage`: the address of the PostgreSQL database in which several loops share a study.

Addresses are stored and shown without a password. A given one goes into PGPASSWORD, where PostgreSQL's own client
looks for it, in this process and its children.
"""

import os
from importlib.util import find_spec

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ...spaces.errors import InputError

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
DRIVER = "postgresql+psycopg2"  # explicit, because SQLAlchemy 2.1 changes the default
EXPECTED = "write postgresql://USER@HOST/DATABASE"
SCHEMA = "mlflow"  # of MLflow's tables: one of them has the same name as one of Optuna's


def checked_storage(text: str) -> str:
    """Return an address without its password, which is put into PGPASSWORD.

    Raises:
        InputError: it is not the address of a PostgreSQL database, or its driver is not installed.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # do not show the text: it may contain a password
        raise InputError(f"--storage: this is not a database address; {EXPECTED}") from error
    if url.drivername not in SCHEMES:
        why = (
            "only one loop at a time can write to a file"
            if url.drivername.startswith("sqlite")
            else "loops can share a study in PostgreSQL only"
        )
        raise InputError(f"--storage {url.drivername}://...: {why}; {EXPECTED}")
    plain = URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query)
    shown = str(plain)
    if not url.database:
        raise InputError(f"--storage {shown}: it names no database; {EXPECTED}")
    if "password" in url.query:
        raise InputError(f"--storage: put the password after the user or in PGPASSWORD, not after a '?'; {EXPECTED}")
    if find_spec("psycopg2") is None:
        raise InputError(f"--storage {shown}: needs the package psycopg2: pip install 'convsearch[postgres]'")
    if url.password is not None:
        os.environ["PGPASSWORD"] = str(url.password)
    return shown


def place(storage: str) -> str:
    """Return a readable name of a database and its host."""
    url = make_url(storage)
    host = url.host or os.environ.get("PGHOST") or "this machine"
    return f"database '{url.database}' on {host}" + (f":{url.port}" if url.port else "")


def optuna_url(storage: str) -> str:
    """Return the SQLAlchemy URL of Optuna's tables."""
    return make_url(storage).set(drivername=DRIVER).render_as_string()


def mlflow_url(storage: str) -> str:
    """Return the SQLAlchemy URL of MLflow's tables: the same database, but a separate schema."""
    url = make_url(storage).set(drivername=DRIVER)
    given = url.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), f"-csearch_path={SCHEMA}"])
    return url.update_query_dict({"options": options}).render_as_string()
