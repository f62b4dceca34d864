"""`convsearch doctor`: what it finds on this machine, what it says of what is missing or broken, and its exit code."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from platform import python_version
from typing import Any

import psutil
import pytest
from http_server import serving
from terminal import PATIENCE, begun, convsearch, typed, wait_until

from convsearch.search.executors.shares import shares
from convsearch.search.system.machine import this_machine

TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}


def found_by(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The one document that is all of standard output."""
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1)
    assert found["ok"] == (not found["faults"])
    return found


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What there is where everything works."""
    home = tmp_path_factory.mktemp("place") / "home"
    done = convsearch("doctor", "--json", "--home", home, **TENSORFLOW)
    assert done.stderr == ""
    assert not home.exists()
    return found_by(done) | {"asked for": str(home)}


# ---------------------------------------------------------------------- facts


def test_versions_are_those_that_are_installed_and_fit(healthy: dict[str, Any]) -> None:
    assert healthy["python"] == python_version()
    there = {one["name"]: one["version"] for one in healthy["packages"]}
    for name in ("convsearch", "keras", "tensorflow", "keras-tuner", "optuna", "mlflow", "streamlit", "numpy"):
        assert there[name] == version(name)
    assert all(one["fits"] for one in healthy["packages"])


def test_backends_are_named_with_the_one_that_is_chosen(healthy: dict[str, Any]) -> None:
    backends = {one["name"]: one for one in healthy["backends"]}
    assert list(backends) == ["tensorflow", "jax", "torch"]
    assert backends["tensorflow"]["chosen_by"] == "KERAS_BACKEND=tensorflow"
    for name, one in backends.items():
        assert (one["version"] is not None) == (find_spec(name) is not None)
        assert name == "tensorflow" or one["chosen_by"] is None


def test_cores_memory_and_workers_are_those_that_a_search_would_use(healthy: dict[str, Any]) -> None:
    machine = this_machine()
    assert healthy["cores"]["usable"] == len(machine.cores)
    assert healthy["cores"]["total"] == os.cpu_count()
    assert healthy["cores"]["memory"] == machine.memory
    assert [gpu["index"] for gpu in healthy["gpus"]] == [gpu.index for gpu in machine.gpus]
    assert [(worker["cores"], worker["memory"], worker["gpu"]) for worker in healthy["workers"]] == [
        (len(share.cores), share.memory, share.gpu) for share in shares(machine)
    ]


def test_an_optional_part_is_there_or_named_with_the_command_that_installs_it(healthy: dict[str, Any]) -> None:
    extras = {one["name"]: one for one in healthy["extras"]}
    for name, module in (("gp", "torch"), ("ray", "ray"), ("postgres", "psycopg2")):
        assert (extras[name]["version"] is not None) == (find_spec(module) is not None)
        assert extras[name]["command"] == f"pip install 'convsearch[{name}]'"
        assert extras[name]["purpose"]


def test_a_home_that_is_not_there_is_not_made(healthy: dict[str, Any]) -> None:
    home = healthy["home"]
    assert (home["path"], home["exists"], home["writable"]) == (healthy["asked for"], False, True)
    assert home["free"] > 0
    assert healthy["mlflow"]["uri"] == f"sqlite:///{healthy['asked for']}/mlflow.db"
    assert healthy["mlflow"]["reachable"] is None


def test_each_device_has_trained_a_network_in_each_precision(healthy: dict[str, Any]) -> None:
    devices = ["cores", *(f"GPU {gpu.index}" for gpu in this_machine().gpus)]
    assert [(one["device"], one["precision"]) for one in healthy["trials"]] == [
        (device, precision) for device in devices for precision in ("float32", "mixed_bfloat16")
    ]
    for one in healthy["trials"]:
        assert one["reason"] is None
        assert 0 < one["seconds"] < PATIENCE


# ---------------------------------------------------------------------- for people


def test_people_read_tables_and_what_works(tmp_path: Path) -> None:
    done = typed("doctor", "--home", tmp_path, **TENSORFLOW)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for title in ("versions", "backends", "devices", "optional", "--workers auto", "places", "tiny trials"):
        assert title in lines
    assert f"keras {version('keras')}" in lines
    assert f"tensorflow {version('tensorflow')} chosen by KERAS_BACKEND=tensorflow" in lines
    assert any(line.startswith("cores float32 ok, ") for line in lines)
    for extra, module in (("gp", "torch"), ("ray", "ray"), ("postgres", "psycopg2")):
        (line,) = (line for line in lines if line.startswith(f"{extra} "))
        assert line.endswith(f"pip install 'convsearch[{extra}]' installs it") == (find_spec(module) is None)
    assert lines[-1] == "nothing is broken"


# ---------------------------------------------------------------------- what is broken


def test_a_backend_that_is_not_installed_is_named_with_what_installs_it(tmp_path: Path) -> None:
    missing = next((name for name in ("jax", "torch") if find_spec(name) is None), None)
    if missing is None:
        pytest.skip("all backends are installed")
    done = typed("doctor", "--home", tmp_path, KERAS_BACKEND=missing)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "none: fix what is broken first" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"broken: KERAS_BACKEND={missing}, but {missing} is not installed; to do: pip install ")
    assert missing in last.partition("pip install")[2]


def test_a_backend_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    found = found_by(typed("doctor", "--json", "--home", tmp_path, KERAS_BACKEND="theano"))
    assert [one["name"] for one in found["backends"] if one["chosen_by"]] == ["theano"]
    assert found["trials"] == []
    (fault,) = found["faults"]
    assert "'theano'" in fault["what"]
    assert "tensorflow, jax, torch" in fault["remedy"]


def test_a_backend_that_keras_own_file_chooses_is_named_with_that_file(tmp_path: Path) -> None:
    file = tmp_path / "keras.json"
    file.write_text('{"backend": "theano"}')
    variables = {"KERAS_BACKEND": "", "KERAS_HOME": str(tmp_path)}
    found = found_by(typed("doctor", "--json", "--home", tmp_path, **variables))
    assert {one["name"]: one["chosen_by"] for one in found["backends"]}["theano"] == str(file)
    assert found["faults"][0]["what"].startswith(f"{file}: ")


def test_a_backend_that_cannot_be_imported_is_told_by_its_last_words_and_once(tmp_path: Path) -> None:
    """A package of the backend's name that fails, as one does whose libraries are of another version."""
    broken = tmp_path / "elsewhere" / "jax"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libcudart.so.99: cannot open shared object file')")
    path = str(broken.parent)
    found = found_by(convsearch("doctor", "--json", "--home", tmp_path, KERAS_BACKEND="jax", PYTHONPATH=path))
    assert len(found["trials"]) >= 2
    assert all("libcudart.so.99" in one["reason"] for one in found["trials"])
    (fault,) = found["faults"]
    assert fault["what"].startswith("jax cannot be used: ")
    assert "libcudart.so.99" in fault["what"]
    assert fault["remedy"] == "pip install --force-reinstall jax"


@pytest.mark.skipif(bool(this_machine().gpus), reason="this machine has a GPU of its own")
def test_a_gpu_that_the_backend_does_not_see_is_named_with_what_mends_it(tmp_path: Path) -> None:
    """NVIDIA's tool, here a program in its place, lists a GPU; TensorFlow cannot see it, for there is none."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n[ \"$1\" = -L ] || echo '0, 81559, GPU-aaaa, NVIDIA H100'\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    found = found_by(convsearch("doctor", "--json", "--home", tmp_path, PATH=path, **TENSORFLOW))
    (gpu,) = found["gpus"]
    assert (gpu["index"], gpu["name"], gpu["seen"]) == (0, "NVIDIA H100", False)
    good, failed = (
        {one["device"] for one in found["trials"] if (one["reason"] is None) == well} for well in (True, False)
    )
    assert (good, failed) == ({"cores"}, {"GPU 0"})
    assert found["faults"] == [
        {
            "what": "tensorflow does not see GPU 0, which the driver lists",
            "remedy": "pip install 'tensorflow[and-cuda]'",
        }
    ]


class Answer(BaseHTTPRequestHandler):
    """A server that is well."""

    def do_GET(self) -> None:
        known = self.path == "/health" or self.path.startswith("/api/2.0/mlflow/experiments/search?")
        self.send_response(200 if known else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with serving(Answer) as found:
        yield found


# Where the backend is one that there is not, nothing is trained: the rest is found out all the same, and quickly.
UNTRIED = {"KERAS_BACKEND": "none"}


def others(done: "subprocess.CompletedProcess[str]") -> list[dict[str, str]]:
    """The faults but for that of the backend."""
    return [fault for fault in found_by(done)["faults"] if not fault["what"].startswith("KERAS_BACKEND")]


def test_a_server_of_mlflow_that_answers_is_reached(tmp_path: Path, server: str) -> None:
    uri = server.replace("//", "//me:secret@")
    done = typed("doctor", "--json", "--home", tmp_path, MLFLOW_TRACKING_URI=uri, **UNTRIED)
    assert found_by(done)["mlflow"] == {"uri": server, "reachable": True, "said": "answers"}
    assert others(done) == []


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://me:secret@127.0.0.1:9", "http://127.0.0.1:9 cannot be reached: "),
        ("postgresql://me:secret@127.0.0.1:9/runs", "postgresql://me:***@127.0.0.1:9/runs cannot be reached: "),
        ("http://me:secret@127.0.0.1:nine", "http://127.0.0.1:nine cannot be reached: not a valid address: "),
        ("http://me:secret/@127.0.0.1:9", "http://127.0.0.1:9 cannot be reached: not a valid address: "),
        ("http://127.0.0.1:9?token=secret", "http://127.0.0.1:9?token=*** cannot be reached: "),
        ("postgresql://me:to@secret@127.0.0.1:9/runs", "postgresql://me:***@127.0.0.1:9/runs cannot be reached: "),
        ("postgresql://127.0.0.1:9/runs?sslpassword=secret", "postgresql://127.0.0.1:9/runs?sslpassword=*** cannot"),
    ],
)
def test_a_server_of_mlflow_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, uri: str, said: str
) -> None:
    done = typed("doctor", "--json", "--home", tmp_path, MLFLOW_TRACKING_URI=uri, **UNTRIED)
    assert "secret" not in done.stdout + done.stderr
    (fault,) = others(done)
    assert fault["what"].startswith(f"MLflow at {said}")
    assert "unset MLFLOW_TRACKING_URI" in fault["remedy"]


def test_a_registry_for_which_mlflow_has_no_store_is_named_without_its_password(tmp_path: Path) -> None:
    uri = "postgres://me:secret@host/models"
    done = typed("doctor", "--json", "--home", tmp_path, MLFLOW_REGISTRY_URI=uri, **UNTRIED)
    (fault,) = others(done)
    assert fault["what"].startswith("MLFLOW_REGISTRY_URI: MLflow's registry at postgres://me:***@host/models cannot")
    assert "did you mean 'postgresql://'?" in fault["what"]
    assert "unset MLFLOW_REGISTRY_URI" in fault["remedy"]


def test_a_store_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, whatever its name says")
    (fault,) = others(typed("doctor", "--json", "--home", tmp_path, **UNTRIED))
    assert "file is not a database" in fault["what"]
    assert "move that file away" in fault["remedy"]


def test_a_store_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("create table runs (id text)")
        database.execute("insert into runs values ('first')")
    database.close()
    before = file.read_bytes()
    found = found_by(typed("doctor", "--json", "--home", tmp_path, **UNTRIED))
    assert (found["mlflow"]["reachable"], found["mlflow"]["said"]) == (True, "1 run")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_home_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    home = tmp_path / "file" / "studies"
    (fault,) = others(typed("doctor", "--json", "--home", home, **UNTRIED))
    assert fault["what"] == f"--home {home}: cannot be written to: Not a directory"
    assert "--home" in fault["remedy"]
    assert (tmp_path / "file").read_text() == "mine"


# ---------------------------------------------------------------------- stopped


def test_ctrl_c_ends_it_with_all_that_it_began(tmp_path: Path) -> None:
    dropped = r"Exception ignored .*?\nKeyboardInterrupt: ?\n"  # Python's own word of one that it has dropped
    for _ in range(3):  # it may be done before it has noticed
        with begun("doctor", "--home", tmp_path) as process:
            doctor = psutil.Process(process.pid)
            wait_until(lambda doctor=doctor: len(doctor.children()) >= 2, "workers were started")
            children = doctor.children()
            while process.poll() is None:  # Python drops an interrupt that comes while it clears something up
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
            _, said = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in re.sub(dropped, "", said, flags=re.DOTALL)
        wait_until(
            lambda children=children: not any(child.is_running() for child in children),
            "all that it began has ended",
        )
        if process.returncode:
            return
    pytest.fail("each time it was done before it was interrupted")
