"""Searches on a cluster of two nodes, by the command; one of them is lost on the way, and the head in the end."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from ray_cluster import a_cluster, actors
from terminal import COMMAND, PATIENCE, begun, environment, typed, wait_until

from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial

TRIALS = 8


@dataclass(frozen=True)
class Story:
    folder: Path
    code: int
    said: str
    told: str
    before: dict[int, Trial]  # the trials that were finished when the node was lost
    trials: dict[int, Trial]


def trials(home: Path) -> dict[int, Trial]:
    return Home(home).study("first").record().trials if (home / "first").is_dir() else Record(home).trials


def finished(home: Path) -> dict[int, Trial]:
    return {number: trial for number, trial in trials(home).items() if trial.state in ("complete", "pruned")}


def both_nodes_are_at_it(home: Path) -> bool:
    """Whether both workers have finished a trial and run another one, all at one moment."""
    now = trials(home).values()
    done = {trial.worker for trial in now if trial.state in ("complete", "pruned")}
    return len(done) == 2 and sum(trial.state == "running" for trial in now) == 2


OPTIONS = ("--space", "tiny", "--epochs", "6", "--seed", "3", "--repeats", "0", "--study", "first")


def started(home: Path, cluster: Cluster, trials: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [COMMAND, "run", *OPTIONS, "--trials", str(trials), "--home", str(home), "--executor", "ray"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(RAY_ADDRESS=cluster.address),
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with a_cluster(nodes=2, cpus=1) as made:
        yield made


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A search that loses the second node."""
    home = tmp_path_factory.mktemp("cluster") / "home"
    process = started(home, cluster, TRIALS)
    try:
        wait_until(lambda: both_nodes_are_at_it(home), "each node had finished a trial and ran another one")
        before = finished(home)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        said, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    return Story(home / "first", process.returncode, said, told, before, trials(home))


def test_the_search_ends_with_all_trials_finished_and_a_bundle(story: Story) -> None:
    assert story.code == 0, story.told
    assert sorted(story.trials) == list(range(TRIALS))
    assert {trial.state for trial in story.trials.values()} <= {"complete", "pruned"}
    assert (story.folder / "bundle" / "model.keras").exists()
    assert {path.name for path in (story.folder / "weights").iterdir()} >= {
        f"{number}.weights.h5" for number in list(story.before)[:1]
    }


def test_the_lost_node_cost_the_trial_that_ran_on_it_and_no_other(story: Story) -> None:
    for number, trial in story.before.items():
        assert story.trials[number] == trial
    reasons = [reason for trial in story.trials.values() for reason in trial.lost]
    assert len(reasons) == 1
    assert re.fullmatch(r"node \S+ \([0-9.]+\) was lost: it can no longer be reached", reasons[0])


def test_each_number_ended_once(story: Story) -> None:
    lines = (story.folder / "trials.jsonl").read_text().splitlines()
    ends = Counter(trial.number for trial in map(Trial.model_validate_json, lines) if trial.ended_at is not None)
    assert ends == dict.fromkeys(range(TRIALS), 1)


def test_trials_ran_on_both_nodes_and_nothing_of_ray_reached_the_terminal(story: Story) -> None:
    assert len({trial.worker for trial in story.trials.values()}) == 2
    for text in (story.said, story.told):
        assert "raylet" not in text.lower()
        assert "Traceback" not in text


def test_no_worker_is_left(story: Story) -> None:
    wait_until(lambda: not actors(), "the workers were gone")


@pytest.mark.usefixtures("story")  # after it there is nothing left of the cluster
def test_a_lost_head_ends_the_search_and_what_was_finished_is_there_to_go_on_from(
    cluster: Cluster, tmp_path: Path
) -> None:
    home, head = tmp_path / "home", cluster.address
    process = started(home, cluster, 1000)
    try:
        wait_until(lambda: finished(home), "a trial was finished")
        cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        _, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    last = told.splitlines()[-1]
    assert last.startswith(f"convsearch: the Ray cluster is gone: its head, {head}, has not answered for 20 s")
    assert "Traceback" not in told
    before = finished(home)
    assert {trial.state for trial in trials(home).values()} <= {"complete", "pruned", "interrupted"}
    with begun("run", "--resume", "--study", "first", "--trials", 1000, "--home", home):  # with what this machine has
        wait_until(lambda: len(finished(home)) > len(before), "another trial was finished")
    after = finished(home)
    for number, trial in before.items():
        assert after[number] == trial


def test_a_cluster_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    done = typed("run", "--executor", "ray", "--home", tmp_path / "home", RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 2
    assert re.search(r"convsearch: RAY_ADDRESS=127\.0\.0\.1:1: no Ray cluster can be reached there", done.stderr)
    assert done.stdout == ""
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--executor", "rays"), "--executor rays: did you mean 'ray'? Known: local, ray"),
        (("--ray-address", "10.0.0.1:6379"), "--ray-address 10.0.0.1:6379: requires --executor ray"),
        (("--executor", "ray", "--gpus", "0"), "--gpus: only with --executor local"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = typed("run", *options, "--home", tmp_path / "home")
    assert done.returncode == 2
    assert done.stderr.startswith(f"convsearch: {said}")
