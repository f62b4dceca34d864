"""Programs of their own processes: forked from one that has imported Keras, or in interpreters of their own."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
from descriptors import MANY, descriptors_left, only_large_descriptors
from terminal import environment, wait_until

from convsearch.search.system.backend import UNUSED
from convsearch.search.system.fork_server import BACKENDS, ForkServer, may_fork, starter
from convsearch.search.system.programs import Call, Process, Spawner, Starter
from convsearch.spaces.errors import InputError, WorkError

PROGRAM = "answering"


@pytest.fixture(scope="module", autouse=True)
def findable() -> Iterator[None]:
    """The programs stand beside this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        yield


@pytest.fixture(scope="module")
def server(findable: None) -> Iterator[ForkServer]:
    """One server for all tests that leave it as it was."""
    with closing(ForkServer()) as made:
        yield made


@pytest.fixture(params=["forked", "spawned"])
def either(request: pytest.FixtureRequest) -> Iterator[Starter]:
    """Both ways to start a program."""
    if request.param == "forked":
        yield request.getfixturevalue("server")
    else:
        yield Spawner()


def answer_to(starter: Starter, log: Path, **question: Any) -> dict[str, Any]:
    with Call(starter, PROGRAM, log) as call:
        return call.ask(**question)


def started(starter: Starter) -> tuple[Connection, Process]:
    with tempfile.TemporaryFile() as output:
        return starter.start(PROGRAM, output.fileno())


# ---------------------------------------------------------------------- programs, however they start


def test_a_program_is_a_process_of_its_own_with_the_variables_that_it_is_given(either: Starter, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as output:
        connection, process = either.start(PROGRAM, output.fileno(), {"MINE": "yes"})
    connection.send_bytes(b'{"what": "facts", "names": ["MINE", "HOME"]}')
    said = connection.recv_bytes().decode()
    assert '"MINE": "yes"' in said
    assert f'"HOME": "{os.environ["HOME"]}"' in said
    assert f'"pid": {process.pid}' in said
    assert process.wait(60) == 0
    assert process.pid != os.getpid()


def test_what_a_program_prints_goes_to_its_log(either: Starter, tmp_path: Path) -> None:
    assert answer_to(either, tmp_path / "logs" / "log", what="print", text="hello") == {}
    assert "hello" in (tmp_path / "logs" / "log").read_text()


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("input", InputError, "this is wrong"),
        ("work", WorkError, "this failed"),
        ("disk", OSError, "No space left on device"),
    ],
)
def test_what_goes_wrong_in_a_program_goes_wrong_where_it_was_asked(
    server: ForkServer, tmp_path: Path, what: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as raised:
        answer_to(server, tmp_path / "log", what=what)
    if isinstance(raised.value, OSError):
        assert (raised.value.errno, raised.value.filename) == (28, "/full/disk")


def test_a_program_that_dies_without_an_answer_is_named_with_its_log(either: Starter, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"ended with exit code 3.*its log is .*log"):
        answer_to(either, tmp_path / "log", what="exit")
    with pytest.raises(WorkError, match=r"ended with exit code 1 \(ValueError: nonsense\); its log is .*log"):
        answer_to(either, tmp_path / "log", what="nonsense")
    with pytest.raises(WorkError, match=r"ended with exit code 1 \(ValueError: nonsense\); its log is .*log"):
        answer_to(either, tmp_path / "log", what="long nonsense")


@pytest.mark.parametrize("starter", [ForkServer, Spawner])
def test_of_the_users_file_for_keras_programs_obey_the_backend_alone(
    starter: type[ForkServer] | type[Spawner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.json").write_text(
        '{"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.01}'
    )
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with closing(starter()) as made:
        answer = answer_to(made, tmp_path / "log", what="numbers and images")
    assert answer == {"found": ["float32", "float32", "channels_last", 1e-7]}


def test_a_program_that_is_killed_says_by_which_signal(either: Starter) -> None:
    connection, process = started(either)
    connection.send_bytes(b'{"what": "wait"}')
    wait_until(lambda: process.pid, "it was there")
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not psutil.pid_exists(process.pid or 0)
    process.kill()  # once more makes no difference


def test_a_program_that_does_not_answer_is_given_up_and_named_with_its_log(either: Starter, tmp_path: Path) -> None:
    with (
        Call(either, PROGRAM, tmp_path / "log") as call,
        pytest.raises(WorkError, match=r"has not answered for 0\.5 s; its log is .*log"),
    ):
        call.ask(patience=0.5, what="wait")


def test_a_program_that_closes_its_connection_and_does_not_end_is_killed(either: Starter, tmp_path: Path) -> None:
    with (
        Call(either, PROGRAM, tmp_path / "log", leaving=0.5) as call,
        pytest.raises(WorkError, match=r"was killed by signal 9 \(SIGKILL\); its log is .*log"),
    ):
        call.ask(what="hang up")


def test_programs_are_started_with_any_number_of_open_files(tmp_path: Path) -> None:
    with only_large_descriptors(), closing(ForkServer()) as made:
        with (tmp_path / "log").open("wb") as output:
            connection, _ = made.start(PROGRAM, output.fileno())
        assert connection.fileno() >= MANY
        connection.send_bytes(b'{"what": "facts", "names": []}')
        assert f'"parent": {made.process.pid}' in connection.recv_bytes().decode()


def test_a_start_for_which_no_descriptor_is_left_keeps_none(either: Starter) -> None:
    with tempfile.TemporaryFile() as output:
        for left in range(3):
            gc.collect()  # what earlier tests have left open would be closed meanwhile
            before = psutil.Process().num_fds()
            with descriptors_left(left), pytest.raises(OSError, match="Too many open files") as refused:
                either.start(PROGRAM, output.fileno())
            assert psutil.Process().num_fds() == before, refused  # which has the frames, with what is left in them


# ---------------------------------------------------------------------- forks


def test_a_forked_program_has_keras_and_its_backend_has_not_begun_before_it_does(
    server: ForkServer, tmp_path: Path
) -> None:
    found = answer_to(server, tmp_path / "log", what="keras")
    assert found == {"there": True, "before": False, "after": True}
    assert answer_to(server, tmp_path / "log", what="keras") == found  # nothing of it came back to the server


def test_packages_that_keras_imports_for_what_is_not_used_here_are_left_for_who_needs_them(
    server: ForkServer, tmp_path: Path
) -> None:
    found = answer_to(server, tmp_path / "log", what="packages", names=UNUSED)
    assert found == {"imported": [], "importable": list(UNUSED)}


def test_a_forked_program_has_a_session_of_its_own_so_that_ctrl_c_is_for_the_loop(
    server: ForkServer, tmp_path: Path
) -> None:
    found = answer_to(server, tmp_path / "log", what="facts", names=[])
    assert found["group"] == found["pid"]
    assert found["parent"] == server.process.pid


def test_a_program_that_is_killed_before_it_is_forked_never_runs_on() -> None:
    with closing(ForkServer()) as made:
        _, process = started(made)  # while the server still imports
        process.kill()
        assert process.wait(0) == -signal.SIGKILL
        connection, other = started(made)
        connection.send_bytes(b'{"what": "wait"}')
        wait_until(lambda: other.pid, "the next one was there")
        below = psutil.Process(made.process.pid).children
        wait_until(lambda: [child.pid for child in below()] == [other.pid], "the first one was gone")


def test_when_the_server_dies_its_programs_end_and_the_next_one_has_another_server(tmp_path: Path) -> None:
    with closing(ForkServer()) as made:
        connection, process = started(made)
        connection.send_bytes(b'{"what": "wait"}')
        wait_until(lambda: process.pid, "it was there")
        made.process.kill()
        assert process.wait(60) == -signal.SIGKILL
        wait_until(lambda: not psutil.pid_exists(process.pid or 0), "it ended with its server")
        assert answer_to(made, tmp_path / "log", what="facts", names=[])["parent"] == made.process.pid


def test_a_server_that_cannot_import_what_is_needed_says_why_where_the_program_would(tmp_path: Path) -> None:
    with closing(ForkServer(["no_such_module"])) as made:
        with (tmp_path / "log").open("wb") as output:
            _, process = made.start(PROGRAM, output.fileno())
        assert process.wait(300) == 1
    assert "No module named 'no_such_module'" in (tmp_path / "log").read_text()


LOOP = """
import sys, tempfile, time
from convsearch.search.system.backend import UNUSED
from convsearch.search.system.fork_server import ForkServer
server = ForkServer()
with tempfile.TemporaryFile() as output:
    connection, process = server.start("answering", output.fileno())
connection.send_bytes(b'{"what": "wait"}')
while process.pid is None:
    time.sleep(0.01)
print(server.process.pid, process.pid, flush=True)
time.sleep(3600)
"""


def test_server_and_programs_end_when_whoever_began_them_is_killed() -> None:
    variables = environment(PYTHONPATH=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True, env=variables) as loop:
        assert loop.stdout is not None
        begun = [psutil.Process(int(pid)) for pid in loop.stdout.readline().split()]
        loop.kill()
    wait_until(lambda: not any(process.is_running() for process in begun), "both ended")


# ---------------------------------------------------------------------- where nothing is forked


def test_where_a_backend_does_not_bear_it_or_gpus_are_used_each_program_has_its_own_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert not may_fork()
    with closing(starter(())) as made:
        assert isinstance(made, Spawner)
    for backend in BACKENDS:
        monkeypatch.setenv("KERAS_BACKEND", backend)
        assert may_fork() is (sys.platform == "linux")
        assert not may_fork(gpus=True)


def test_a_closed_server_leaves_no_process_and_may_be_closed_again() -> None:
    made = ForkServer()
    connection, process = started(made)
    connection.send_bytes(b'{"what": "wait"}')
    wait_until(lambda: process.pid, "it was there")
    made.close()
    made.close()
    assert process.poll() == -signal.SIGKILL
    wait_until(lambda: not psutil.pid_exists(process.pid or 0), "it was gone")
    assert made.process.returncode is not None
