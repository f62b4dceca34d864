"""Addresses of databases and servers: taken apart, made from paths, and shown without their secrets.

`--storage` is the PostgreSQL database in which several loops share a study. It is stored and shown without a password:
a given one goes into PGPASSWORD, where PostgreSQL's own client looks for it, in this process and its children.
MLFLOW_TRACKING_URI is the user's own store of runs. Whatever is printed, logged or stored of either goes through
`masked` or `discreet`.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, unquote

from ...spaces.errors import InputError

# SQLAlchemy is imported where it is needed: every command comes by here.

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
DRIVER = "postgresql+psycopg2"  # explicit, because SQLAlchemy 2.1 changes the default
EXPECTED = "write postgresql://USER@HOST/DATABASE"
SCHEMA = "mlflow"  # of MLflow's tables: one of them has the same name as one of Optuna's

TRACKING = "MLFLOW_TRACKING_URI"
USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
SECRETS = ("PGPASSWORD", PASSWORD, TOKEN)
REGISTRY = "MLFLOW_REGISTRY_URI"
ADDRESSES = (TRACKING, REGISTRY)
SHORTEST = 4  # characters of a secret that is looked for in any text: shorter ones are parts of ordinary words
MASK = "***"
# What may follow a '?': these are no secrets.
HARMLESS = re.compile(
    "host|hostaddr|port|sslmode|sslrootcert|sslcert|sslkey|sslcrl|gssencmode|channel_binding|options|charset|"
    "application_name|fallback_application_name|client_encoding|target_session_attrs|connect_timeout|"
    "keepalives(_idle|_interval|_count)?|tcp_user_timeout|mode|cache|uri|timeout",
    re.IGNORECASE,
)
DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle")  # their user names are shown
FILES = ("sqlite", "file")
ADDRESS = re.compile(r"(?P<scheme>[A-Za-z0-9+.-]*)://(?P<rest>\S*)")
WITHOUT_SCHEME = re.compile(r"\A[^\s/@:]+:(?!/)\S*@")  # user:password@ before HOST:PORT
PAGE = re.compile(r"/[\w/.-]*")  # the part of an address after '#', if it names a page
FILE_URI = re.compile(r"file:(?://(?:localhost)?(?=/))?(?P<path>[^?#]*)(?P<more>.*)", re.DOTALL)
IN_MEMORY = re.compile(r"[?&]mode=memory(&|$)")
UNCARRIED = re.compile(r"[%?\x00-\x1f\x7f]")  # what would mean something else in the address of a file


# ---------------------------------------------------------------------- shown


def masked(text: str) -> str:
    """Return a text in which all addresses are without their secrets; any text may be given.

    A server's address loses all that is before the '@', a database's only the password. What follows a '?' is kept only
    if its name is known to be harmless.
    """
    return WITHOUT_SCHEME.sub("", ADDRESS.sub(_masked_address, text))


def discreet(text: str) -> str:
    """Return a masked text in which the secrets of this process's environment are replaced as well.

    An error may quote a password on its own, or an address without its beginning.
    """
    known = sorted(set(_known_secrets()), key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, MASK)
    return masked(text)


def hide_secrets_in_tracebacks() -> None:
    """Have this program's last traceback, which goes into a log, without the secrets of its environment."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(discreet("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show


def _masked_address(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    kind = scheme.lower().partition("+")[0]
    file = kind in FILES and rest.startswith("/")
    user = ""
    if not file:
        # The last '@' of all, wherever it is: a password may contain what would end an authority.
        before, at, rest = rest.rpartition("@")
        if at and kind in DATABASES:
            name = re.split(r"[:/?#@]", before, maxsplit=1)[0]
            user = (name if name == before else f"{name}:{MASK}") + at if before else ""
    body, mark, fragment = (rest, "", "") if file else rest.partition("#")
    if fragment and not PAGE.fullmatch(fragment):
        fragment = MASK
    path, question, query = body.partition("?")
    shown = "".join(part if part in "&;" else _masked_pair(part) for part in re.split("([&;])", query))
    return f"{scheme}://{user}{path}{question}{shown}{mark}{fragment}"


def _masked_pair(pair: str) -> str:
    key, _, value = pair.partition("=")
    if HARMLESS.fullmatch(key):
        return pair
    return f"{key}={MASK}" if value.strip("=") else MASK  # a token may end with '='


def _known_secrets() -> Iterator[str]:
    """Yield the secrets of the environment, as they are and as they are written in addresses."""
    given = [os.environ.get(name, "") for name in SECRETS]
    given += [secret for name in ADDRESSES for secret in _secrets_of(os.environ.get(name, ""))]
    for secret in given:
        for form in (secret, unquote(secret), quote(secret), quote(secret, safe="")):
            if len(form) >= SHORTEST and form.strip("*"):
                yield form


def _secrets_of(address: str) -> Iterator[str]:
    """Yield the secrets in one address: its password, or a token in its place, and values after the '?'."""
    scheme, separated, rest = address.rpartition("://")
    if scheme.partition("+")[0].lower() in FILES:
        return
    if not separated and "/" in rest.partition("@")[0] and not WITHOUT_SCHEME.match(rest):  # a path
        return
    before, at, after = rest.rpartition("@")
    user, colon, password = before.partition(":")
    if at:
        yield password if colon else ("" if scheme.partition("+")[0] in DATABASES else user)
    for pair in re.split("[&;#]", after.partition("?")[2]):
        key, _, value = pair.partition("=")
        if not HARMLESS.fullmatch(key):
            yield value or key


# ---------------------------------------------------------------------- MLflow's server


def settle_tracking() -> None:
    """Move user and password out of a server's address in MLFLOW_TRACKING_URI to where MLflow also looks for them.

    MLflow prints the address, and stores it; it does neither with MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD. A database's address stays as it is: there is no other place for its password.

    Raises:
        InputError: other ones are set there already, or there is a password without a user.
    """
    scheme, separated, rest = os.environ.get(TRACKING, "").partition("://")
    if not separated or scheme.lower() not in ("http", "https"):
        return
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    before, at, host = authority.rpartition("@")
    if not at:
        return
    user, colon, password = before.partition(":")
    if not user and password:
        raise InputError(f"{TRACKING}: a password without a user; write {scheme}://USER:PASSWORD@{host}")
    for name, value in ((USER, unquote(user)), *([(PASSWORD, unquote(password))] if colon else [])):
        if os.environ.get(name, value) != value:
            raise InputError(f"{TRACKING} and {name} differ; unset {name}, or write {scheme}://{host} without a user")
        if value:
            os.environ[name] = value
    os.environ[TRACKING] = f"{scheme}://{host}{rest[len(authority) :]}"


# ---------------------------------------------------------------------- files


def sqlite_url(path: Path) -> str:
    """Return the address of an SQLite file by which SQLAlchemy, and so MLflow and Optuna, opens exactly that file."""
    return "sqlite:///" + UNCARRIED.sub(lambda found: quote(found[0]), str(path))


def sqlite_path(url: str) -> Path | None:
    """Return the file that SQLAlchemy opens for an address, in whatever way it is written; None if it names none."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not url.startswith("sqlite"):
        return None
    try:
        address = make_url(url)
        (file,), settings = address.get_dialect()().create_connect_args(address)
    except (ArgumentError, ValueError):
        return None
    if settings.get("uri") and (found := FILE_URI.fullmatch(file)) is not None:  # SQLite takes it apart itself
        file = "" if IN_MEMORY.search(found["more"]) else unquote(found["path"])
    return Path(file) if file and file != ":memory:" else None


def artifact_place(folder: Path) -> str:
    """Return the location of artifacts by which MLflow finds exactly that folder, which is absolute."""
    return folder.as_uri() if re.search("[%?#]", str(folder)) else str(folder)


# ---------------------------------------------------------------------- a shared study's database


def checked_storage(text: str) -> str:
    """Return an address without its password, which is put into PGPASSWORD.

    Raises:
        InputError: it is not the address of a PostgreSQL database, it has a secret where it would be shown, or its
            driver is not installed.
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

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
    if text.count("@") > 1:
        raise InputError("--storage: it has more than one '@'; write those of a name or a password as %40")
    if "password" in url.query:
        raise InputError(f"--storage: put the password after the user or in PGPASSWORD, not after a '?'; {EXPECTED}")
    if unknown := [key for key in url.query if not HARMLESS.fullmatch(key)]:
        raise InputError(f"--storage: '{unknown[0]}' cannot follow the '?': it would be stored and shown; {EXPECTED}")
    shown = str(URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query))
    if not url.database:
        raise InputError(f"--storage {shown}: it names no database; {EXPECTED}")
    if find_spec("psycopg2") is None:
        raise InputError(f"--storage {shown}: needs the package psycopg2: pip install 'convsearch[postgres]'")
    if url.password is not None:
        os.environ["PGPASSWORD"] = str(url.password)
    return shown


def place(storage: str) -> str:
    """Return a readable name of a database and its host."""
    from sqlalchemy import make_url

    url = make_url(storage)
    host = url.host or os.environ.get("PGHOST") or "this machine"
    return f"database '{url.database}' on {host}" + (f":{url.port}" if url.port else "")


def optuna_url(storage: str) -> str:
    """Return the SQLAlchemy URL of Optuna's tables."""
    from sqlalchemy import make_url

    return make_url(storage).set(drivername=DRIVER).render_as_string()


def mlflow_url(storage: str) -> str:
    """Return the SQLAlchemy URL of MLflow's tables: the same database, but a separate schema."""
    from sqlalchemy import make_url

    url = make_url(storage).set(drivername=DRIVER)
    given = url.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), f"-csearch_path={SCHEMA}"])
    return url.update_query_dict({"options": options}).render_as_string()
