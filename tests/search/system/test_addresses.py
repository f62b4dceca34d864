"""Addresses: what is taken, what is refused, and that no password stays in what is shown or stored of them."""

import base64
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given as examples
from hypothesis import strategies
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine, make_url, text

from convsearch.search.system.addresses import (
    checked_storage,
    discreet,
    masked,
    mlflow_url,
    optuna_url,
    place,
    settle_tracking,
    sqlite_path,
    sqlite_url,
)
from convsearch.spaces.errors import InputError

USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "of somebody else")
    for name in ("MLFLOW_TRACKING_URI", USER, PASSWORD):
        monkeypatch.setenv(name, "")  # noted, so that it is as before afterwards
        monkeypatch.delenv(name)


def test_a_password_goes_where_postgresql_looks_for_it_and_nowhere_else() -> None:
    plain = checked_storage("postgresql://me:to%40day@db.example.org:5433/studies?sslmode=require")
    assert plain == "postgresql://me@db.example.org:5433/studies?sslmode=require"
    assert os.environ["PGPASSWORD"] == "to@day"
    assert place(plain) == "database 'studies' on db.example.org:5433"


def test_without_a_password_the_one_in_the_environment_stays() -> None:
    assert checked_storage("postgres://me@host/studies") == "postgresql://me@host/studies"
    assert os.environ["PGPASSWORD"] == "of somebody else"


def test_optuna_and_mlflow_have_a_schema_each_for_both_have_a_table_of_one_name() -> None:
    storage = checked_storage("postgresql://me@host/studies?sslmode=require&options=-cwork_mem%3D8MB")
    optuna, mlflow = make_url(optuna_url(storage)), make_url(mlflow_url(storage))
    assert (optuna.drivername, optuna.query["options"]) == ("postgresql+psycopg2", "-cwork_mem=8MB")
    assert mlflow.query == {"sslmode": "require", "options": "-cwork_mem=8MB -csearch_path=mlflow"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            "sqlite:///studies.db",
            "--storage sqlite://...: only one loop at a time can write to a file; write postgresql",
        ),
        ("mysql://me:secret@host/studies", "--storage mysql://...: loops can share a study in PostgreSQL only; write"),
        ("postgresql://me:secret@host", "--storage postgresql://me@host: it names no database; write postgresql://"),
        ("postgresql://me@host/x?password=secret", "put the password after the user or in PGPASSWORD"),
        (
            "postgresql://me:pa@secret@host/x",
            "--storage: it has more than one '@'; write those of a name or a password",
        ),
        ("postgresql://me:to@secret/x@host", "--storage: it has more than one '@'"),
        ("postgresql://me@host?password=secret", "put the password after the user or in PGPASSWORD"),
        ("postgresql://me@host/x?sslpassword=secret", "--storage: 'sslpassword' cannot follow the '?': it would be"),
        ("postgresql://me@host?sslmode=require&token=secret", "--storage: 'token' cannot follow the '?'"),
        ("me:secret@host", "--storage: this is not a database address; write postgresql://USER@HOST/DATABASE"),
        ("postgresql://me:secret@host:port/x", "--storage: this is not a database address"),
    ],
)
def test_another_address_is_refused_with_what_is_right_and_without_the_password(given: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        checked_storage(given)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)


# ---------------------------------------------------------------------- shown without secrets


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://me:secret@host:5000/path", "http://host:5000/path"),
        ("https://secret@host", "https://host"),
        ("HTTP://me:a@b:c@host", "HTTP://host"),
        ("http://me:se/cr?et#@host:1/x", "http://host:1/x"),
        ("http://host?token=secret&mode=ro", "http://host?token=***&mode=ro"),
        ("http://host/?c2VjcmV0==", "http://host/?***"),
        ("http://host/#token=secret", "http://host/#***"),
        ("http://host/#/experiments/1/runs/2", "http://host/#/experiments/1/runs/2"),
        ("postgresql://me:secret@host/x?sslmode=require", "postgresql://me:***@host/x?sslmode=require"),
        ("postgresql+psycopg2://me:a@b/c@host/x", "postgresql+psycopg2://me:***@host/x"),
        ("mysql://me@host/x?password=secret;ssl_key=secret", "mysql://me@host/x?password=***;ssl_key=***"),
        ("postgresql://me@host:5433/x", "postgresql://me@host:5433/x"),
        ("sqlite:////data/me@work/a#b/mlflow.db", "sqlite:////data/me@work/a#b/mlflow.db"),
        ("me:secret@host:6379", "host:6379"),
        ("me:sec/secret@host:6379", "host:6379"),
        ("MLflow at http://me:secret@a: refused; http://b", "MLflow at http://a: refused; http://b"),
        ("no address at all, me@work: 1/2", "no address at all, me@work: 1/2"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(given: str, shown: str) -> None:
    assert masked(given) == shown


PIECES = strategies.sampled_from(
    ["http", "postgresql", "sqlite", "://", ":", "@", "/", "?", "&", "=", "#", "host", "***"]
)
TEXTS = strategies.lists(PIECES | strategies.text(max_size=3), max_size=20).map("".join)


@examples(TEXTS)
def test_any_text_can_be_masked_and_what_is_masked_stays_as_it_is(anything: str) -> None:
    assert masked(masked(anything)) == masked(anything)


@examples(
    strategies.sampled_from(["http", "https", "postgresql", "postgresql+psycopg2", "mysql", "ray"]),
    strategies.text(strategies.characters(exclude_categories=["Z", "C"]), max_size=5),
    strategies.sampled_from(["", "a", "?", "#", "/", "@", ":", "&", "="]),
    TEXTS.filter(lambda text: not any(letter.isspace() for letter in text)),
)
def test_no_secret_in_a_password_is_shown_whatever_is_around_it(scheme: str, user: str, odd: str, around: str) -> None:
    assert "SECRET" not in masked(f"at {scheme}://{user}:{odd}SECRET{odd}{around}@host/place?x={odd}")
    assert "SECRET" not in masked(f"at {scheme}://host/place?token=SECRET{odd.strip('&#')}")


def test_a_secret_of_the_environment_is_found_in_any_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:to%20day@host/x?sslpassword=other")
    monkeypatch.setenv(PASSWORD, "12")
    told = discreet("password 'to day' of me, to%20day, of somebody else, other: 12 of 12")
    assert told == "password '***' of me, ***, ***, ***: 12 of 12"  # two characters are in too many words


# ---------------------------------------------------------------------- MLflow's server


@pytest.mark.parametrize(
    ("given", "settled", "user", "password"),
    [
        ("http://me:to%40day@host:5000/x", "http://host:5000/x", "me", "to@day"),
        ("https://me:a@b:c@host?x=@", "https://host?x=@", "me", "a@b:c"),
        ("http://token@host", "http://host", "token", None),
        ("http://host", "http://host", None, None),
        ("postgresql://me:secret@host/x", "postgresql://me:secret@host/x", None, None),
    ],
)
def test_user_and_password_of_a_server_go_where_mlflow_looks_for_them(
    given: str, settled: str, user: str | None, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    for _ in range(2):  # a process that another one has started does it again
        settle_tracking()
        found = tuple(map(os.environ.get, ("MLFLOW_TRACKING_URI", USER, PASSWORD)))
        assert found == (settled, user, password)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        (USER, "http://me:secret@host", "MLFLOW_TRACKING_URI and MLFLOW_TRACKING_USERNAME differ; unset"),
        (PASSWORD, "http://other:secret@host", "MLFLOW_TRACKING_URI and MLFLOW_TRACKING_PASSWORD differ; unset"),
        (
            USER,
            "http://:secret@host",
            "MLFLOW_TRACKING_URI: a password without a user; write http://USER:PASSWORD@host",
        ),
    ],
)
def test_two_users_or_passwords_are_refused_without_being_told(
    name: str, given: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    monkeypatch.setenv(name, "other")
    with pytest.raises(InputError) as refused:
        settle_tracking()
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "other" not in str(refused.value)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str | None]]]:
    """The address of a server, and who has asked it."""
    who: list[str | None] = []

    class Asked(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            who.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", who
        finally:
            server.shutdown()
            thread.join()


def test_the_server_is_told_user_and_password_as_before(
    asked: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, who = asked
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:to%40day@{place}")
    settle_tracking()
    MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).search_experiments()
    assert set(who) == {f"Basic {base64.b64encode(b'me:to@day').decode()}"}


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "name", ["a?b", "a?mode=ro", "a%20b", "100%", "a#b", "a b", "it's", 'a"b', "äöü", "a@b:c", "a\nb", "a\\b", "+;&"]
)
def test_the_address_of_a_file_opens_exactly_that_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    assert sqlite_path(sqlite_url(file)) == file
    engine = create_engine(sqlite_url(file))
    with engine.begin() as connection:
        connection.execute(text("create table here (x int)"))
    engine.dispose()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("select name from sqlite_master").fetchall() == [("here",)]
    assert [found.relative_to(tmp_path) for found in tmp_path.rglob("*.db")] == [Path(name) / "mlflow.db"]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+pysqlite:///{}",
        "sqlite:///file:{}?uri=true",
        "sqlite:///file:{}?cache=shared&mode=rwc&uri=1",
        "sqlite:///file://{}?uri=true",
        "sqlite:///file://localhost{}?uri=true",
        "sqlite:///{}?uri=true",
        "sqlite:///file:a%2520file.db?uri=true",
        "sqlite:///file:a%20file.db",  # without `uri=true` it is the name of a file
        "sqlite:///a%20file.db?timeout=5",
    ],
)
def test_the_file_of_an_address_is_the_one_that_is_opened(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = url.format(tmp_path / "mlflow.db")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("create table here (x int)"))
    engine.dispose()
    (file,) = tmp_path.iterdir()
    found = sqlite_path(url)
    assert found is not None
    assert found.samefile(file)


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:any?mode=memory&cache=shared&uri=true",
        "sqlite+none:///any",
        "sqlite",
        "sqlite:x",
        "",
    ],
)
def test_an_address_that_names_no_file_has_no_path(url: str) -> None:
    assert sqlite_path(url) is None


def test_a_programs_last_traceback_has_no_secrets() -> None:
    code = "from convsearch.search.system.addresses import *; hide_secrets_in_tracebacks(); raise ValueError(WORDS)"
    code = code.replace("WORDS", "'at http://me:hidden-word@host and hidden-word alone'")
    told = os.environ | {"MLFLOW_TRACKING_PASSWORD": "hidden-word"}
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env=told, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: at http://host and *** alone"
    assert "hidden-word" not in done.stderr
