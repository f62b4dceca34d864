"""Workers on a Ray cluster: two real nodes, real jobs, deaths of workers and of a node; clusters that do not fit."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import ray
from jobs import following, job, life, wait_until_started
from numpy.typing import NDArray
from ray.cluster_utils import Cluster
from ray_cluster import a_cluster, actors, python_with_other, ray_start, short_folder
from terminal import PATIENCE, environment, wait_until

from benchmarks.ports import free_port
from convsearch.search.data import Dataset, Split
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.executors.protocol import Broken, Executor, Lost, Started
from convsearch.search.executors.ray import RayExecutor
from convsearch.search.executors.shares import Share
from convsearch.search.executors.watch import Patience
from convsearch.search.system.scratch import PREFIX
from convsearch.search.training.checkpoint import saved_epochs
from convsearch.search.values.job import Checkpoint, EpochReport, Outcome
from convsearch.spaces.errors import InputError, WorkError

HOST = socket.gethostname()


def outcome_of(executor: Executor, answers: tuple[bool, ...] = ()) -> Outcome:
    last = life(executor, answers)[-1]
    assert isinstance(last, Outcome), last
    return last


def arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def scratch_folders(cluster: Cluster) -> list[Path]:
    """What is on its way on the nodes."""
    return list(Path(cluster.head_node.get_temp_dir_path()).glob(f"{PREFIX}*"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with a_cluster(nodes=2, cpus=1) as made:
        yield made


class Clock:
    """The monotonic clock, set forward by some seconds."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture(scope="module")
def clock() -> Clock:
    """The clock of the executor."""
    return Clock()


@pytest.fixture(scope="module")
def executor(cluster: Cluster, parts: Split, clock: Clock) -> Iterator[RayExecutor]:
    """One executor for all the tests that leave it as it was."""
    made = RayExecutor(cluster.address, clock=clock)
    yield made
    made.close()


# ---------------------------------------------------------------------- the life of a job


def test_auto_is_a_worker_for_each_place_of_the_cluster(executor: RayExecutor) -> None:
    assert executor.slots == 2
    assert executor.note is None
    wait_until(lambda: len(actors()) == 2, "both workers were there")


def test_a_job_starts_reports_its_epochs_and_ends_with_its_outcome(
    executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "5.weights.h5", number=5))
    started, *reports, outcome = life(executor)
    assert isinstance(started, Started)
    assert started.number == 5
    assert HOST in started.worker
    assert [(r.number, r.epoch) for r in reports if isinstance(r, EpochReport)] == [(5, 1), (5, 2), (5, 3)]
    assert isinstance(outcome, Outcome)
    assert (outcome.number, outcome.ended, outcome.epochs) == (5, "complete", 3)
    assert outcome.val_accuracy == tuple(r.val_accuracy for r in reports if isinstance(r, EpochReport))


def test_its_weights_are_those_of_a_training_on_this_machine(
    executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    one_core = Share(cores=tuple(sorted(os.sched_getaffinity(0)))[:1], memory=2**40)  # as the workers there have
    with closing(LocalExecutor(tmp_path / "logs", [one_core])) as local:
        for name, where in (("there", executor), ("here", local)):
            where.submit(job(digits, tmp_path / f"{name}.weights.h5"))
            outcome_of(where)
    there, here = arrays(tmp_path / "there.weights.h5"), arrays(tmp_path / "here.weights.h5")
    assert there.keys() == here.keys()
    assert "layers/conv2d/vars/0" in there
    for name, array in there.items():
        np.testing.assert_allclose(array, here[name], rtol=1e-3, atol=1e-4)
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["here.weights.h5", "there.weights.h5"]


def test_what_is_on_its_way_is_gone_with_the_job(
    cluster: Cluster, executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=10_000))
    assert isinstance(following(executor), Started)
    assert isinstance(following(executor), EpochReport)
    assert len(scratch_folders(cluster)) == 1
    executor.answer(0, False)
    assert outcome_of(executor).ended == "stopped"
    assert scratch_folders(cluster) == []


def test_a_report_answered_with_no_ends_the_job_there(executor: RayExecutor, digits: Dataset, tmp_path: Path) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=50))
    outcome = outcome_of(executor, answers=(True, False))
    assert (outcome.ended, outcome.epochs) == ("stopped", 2)


@pytest.mark.parametrize("answered", [True, False])
def test_an_interrupted_job_ends_within_its_epoch_or_while_its_report_waits(
    answered: bool, executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=10_000))
    assert isinstance(following(executor), Started)
    assert isinstance(following(executor), EpochReport)
    if answered:
        executor.answer(0, True)
    executor.interrupt(0)
    outcome = outcome_of(executor)
    assert outcome.ended == "stopped"
    assert 1 <= outcome.epochs < 100
    executor.answer(0, False)  # too late, and not taken for the next job's
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=2))
    assert outcome_of(executor).ended == "complete"


def test_what_waits_for_a_worker_is_interrupted_before_it_begins(
    executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    for number in range(3):  # for two workers
        executor.submit(job(digits, tmp_path / f"{number}.weights.h5", number=number, epochs=10_000))
    executor.interrupt(2)
    assert outcome_of(executor) == Outcome(number=2, ended="stopped")
    for number in range(2):
        executor.interrupt(number)
    assert {outcome_of(executor).number for _ in range(2)} == {0, 1}


def test_the_seconds_of_a_job_count_from_its_submission_while_it_waits_for_a_worker_too(
    executor: RayExecutor, digits: Dataset, tmp_path: Path, clock: Clock
) -> None:
    for number in range(2):  # a job for each worker
        executor.submit(job(digits, tmp_path / f"{number}.weights.h5", number=number, epochs=10_000))
    wait_until_started(executor, 2)
    without_end = {"epochs": 10**9, "validate_every": 10**9}
    executor.submit(job(digits, tmp_path / "2.weights.h5", number=2, seconds=100_000.0, **without_end))
    clock.ahead = 100_000.0  # its seconds are over when there is a worker for it
    try:
        for number in range(2):
            executor.interrupt(number)
        assert {outcome_of(executor).number for _ in range(2)} == {0, 1}
        outcome = outcome_of(executor)
    finally:
        clock.ahead = 0.0
    assert (outcome.number, outcome.ended) == (2, "complete")


def test_a_job_goes_on_from_its_checkpoint_wherever_it_is_placed(
    executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    state = tmp_path / "0.state.npz"
    begun = job(digits, tmp_path / "0.weights.h5", epochs=2, checkpoint=Checkpoint(file=str(state)), schedule_epochs=4)
    executor.submit(begun)
    first = outcome_of(executor)
    assert saved_epochs(state) == 2
    length = begun.length.model_copy(update={"epochs": 4})
    checkpoint = Checkpoint(file=str(state), epochs=2, best=first.value)
    executor.submit(begun.model_copy(update={"length": length, "checkpoint": checkpoint}))
    second = outcome_of(executor)
    assert (second.ended, second.epochs) == ("complete", 2)
    assert saved_epochs(state) == 4
    assert second.loss[0] < first.loss[-1]


def test_the_data_go_to_the_cluster_once(executor: RayExecutor, digits: Dataset, parts: Split, tmp_path: Path) -> None:
    data = tmp_path / "digits"
    shutil.copytree(digits.folder, data)
    asked = job(digits, tmp_path / "w.weights.h5", epochs=1, data=str(data))
    executor.submit(asked)
    assert outcome_of(executor).ended == "complete"
    shutil.rmtree(data)
    for number in range(2):  # one on each node
        executor.submit(asked.model_copy(update={"number": number}))
    assert {outcome_of(executor).ended for _ in range(2)} == {"complete"}


def test_no_room_for_the_images_at_the_size_of_a_job_is_broken_with_what_is_needed(
    executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.submit(job(digits.at((60_000, 60_000)), tmp_path / "w.weights.h5", epochs=1))
    broken = life(executor)[-1]
    assert isinstance(broken, Broken)
    assert f"1,797 images of 60000x60000x1 need 6.5 TB in {digits.folder}, where " in broken.reason
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
    assert outcome_of(executor).ended == "complete"


def test_a_place_that_cannot_be_written_to_is_broken(executor: RayExecutor, digits: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "not a folder" / "w.weights.h5"
    executor.submit(job(digits, place, epochs=1))
    assert life(executor)[-1] == Broken(f"{place}: No such file or directory")
    executor.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
    assert outcome_of(executor).ended == "complete"


def test_without_a_job_nothing_happens_and_the_call_returns(executor: RayExecutor) -> None:
    assert executor.next_event(0.05) is None


# ---------------------------------------------------------------------- deaths


def lost_of(executor: RayExecutor) -> Lost:
    """The loss that has to come, while other jobs go on."""
    while isinstance(event := following(executor), EpochReport | Started):
        if isinstance(event, EpochReport):
            executor.answer(event.number, True)
    assert isinstance(event, Lost), event
    return event


def test_a_killed_worker_loses_its_job_alone_and_another_one_comes(
    executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    wait_until(lambda: len(actors()) == 2, "both workers were there")
    before = actors()
    for number in (3, 4):
        executor.submit(job(digits, tmp_path / f"{number}.weights.h5", number=number, epochs=10_000))
    wait_until_started(executor, 2)
    os.kill(min(before), signal.SIGKILL)
    lost = lost_of(executor)
    assert lost.number in (3, 4)
    # Ray may be asked before it has heard of the death, and says then that it does not reach it.
    assert re.fullmatch(rf"(the worker on )?node {HOST} \([0-9.]+\) (died|was lost: it can no longer .*)", lost.reason)
    executor.interrupt(7 - lost.number)
    assert outcome_of(executor).number == 7 - lost.number
    wait_until(lambda: len(actors()) == 2, "another worker took its place")
    executor.submit(job(digits, tmp_path / "w.weights.h5", number=5, epochs=1))
    assert outcome_of(executor).ended == "complete"


def test_a_worker_that_is_silent_for_too_long_is_given_up(
    cluster: Cluster, executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.close()
    wait_until(lambda: not actors(), "the workers of the tests before had ended")
    with closing(
        RayExecutor(cluster.address, workers=1, patience=Patience(first=PATIENCE, least=8.0, times=1.0))
    ) as made:
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=10_000))
        assert isinstance(following(made), Started)
        assert isinstance(following(made), EpochReport)
        (pid,) = actors()
        os.kill(pid, signal.SIGSTOP)
        made.answer(0, True)
        lost = lost_of(made)
        assert lost.reason.startswith("no heartbeat for ")
        made.submit(job(digits, tmp_path / "w.weights.h5", epochs=1))
        assert outcome_of(made).ended == "complete"
    wait_until(lambda: not actors(), "no worker was left, not even the silent one")


LOOP = """
import sys
from convsearch.search.executors.ray import RayExecutor
from convsearch.search.values.job import EpochReport, Job
executor = RayExecutor(sys.argv[1], workers=1)
executor.submit(Job.model_validate_json(sys.argv[2]))
while True:
    event = executor.next_event(1.0)
    if isinstance(event, EpochReport):
        executor.answer(event.number, True)
    if event is not None:
        print(type(event).__name__, flush=True)
"""


def test_a_loop_that_is_killed_leaves_no_worker(
    cluster: Cluster, executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.close()
    job_text = job(digits, tmp_path / "w.weights.h5", epochs=100_000).model_dump_json()
    command = [sys.executable, "-c", LOOP, cluster.address, job_text]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as loop:
        assert loop.stdout is not None
        assert [loop.stdout.readline().strip() for _ in range(2)] == ["Started", "EpochReport"]
        assert actors()
        loop.kill()
    wait_until(lambda: not actors(), "the worker ended")


# ---------------------------------------------------------------------- clusters that do not fit


def test_more_workers_than_fit_are_refused_with_the_number_that_does(cluster: Cluster, executor: RayExecutor) -> None:
    executor.close()
    with pytest.raises(InputError, match=r"--workers 5: the cluster has 2 cores on 2 nodes, .*: --workers 2 at the"):
        RayExecutor(cluster.address, workers="5")


def test_a_node_that_has_another_convsearch_is_named(cluster: Cluster, executor: RayExecutor, tmp_path: Path) -> None:
    executor.close()
    python = python_with_other(tmp_path / "python", "convsearch", "0.0.9")
    known = {node["NodeID"] for node in cluster.global_state.node_table()}
    with ray_start(python, f"--address={cluster.address}"):
        wait_until(lambda: {node["NodeID"] for node in cluster.global_state.node_table()} - known, "it is a node")
        with pytest.raises(InputError, match=rf"node {HOST} \(.*\) of the cluster has convsearch 0\.0\.9, this"):
            RayExecutor(cluster.address)


def test_a_cluster_of_another_ray_is_refused_with_both_versions(
    executor: RayExecutor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executor.close()
    port = free_port()
    python = python_with_other(tmp_path / "python", "ray", "2.59.0")
    with (
        short_folder() as place,
        ray_start(python, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={place}"),
        pytest.raises(
            InputError, match=rf"the cluster runs Ray 2\.59\.0 with .* this machine has Ray {ray.__version__}"
        ),
    ):
        RayExecutor(f"127.0.0.1:{port}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("me:secret@somewhere", "--ray-address somewhere.*: write HOST:PORT"),
        ("ray://me:secret@somewhere", "--ray-address ray://somewhere"),
        ("127.0.0.1:1", r"--ray-address 127\.0\.0\.1:1 .*: no Ray cluster can be reached there \(Connection refused\)"),
        ("no-such-host.invalid:6379", "--ray-address no-such-host.invalid:6379: no Ray cluster can be reached there"),
        ("somewhere", "--ray-address somewhere: write HOST:PORT, as in 10.0.0.1:6379, or 'auto'"),
    ],
)
def test_an_address_at_which_there_is_no_cluster_is_named(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        RayExecutor(address)
    assert "secret" not in str(refused.value)


def test_what_is_no_cluster_is_not_waited_for() -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        thread = threading.Thread(target=lambda: other.accept()[0].sendall(b"220 a mail server\r\n"), daemon=True)
        thread.start()
        with pytest.raises(InputError, match=r"no Ray cluster can be reached there \(another program answers there\)"):
            RayExecutor(f"127.0.0.1:{port}")
        thread.join()


def test_the_cluster_stores_the_command_line_without_a_password(cluster: Cluster) -> None:
    storage = "postgresql://me:secret@host/studies"
    program = (
        "import sys, ray; from convsearch.search.executors.cluster import connect; connect(sys.argv[1]); "
        "print([job['Entrypoint'] for job in ray._private.state.jobs() if sys.argv[1] in job['Entrypoint']])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, cluster.address, "--storage", storage],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--storage postgresql://me:***@host/studies" in done.stdout
    assert "secret" not in done.stdout


# ---------------------------------------------------------------------- last of all: a node is lost for good


def test_a_lost_node_costs_the_jobs_that_ran_on_it_and_its_work_waits_for_room(
    cluster: Cluster, executor: RayExecutor, digits: Dataset, tmp_path: Path
) -> None:
    executor.close()
    with closing(RayExecutor(cluster.address)) as made:
        for number in (1, 2):
            made.submit(job(digits, tmp_path / f"{number}.weights.h5", number=number, epochs=10_000))
        wait_until_started(made, 2)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        lost = lost_of(made)
        assert re.fullmatch(rf"node {HOST} \([0-9.]+\) was lost: it can no longer be reached", lost.reason)
        made.submit(job(digits, tmp_path / f"{lost.number}.weights.h5", number=lost.number, epochs=1))
        made.interrupt(3 - lost.number)
        assert [outcome_of(made).number for _ in range(2)] == [3 - lost.number, lost.number]
    assert (tmp_path / f"{lost.number}.weights.h5").exists()


def test_a_cluster_that_has_room_for_no_worker_any_more_is_not_waited_for_for_ever(
    digits: Dataset, tmp_path: Path
) -> None:
    with a_cluster(nodes=1, cpus=0) as small:  # the head only leads
        node = small.add_node(num_cpus=1, wait=False)
        small.wait_for_nodes(PATIENCE)
        with closing(RayExecutor(small.address)) as made:
            made.submit(job(digits, tmp_path / "1.weights.h5", epochs=10_000))
            wait_until_started(made, 1)
            made.room_timeout = 10.0  # from now on: until here it has taken its time to come up
            small.remove_node(node, allow_graceful=False)
            lost = lost_of(made)
            made.submit(job(digits, tmp_path / "1.weights.h5", number=lost.number, epochs=1))
            with pytest.raises(WorkError, match="no node of the Ray cluster has had room for a worker for 10 s"):
                outcome_of(made)
