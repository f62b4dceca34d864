"""A whole study with an MLflow server whose address has a password in it: it is nowhere afterwards."""

import base64
import json
import os
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow_server import Server
from terminal import convsearch, typed
from test_delivery import delivered, without_trials

from convsearch.search.delivery.outbox import Outbox
from convsearch.search.report.study import next_commands
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.spaces.errors import WorkError

SECRET = "to@the secret/word"
FORMS = (
    b"secret/word",
    b"secret%2Fword",
    quote(SECRET).encode(),
    *(base64.b64encode(f"{before}{SECRET}".encode())[4:-4] for before in ("", "me:")),
)


def require_none_in(name: object, content: bytes) -> None:
    assert [form for form in FORMS if form in content] == [], name


def test_a_password_in_the_address_of_a_server_is_in_nothing_that_is_said_or_stored(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.address.replace("//", f"//me:{quote(SECRET, safe='')}@")
    home = tmp_path / "home"
    words = ("--study", "mine", "--space", "tiny", "--epochs", 1, "--trials", 2, "--workers", 1, "--repeats", 0)
    ran = convsearch("run", "--home", home, *words, MLFLOW_TRACKING_URI=uri)
    assert ran.returncode == 0, ran.stderr
    assert f"\n  open {server.address} in a browser\n" in ran.stdout
    assert len(delivered(server.store, "mine")) == 2
    assert json.loads((home / "mine" / "result.json").read_text())["mlflow"] == server.address
    for verb in (["show", "mine"], ["show", "mine", "--json"], ["studies"], ["doctor"], ["doctor", "--json"]):
        done = typed(*verb, "--home", home, MLFLOW_TRACKING_URI=uri, KERAS_BACKEND="none")
        require_none_in(verb, (done.stdout + done.stderr).encode())
    require_none_in("run", (ran.stdout + ran.stderr).encode())
    for place in (home, Path(server.store.removeprefix("sqlite:///")).parent):
        for file in place.rglob("*"):
            if file.is_file():
                require_none_in(file, file.read_bytes())
    # An earlier version stored the address as it was.
    folder = StudyFolder(home / "mine")
    folder.result_file.write_text(folder.result_file.read_text().replace(server.address, uri))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    said = "\n".join(next_commands(Home(home), folder))
    assert f"open {server.address} in a browser" in said
    require_none_in("next", said.encode())


@pytest.mark.parametrize("address", ["http://me:{}@127.0.0.1:9", "http://127.0.0.1:9?token={}"])
def test_a_password_in_the_address_of_a_server_that_cannot_be_reached_is_not_told(address: str, tmp_path: Path) -> None:
    uri = address.format(quote(SECRET, safe=""))
    done = convsearch("run", "--home", tmp_path, "--trials", 1, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 2, done.stderr
    assert "MLflow at http://127.0.0.1:9" in done.stderr
    require_none_in(address, (done.stdout + done.stderr).encode())


def test_a_delivery_does_not_tell_the_password_of_a_server_that_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:9?token={quote(SECRET, safe='')}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = without_trials(tmp_path, "mine")
    with closing(Outbox(folder)) as outbox, pytest.raises(WorkError) as refused:
        outbox.wait_until_ready()
    require_none_in("message", str(refused.value).encode())
    for file in tmp_path.rglob("*"):
        if file.is_file():
            require_none_in(file, file.read_bytes())


def test_two_passwords_for_a_server_are_the_users_mistake(tmp_path: Path) -> None:
    settings = {"MLFLOW_TRACKING_URI": "http://me:secret@127.0.0.1:9", "MLFLOW_TRACKING_PASSWORD": "another"}
    done = typed("doctor", "--home", tmp_path, **settings)
    assert done.returncode == 2
    assert done.stderr.startswith("convsearch: MLFLOW_TRACKING_URI and MLFLOW_TRACKING_PASSWORD differ; unset ")
    assert "secret" not in done.stderr
    assert "MLFLOW_TRACKING_USERNAME" not in os.environ
