"""The address of a shared study's database: what is taken, what is refused, and that no password stays in it."""

import os

import pytest
from sqlalchemy import make_url

from convsearch.search.system.addresses import checked_storage, mlflow_url, optuna_url, place
from convsearch.spaces.errors import InputError


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "of somebody else")


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
        ("me:secret@host", "--storage: this is not a database address; write postgresql://USER@HOST/DATABASE"),
        ("postgresql://me:secret@host:port/x", "--storage: this is not a database address"),
    ],
)
def test_another_address_is_refused_with_what_is_right_and_without_the_password(given: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        checked_storage(given)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
