"""Whether MLflow's store can be reached, found out before any work is done: wrong addresses, damage, passwords."""

import base64
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from half_written import half_written
from http_server import serving

from benchmarks.ports import free_port
from convsearch.search.delivery.reach import ALLOW_FOLDER, PATIENCE, REGISTRIES, STORES, reach, require_reachable
from convsearch.search.study.home import Home
from convsearch.search.system.addresses import PASSWORD, REGISTRY, TOKEN, TRACKING, USER, discreet
from convsearch.spaces.errors import InputError

TABLE = "CREATE TABLE runs (id TEXT)"
ALLOWED = {"Basic " + base64.b64encode(b"me:secret").decode(), "Bearer a token"}


@pytest.fixture(autouse=True)
def no_settings_of_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TRACKING, REGISTRY, USER, PASSWORD, TOKEN, ALLOW_FOLDER):
        monkeypatch.delenv(name, raising=False)


class Answer(BaseHTTPRequestHandler):
    """A server that is well under `/`, broken under `/broken`, and under `/closed` well to those it knows."""

    def do_GET(self) -> None:
        status = 200 if self.path.endswith("/health") or "/api/2.0/mlflow/" in self.path else 404
        if self.path.startswith("/closed/api") and self.headers["Authorization"] not in ALLOWED:
            status = 401
        self.send_response(500 if self.path.startswith("/broken") else status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(Answer) as found:
        yield found


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://127.0.0.1:{}", "http://127.0.0.1:{}"),
        ("http://127.0.0.1:{}/under?token=secret", "http://127.0.0.1:{}/under?token=***"),
        ("postgresql://me:secret@127.0.0.1:{}/runs", "postgresql://me:***@127.0.0.1:{}/runs"),
        ("mysql+pymysql://me:secret@127.0.0.1:{}/runs", "mysql+pymysql://me:***@127.0.0.1:{}/runs"),
    ],
)
def test_an_address_at_which_nothing_answers_is_the_users_mistake(
    uri: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv(TRACKING, uri.format(port))
    with pytest.raises(InputError) as refused:
        require_reachable(Home(tmp_path))
    assert str(refused.value) == (
        f"MLflow at {shown.format(port)} cannot be reached: Connection refused; "
        "check that server, or unset MLFLOW_TRACKING_URI to store runs in the home"
    )


def test_a_server_that_accepts_and_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(TRACKING, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(InputError, match="cannot be reached: timed out"):
            require_reachable(Home(tmp_path), patience=0.1)


def test_a_database_whose_driver_is_missing_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        monkeypatch.setenv(TRACKING, f"postgresql+pg8000://127.0.0.1:{there.getsockname()[1]}/runs")
        with pytest.raises(InputError, match="its driver cannot be imported: No module named 'pg8000'"):
            require_reachable(Home(tmp_path))


def test_a_server_is_reached_if_it_answers_and_is_not_broken(address: str) -> None:
    assert reach(address, PATIENCE) == (True, "answers")
    assert reach(f"{address}/elsewhere/", PATIENCE) == (True, "answers")
    assert reach(f"{address}/broken", PATIENCE) == (False, "answers with status 500")


@pytest.mark.parametrize(
    ("variables", "reached"),
    [
        ({USER: "me", PASSWORD: "secret"}, True),
        ({USER: "me", PASSWORD: "another"}, False),
        ({TOKEN: "a token"}, True),
        ({TOKEN: "another"}, False),
        ({}, True),  # there may be other ways to authorize oneself, which MLflow knows
    ],
)
def test_wrong_credentials_are_found_too(
    address: str, variables: dict[str, str], reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found, said = reach(f"{address}/closed", PATIENCE)
    assert found is reached
    if not reached:
        assert said == f"it refuses {USER} and {PASSWORD}, or {TOKEN}"


def test_a_token_with_a_line_feed_is_refused_without_being_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "secret\n")
    found, said = reach(address, PATIENCE)
    assert found is False
    assert f"{TOKEN} has characters that cannot be sent" in said
    assert "secret" not in said


@pytest.mark.parametrize("uri", ["sqlite://", "SQLITE:////runs.db", "sqlite:///file:any?mode=memory&uri=true"])
def test_an_address_of_sqlite_that_names_no_file_is_refused(uri: str) -> None:
    assert reach(uri, PATIENCE) == (False, "it names no file: write sqlite:////FOLDER/mlflow.db")


ABSOLUTE = Path("runs").absolute()


@pytest.mark.parametrize(
    "uri",
    ["./mlruns", "mlruns", str(ABSOLUTE), ABSOLUTE.as_uri(), "FILE:runs", "file:runs", "127.0.0.1:5000", "C:runs"],
    ids=range(8),
)
def test_a_folder_is_refused_with_what_to_write_unless_mlflow_is_told_to_take_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACKING, uri)
    for refusing in (None, "false", "0", "False"):
        if refusing is not None:
            monkeypatch.setenv(ALLOW_FOLDER, refusing)
        with pytest.raises(InputError) as refused:
            require_reachable(Home(tmp_path))
        assert str(refused.value) == (
            f"MLflow at {uri} cannot be reached: it names a folder, and MLflow no longer stores runs in one: write "
            "sqlite:////FOLDER/mlflow.db, or http://HOST:PORT for a server; or set MLFLOW_ALLOW_FILE_STORE=true; "
            "check that server, or unset MLFLOW_TRACKING_URI to store runs in the home"
        )
    for taken in ("true", "True", "1"):
        monkeypatch.setenv(ALLOW_FOLDER, taken)
        require_reachable(Home(tmp_path))


@pytest.mark.parametrize("value", ["yes", "", "on"])
def test_a_value_that_mlflow_does_not_take_for_allowing_a_folder_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOW_FOLDER, value)
    expected = f"MLFLOW_ALLOW_FILE_STORE is '{value}', and MLflow takes only true or false"
    assert reach("./mlruns", PATIENCE) == (False, expected)


@pytest.mark.parametrize("value", ["true", "TRUE", "1", "false", "0", "yes", "", None])
def test_mlflow_itself_has_the_same_rule_for_folders(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    if value is not None:
        monkeypatch.setenv(ALLOW_FOLDER, value)
    found, _ = reach(str(tmp_path / "runs"), PATIENCE)
    try:
        MlflowClient(str(tmp_path / "runs")).search_experiments()
        taken = True
    except (MlflowException, ValueError):
        taken = False
    assert (found is not False) == taken


@pytest.mark.parametrize("uri", ["databricks", "databricks-uc", "uc", "databricks://profile"])
def test_what_only_mlflow_can_tell_is_left_to_it(uri: str) -> None:
    assert reach(uri, PATIENCE) == (None, "not tried")


WRONG = [
    ("postgres://me:secret@host/runs", "postgres://me:***@host/runs", "did you mean 'postgresql://'?"),
    ("htp://me:secret@host:5000", "htp://host:5000", "did you mean 'http://'?"),
    ("http+x://me:secret@host", "http+x://host", "did you mean 'http://'?"),
    ("ftp://host", "ftp://host", "Known: http://, https://, postgresql://, mysql://, mssql://, sqlite://"),
    ("me:secret@host:5000", "host:5000", "an address begins with its scheme: write http://host:5000"),
    ("me:sec/secret@host:5000", "host:5000", "an address begins with its scheme: write http://host:5000"),
]


@pytest.mark.parametrize("variable", [TRACKING, REGISTRY])
@pytest.mark.parametrize(("uri", "shown", "right"), WRONG)
def test_an_address_for_which_mlflow_has_no_store_is_refused_with_what_to_write(
    variable: str, uri: str, shown: str, right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, uri)
    with pytest.raises(InputError) as refused:
        require_reachable(Home(tmp_path))
    said = str(refused.value)
    assert f" at {shown} cannot be reached: " in said
    assert right in said
    assert variable in said
    assert "secret" not in discreet(said) + said


@pytest.mark.parametrize(
    "uri",
    [*(uri for uri, _, _ in WRONG), "bird://x", "databricks", "databricks://me", "uc:http://x", "http://127.0.0.1:9"],
)
def test_mlflow_itself_has_a_store_for_what_is_not_refused(uri: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking._model_registry.utils import _get_store_registry
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    for group, registry in ((STORES, _tracking_store_registry), (REGISTRIES, _get_store_registry())):
        try:
            registry.get_store_builder(uri)
            taken = True
        except MlflowException:
            taken = False
        assert taken == ("scheme" not in (said := reach(uri, 0.1, group)[1]) and "no store" not in said)


@pytest.mark.parametrize(("group", "variable"), [(STORES, TRACKING), (REGISTRIES, REGISTRY)])
def test_a_store_that_a_package_adds_to_mlflow_is_left_to_it(
    group: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "bird://wren")
    with pytest.raises(InputError, match="MLflow has no store for bird://"):
        require_reachable(Home(tmp_path))
    package = tmp_path / "packages" / "birds-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: birds\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[{group}]\nbird = birds:Store\n")
    monkeypatch.syspath_prepend(str(package.parent))
    require_reachable(Home(tmp_path))


@pytest.mark.parametrize("uri", ["localhost:5000", "mlflow.example.com:5000/proxy"])
def test_a_host_and_a_port_without_a_scheme_are_refused_with_what_to_write(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACKING, uri)
    with pytest.raises(InputError, match=f"write http://{uri}"):
        require_reachable(Home(tmp_path))


def test_a_registry_that_cannot_be_reached_is_found_as_soon_as_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REGISTRY, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InputError, match=f"{REGISTRY}: MLflow's registry at .* cannot be reached"):
        require_reachable(Home(tmp_path))


def test_a_damaged_file_of_the_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database, " * 100)
    with pytest.raises(InputError) as refused:
        require_reachable(Home(tmp_path))
    assert str(refused.value) == (
        f"MLflow at sqlite:///{tmp_path}/mlflow.db cannot be reached: file is not a database; "
        "move that file away; the next run creates a new one"
    )


def test_a_link_to_a_store_that_is_not_there_is_named_with_its_target_and_stays(tmp_path: Path) -> None:
    file, target = tmp_path / "mlflow.db", tmp_path / "disk" / "runs.db"
    file.symlink_to(Path("disk", "runs.db"))
    with pytest.raises(InputError) as refused:
        require_reachable(Home(tmp_path))
    assert str(refused.value) == (
        f"MLflow at sqlite:///{file} cannot be reached: it is a link to {target}, which is not there; "
        "move that file away; the next run creates a new one"
    )
    assert file.is_symlink()
    target.parent.mkdir()
    with closing(sqlite3.connect(target)) as made:
        made.execute(TABLE)
    require_reachable(Home(tmp_path))


def test_a_home_whose_own_file_is_damaged_is_told_so_where_its_address_is_configured_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_text("no database, " * 100)
    monkeypatch.setenv(TRACKING, f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(InputError, match="move that file away; the next run creates a new one"):
        require_reachable(Home(tmp_path))


def test_a_file_that_is_not_there_yet_that_is_new_or_that_is_locked_is_no_fault(tmp_path: Path) -> None:
    home, file = Home(tmp_path), tmp_path / "mlflow.db"
    require_reachable(home)
    assert not file.exists()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE alembic_version (number TEXT)")  # MLflow is about to make the others
        require_reachable(home)
        other.execute(TABLE)
        require_reachable(home)
        other.execute("BEGIN EXCLUSIVE")
        require_reachable(home, patience=0)


def test_a_file_that_a_kill_has_left_half_written_is_no_fault(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as made:
        made.execute(TABLE)
    half_written(tmp_path / "mlflow.db")
    require_reachable(Home(tmp_path))
    assert reach(f"sqlite:///{tmp_path / 'mlflow.db'}", PATIENCE) == (True, "0 runs")
