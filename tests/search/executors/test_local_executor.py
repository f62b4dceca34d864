"""Worker processes: real ones, their jobs, their deaths, and that none is left behind."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from descriptors import descriptors_left
from jobs import WIDE, following, job, life
from terminal import PATIENCE, environment, wait_until

from convsearch.search.data import Dataset, Split
from convsearch.search.executors.local import IMPORTED, LocalExecutor
from convsearch.search.executors.protocol import Broken, Event, Lost, Returned, Started
from convsearch.search.executors.shares import Share
from convsearch.search.executors.watch import Patience
from convsearch.search.system.fork_server import ForkServer
from convsearch.search.system.memory import own_memory
from convsearch.search.system.programs import Spawner, Starter
from convsearch.search.values.job import EpochReport, Outcome
from convsearch.spaces.architecture import Layer, Recipe
from convsearch.spaces.errors import WorkError
from convsearch.spaces.memory.limit import Memory

# Flattened, so many filters and units make one matrix of a terabyte.
TERABYTE = (Layer(filters=65536),), (65536,)
LARGE = (30_000,)  # units, whose weights, gradients and moments take 60 MB and more


def below() -> set[int]:
    """All processes that the test has begun, directly or not, and that live."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found


@pytest.fixture(scope="module")
def executor(parts: Split, starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """One executor with one worker for all the tests that leave it as it was."""
    made = LocalExecutor(tmp_path_factory.mktemp("logs"), starter=starter)
    yield made
    made.close()


@pytest.fixture(scope="module")
def pid(executor: LocalExecutor, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The process of the worker, when it has done a first job."""
    executor.submit(job(digits, tmp_path_factory.mktemp("first") / "0.weights.h5", epochs=1))
    assert isinstance(life(executor)[-1], Outcome)
    (found,) = executor.processes()
    return found


# ---------------------------------------------------------------------- the life of a job


def test_a_job_starts_reports_its_epochs_and_ends_with_its_outcome(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "5.weights.h5", number=5))
    started, *reports, outcome = life(executor)
    assert isinstance(started, Started)
    assert (started.number, started.worker) == (5, "worker-0")
    assert started.waited >= 0
    assert [(report.number, report.epoch) for report in reports if isinstance(report, EpochReport)] == [
        (5, 1),
        (5, 2),
        (5, 3),
    ]
    assert isinstance(outcome, Outcome)
    assert (outcome.number, outcome.ended, outcome.epochs) == (5, "complete", 3)
    assert outcome.val_accuracy == tuple(r.val_accuracy for r in reports if isinstance(r, EpochReport))
    assert (tmp_path / "5.weights.h5").exists()


def test_a_report_answered_with_no_ends_the_job_there(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=50))
    *_, outcome = life(executor, answers=(True, False))
    assert isinstance(outcome, Outcome)
    assert (outcome.ended, outcome.epochs) == ("stopped", 2)


def test_an_interrupted_job_ends_within_its_epoch(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=10_000))
    assert isinstance(following(executor), Started)
    report = following(executor)
    assert isinstance(report, EpochReport)
    executor.answer(report.number, True)
    executor.interrupt(report.number)
    outcome = life(executor)[-1]
    assert isinstance(outcome, Outcome)
    assert outcome.ended == "stopped"
    assert 1 <= outcome.epochs < 100


def test_a_job_interrupted_while_its_report_waits_for_an_answer_ends_too(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=10_000))
    assert isinstance(following(executor), Started)
    assert isinstance(following(executor), EpochReport)
    executor.interrupt(0)
    executor.answer(0, False)
    outcome = life(executor)[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.ended, outcome.epochs) == ("stopped", 1)
    # The answer that came too late is not taken for the next job's.
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=2))
    assert life(executor)[-1].ended == "complete"  # type: ignore[union-attr]


def test_the_worker_is_used_again_for_the_next_job(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", number=8, epochs=1))
    executor.submit(job(digits, tmp_path / "w.weights.h5", number=9, epochs=1))
    ended = [life(executor)[-1], life(executor)[-1]]
    assert [outcome.number for outcome in ended if isinstance(outcome, Outcome)] == [8, 9]
    assert executor.processes() == [pid]


def test_without_a_job_nothing_happens_and_the_call_returns(executor: LocalExecutor, pid: int) -> None:
    assert executor.next_event(0.05) is None


def test_a_place_that_cannot_be_written_to_is_broken_not_a_failed_candidate(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    place = tmp_path / "not a folder" / "w.weights.h5"
    executor.submit(job(digits, place, epochs=1))
    broken = life(executor)[-1]
    assert isinstance(broken, Broken)
    assert str(place) in broken.reason
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
    assert isinstance(life(executor)[-1], Outcome)


def test_no_room_for_the_images_at_the_size_of_a_job_is_broken_with_what_is_needed(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    with closing(LocalExecutor(tmp_path / "logs", [everything(memory=2**60)], starter=starter)) as made:
        made.submit(job(digits.at((60_000, 60_000)), tmp_path / "w.weights.h5", epochs=1))
        broken = life(made)[-1]
        assert isinstance(broken, Broken)
        assert f"1,797 images of 60000x60000x1 need 6.5 TB in {digits.folder}, where " in broken.reason
        does_the_next(made, digits, tmp_path)


# ---------------------------------------------------------------------- deaths


def test_a_killed_worker_loses_its_job_with_the_reason_and_another_one_does_the_next(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    (before,) = executor.processes()
    executor.submit(job(digits, tmp_path / "w.weights.h5", number=3, epochs=10_000))
    assert isinstance(following(executor), Started)
    os.kill(before, signal.SIGKILL)
    while isinstance(event := following(executor), EpochReport):
        executor.answer(3, True)
    assert event == Lost(3, "worker-0", "the worker was killed by signal 9 (SIGKILL)")
    executor.submit(job(digits, tmp_path / "w.weights.h5", number=4, epochs=1))
    outcome = life(executor)[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.number, outcome.ended) == (4, "complete")
    (after,) = executor.processes()
    assert after != before


def test_closing_leaves_no_process_even_while_a_job_runs(digits: Dataset, parts: Split, tmp_path: Path) -> None:
    others = below()
    made = LocalExecutor(tmp_path / "logs")
    made.submit(job(digits, tmp_path / "w.weights.h5", epochs=10_000))
    assert isinstance(following(made), Started)
    begun = below() - others
    assert set(made.processes()) < begun
    made.close()
    wait_until(lambda: not begun & below(), "all ended that it had begun")


def lost(executor: LocalExecutor) -> Lost:
    """The loss of the job that runs, which has to come; until then it is told to go on."""
    event = life(executor)[-1]
    assert isinstance(event, Lost), event
    return event


def does_the_next(executor: LocalExecutor, digits: Dataset, tmp_path: Path) -> None:
    executor.submit(job(digits, tmp_path / "next.weights.h5", number=99, epochs=1))
    outcome = life(executor)[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.number, outcome.ended) == (99, "complete")


def test_a_worker_that_crashes_loses_its_job_with_the_signals_name(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", number=3, epochs=10_000))
    assert isinstance(following(executor), Started)
    os.kill(executor.processes()[0], signal.SIGSEGV)
    assert lost(executor) == Lost(3, "worker-0", "the worker was killed by signal 11 (SIGSEGV)")
    does_the_next(executor, digits, tmp_path)


def test_when_what_workers_are_forked_from_is_killed_the_job_is_lost_and_another_worker_does_the_next(
    digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    with closing(ForkServer(IMPORTED)) as server, closing(LocalExecutor(tmp_path / "logs", starter=server)) as made:
        made.submit(job(digits, tmp_path / "w.weights.h5", number=3, epochs=10_000))
        assert isinstance(following(made), Started)
        server.process.kill()
        assert lost(made) == Lost(3, "worker-0", "the worker was killed by signal 9 (SIGKILL)")
        does_the_next(made, digits, tmp_path)


def everything(**more: Any) -> Share:
    """The whole machine for one worker."""
    return Share(**{"cores": tuple(sorted(os.sched_getaffinity(0))), "memory": 2**40} | more)


def test_a_worker_that_hangs_is_ended_and_loses_its_job(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    made = LocalExecutor(tmp_path / "logs", [everything()], Patience(first=PATIENCE, least=6, times=1.5), starter)
    try:
        made.submit(job(digits, tmp_path / "w.weights.h5", number=3, epochs=100_000))
        while not isinstance(event := following(made), EpochReport):
            assert isinstance(event, Started)
        made.answer(3, True)
        (stopped,) = made.processes()
        os.kill(stopped, signal.SIGSTOP)
        event = lost(made)
        assert (event.number, event.worker) == (3, "worker-0")
        assert event.reason.startswith("no heartbeat for ")
        assert not psutil.pid_exists(stopped)
        does_the_next(made, digits, tmp_path)
    finally:
        made.close()


def test_a_network_is_traced_and_compiled_in_the_time_that_the_first_heartbeat_has(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    made = LocalExecutor(tmp_path / "logs", [everything()], Patience(first=PATIENCE, least=0.1, times=60), starter)
    try:
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=2))
        outcome = life(made)[-1]
        assert isinstance(outcome, Outcome), outcome
        assert outcome.seconds.building + outcome.seconds.tracing > 0.1
    finally:
        made.close()


def test_a_training_whose_batches_are_slow_is_no_hang(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    """A worker that is stopped for less than it may be silent is waited for."""
    made = LocalExecutor(tmp_path / "logs", [everything()], Patience(first=PATIENCE, least=10, times=3), starter)
    try:
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=60))
        while not isinstance(following(made), EpochReport):
            pass
        made.answer(0, True)
        (process,) = made.processes()
        os.kill(process, signal.SIGSTOP)
        time.sleep(2)
        os.kill(process, signal.SIGCONT)
        outcome = life(made)[-1]
        assert isinstance(outcome, Outcome)
        assert outcome.ended == "complete"
        assert made.processes() == [process]
    finally:
        made.close()


def test_a_worker_that_needs_more_memory_than_it_may_have_is_ended_and_the_others_go_on(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    shares = [everything(), everything()]
    made = LocalExecutor(tmp_path / "logs", shares, starter=starter)
    try:
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
        assert isinstance(life(made)[-1], Outcome)
        usual = own_memory(psutil.Process(made.processes()[0]))
    finally:
        made.close()
    # Trained on a GPU, a network is not reckoned to the memory of its process.
    small = everything(memory=usual + 80 * 2**20, gpu_bytes=2**40)
    made = LocalExecutor(tmp_path / "logs", [small for _ in shares], starter=starter)
    try:
        made.submit(job(digits, tmp_path / "0.weights.h5", 0, units=WIDE, epochs=10_000))
        made.submit(job(digits, tmp_path / "1.weights.h5", number=1, epochs=60))
        ended: dict[int, Event] = {}
        while len(ended) < 2:
            match event := following(made):
                case EpochReport() as report:
                    made.answer(report.number, True)
                case Outcome() | Lost():
                    ended[event.number] = event
                case _:
                    pass
    finally:
        made.close()
    assert isinstance(ended[0], Lost)
    assert "it used more than its " in ended[0].reason
    assert isinstance(ended[1], Outcome)
    assert ended[1].ended == "complete"


def test_a_device_without_memory_for_a_network_costs_the_job_and_the_worker(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    # Its share has more than any machine, so that nothing is returned before it is tried.
    with closing(LocalExecutor(tmp_path / "logs", [everything(memory=2**60)], starter=starter)) as made:
        made.submit(job(digits, tmp_path / "w.weights.h5", 6, *TERABYTE))
        before = made.processes()
        event = lost(made)
        assert event.number == 6
        assert event.reason.startswith("out of memory on the device (")
        assert made.processes() != before
        does_the_next(made, digits, tmp_path)


def test_a_worker_returns_a_job_that_takes_more_memory_than_it_has_and_does_the_next(
    executor: LocalExecutor, pid: int, digits: Dataset, tmp_path: Path
) -> None:
    before = executor.processes()
    executor.submit(job(digits, tmp_path / "w.weights.h5", 6, *TERABYTE))
    event = following(executor)
    assert isinstance(event, Returned)
    assert (event.number, event.worker) == (6, "worker-0")
    assert "of memory for training in batches of" in event.reason
    assert not (tmp_path / "w.weights.h5").exists()
    assert executor.processes() == before
    does_the_next(executor, digits, tmp_path)


@pytest.mark.parametrize(
    ("layers", "batch"),
    [
        pytest.param((Layer(filters=64, kernel_size=5, activation="gelu", batch_norm=True),), 256, id="large volumes"),
        pytest.param(tuple(Layer(filters=8, activation="silu", dropout=0.3) for _ in range(12)), 64, id="many layers"),
        pytest.param((Layer(filters=32, stride=8, padding=2),), 8, id="hardly anything"),
    ],
)
def test_no_training_takes_more_memory_than_is_foretold_and_neither_does_the_next(
    layers: tuple[Layer, ...], batch: int, digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    wanted = job(digits, tmp_path / "w.weights.h5", layers=layers, recipe=Recipe(batch_size=batch), epochs=2)
    needed = Memory(limit=1).needed(wanted.candidate)
    # A worker that holds more is ended and loses the job; held to the byte, it has to do, whatever it has kept. Threads
    # have memory of their own: it has two cores, as the trainings had to which the figure was fitted.
    share = everything(cores=tuple(sorted(os.sched_getaffinity(0)))[:2], memory=needed)
    with closing(LocalExecutor(tmp_path / "logs", [share], starter=starter)) as made:
        for number in range(2):
            made.submit(wanted.model_copy(update={"number": number}))
            outcome = life(made)[-1]
            assert isinstance(outcome, Outcome), outcome
            assert outcome.ended == "complete"
        assert own_memory(psutil.Process(made.processes()[0])) > needed / 4, "it is no bound if it is no measure"


def test_a_worker_whose_memory_has_grown_is_replaced_between_two_jobs(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    made = LocalExecutor(tmp_path / "logs", [everything()], starter=starter, growth=30 * 2**20)
    try:
        does_the_next(made, digits, tmp_path)
        first = made.processes()
        made.submit(job(digits, tmp_path / "w.weights.h5", 0, units=LARGE, epochs=1))
        assert isinstance(life(made)[-1], Outcome)
        assert made.processes() != first
        does_the_next(made, digits, tmp_path)
    finally:
        made.close()


def test_the_seconds_of_a_job_count_from_when_it_is_submitted_though_its_worker_is_not_up_yet(
    digits: Dataset, parts: Split, tmp_path: Path
) -> None:
    made = LocalExecutor(tmp_path / "logs", [everything()])
    try:
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=100_000, patience=100_000, seconds=6.0))
        started, *_, outcome = life(made)
        assert isinstance(started, Started)
        assert isinstance(outcome, Outcome)
        assert outcome.ended == "complete"
        assert outcome.epochs < 100_000
    finally:
        made.close()


# ---------------------------------------------------------------------- several workers


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux keeps a process to some cores")
def test_each_worker_keeps_to_its_cores_and_one_that_is_alone_has_them_all(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core cannot be divided")
    made = LocalExecutor(tmp_path / "logs", [everything(cores=(core,)) for core in cores[:2]], starter=starter)
    try:
        for number in range(2):
            made.submit(job(digits, tmp_path / f"{number}.weights.h5", number=number, epochs=10_000))
        started: dict[str, int] = {}
        while len(started) < 2:
            if isinstance(event := following(made), Started):
                started[event.worker] = event.number
        assert started == {"worker-0": 0, "worker-1": 1}
        wait_until(
            lambda: [psutil.Process(pid).cpu_affinity() for pid in made.processes()] == [[cores[0]], [cores[1]]],
            "each worker kept to its core",
        )
        for number in range(2):
            made.interrupt(number)
        ended = 0
        while ended < 2:
            match following(made):
                case EpochReport() as report:
                    made.answer(report.number, False)
                case Outcome():
                    ended += 1
                case _:
                    pass
        for number in (2, 3):
            made.submit(job(digits, tmp_path / "2.weights.h5", number=number, epochs=2), alone=True)
            assert isinstance(life(made)[-1], Outcome)
            affinities = [psutil.Process(pid).cpu_affinity() for pid in made.processes()]
            assert affinities.count(cores[:2]) == 1
    finally:
        made.close()


def test_all_workers_read_the_images_from_the_same_pages(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    made = LocalExecutor(tmp_path / "logs", [everything(), everything()], starter=starter)
    try:
        for number in range(2):
            made.submit(job(digits, tmp_path / f"{number}.weights.h5", number=number, epochs=10_000))
        seen = 0
        while seen < 2:
            if isinstance(following(made), EpochReport):
                seen += 1
        images = str((digits.folder / "images.npy").resolve())
        for pid in made.processes():
            assert images in Path(f"/proc/{pid}/maps").read_text()
    finally:
        made.close()


LOOP = """
import json, sys, time
from pathlib import Path
from convsearch.search.executors.local import IMPORTED, LocalExecutor
from convsearch.search.values.job import EpochReport, Job
executor = LocalExecutor(Path(sys.argv[1]))
executor.submit(Job.model_validate_json(sys.argv[2]))
while True:
    event = executor.next_event(1.0)
    if isinstance(event, EpochReport):
        executor.answer(event.number, True)
    if event is not None:
        print(json.dumps(type(event).__name__), flush=True)
"""


def test_a_loop_that_is_killed_leaves_no_worker(digits: Dataset, parts: Split, tmp_path: Path) -> None:
    asked = job(digits, tmp_path / "w.weights.h5", epochs=100_000).model_dump_json()
    command = [sys.executable, "-c", LOOP, str(tmp_path / "logs"), asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as loop:
        assert loop.stdout is not None
        events = [json.loads(loop.stdout.readline()) for _ in range(3)]
        assert events == ["Started", "EpochReport", "EpochReport"]
        server, worker = psutil.Process(loop.pid).children(recursive=True)
        assert worker.ppid() == server.pid
        loop.kill()
    wait_until(lambda: not server.is_running() and not worker.is_running(), "both ended")


def test_modules_in_the_users_folder_do_not_stand_in_for_ours(
    digits: Dataset, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("types.py", "json.py", "keras.py", "search/__init__.py", "convsearch/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('the wrong module was imported')\n")
    monkeypatch.chdir(tmp_path)
    made = LocalExecutor(tmp_path / "logs")
    try:
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
        outcome = life(made)[-1]
    finally:
        made.close()
    assert isinstance(outcome, Outcome), (tmp_path / "logs" / "worker-0.log").read_text()
    assert outcome.ended == "complete"


@pytest.mark.parametrize("with_a_job", [False, True])
def test_a_worker_that_cannot_start_ends_the_search_and_names_its_log(
    with_a_job: bool, digits: Dataset, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "no_such_backend")
    made = LocalExecutor(tmp_path / "logs")
    try:
        if with_a_job:
            made.submit(job(digits, tmp_path / "w.weights.h5"))
        with pytest.raises(WorkError, match=r"worker-0 did not start: .*no_such_backend.*worker-0\.log"):
            following(made)
    finally:
        made.close()
    assert "no_such_backend" in (tmp_path / "logs" / "worker-0.log").read_text()


def test_nothing_is_written_before_the_first_job_and_then_all_that_was_said(
    digits: Dataset, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # makes Python talk from its first moment on
    logs: list[Path] = []  # its name is not certain before
    with closing(Spawner()) as spawner, closing(LocalExecutor(lambda: logs[0], starter=spawner)) as made:
        assert made.next_event(1.0) is None
        logs.append(tmp_path / "study" / "logs")
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
        assert isinstance(life(made)[-1], Outcome)
    said = (tmp_path / "study" / "logs" / "worker-0.log").read_text()
    assert said.startswith("import time:")
    assert "convsearch.search.training.trial" in said


def test_a_worker_killed_before_its_first_job_is_replaced(
    digits: Dataset, parts: Split, starter: Starter, tmp_path: Path
) -> None:
    made = LocalExecutor(tmp_path / "logs", starter=starter)
    try:
        os.kill(made.processes()[0], signal.SIGKILL)
        made.submit(job(digits, tmp_path / "w.weights.h5", number=1, epochs=1))
        assert following(made) == Lost(1, "worker-0", "the worker was killed by signal 9 (SIGKILL)")
        made.submit(job(digits, tmp_path / "w.weights.h5", number=2, epochs=1))
        assert isinstance(life(made)[-1], Outcome)
    finally:
        made.close()


def test_workers_that_cannot_all_be_started_leave_nothing_behind(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests have left open would be closed meanwhile
    before, open_before = below(), psutil.Process().num_fds()
    shares = [Share((0,), 2**30) for _ in range(10)]
    with descriptors_left(20), pytest.raises(OSError, match="Too many open files") as refused:
        LocalExecutor(tmp_path, shares, starter=Spawner())
    assert below() == before
    assert psutil.Process().num_fds() == open_before, refused  # which has the frames, with what is left in them
