"""A disk that fills up during the search: a real one, small, mounted for this test alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from terminal import PATIENCE, environment

UNSHARE = ["unshare", "--mount", "--map-root-user"]


def mounting_works() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


# Runs where the small disk can be seen, and prints what happened as JSON.
STORY = """
import json, os, subprocess, sys, time
from pathlib import Path
from convsearch.search.study.home import Home
from terminal import COMMAND, PATIENCE, SAME, begun, convsearch, wait_until, workers_of

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=True)
home = disk / "home"

def trials():
    if not (home / "first").is_dir():
        return {}
    return {n: t.model_dump(mode="json") for n, t in Home(home).study("first").record().trials.items()}

def fill():
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                pass

with begun("run", *SAME, "--trials", 2, "--repeats", 0, "--study", "first", "--home", home) as process:
    wait_until(lambda: any(t["state"] == "complete" for t in trials().values()), "a trial was complete")
    fill()
    finished = {n: t for n, t in trials().items() if t["state"] != "running"}
    said, told = process.communicate(timeout=PATIENCE)
story = {
    "finished": finished,
    "full": {"code": process.returncode, "stdout": said, "stderr": told, "trials": trials()},
    "workers": len(workers_of(home)),
    "bundle": (home / "first" / "bundle").exists(),
}
shown = convsearch("show", "first", "--json", "--home", home)
story["shown"] = {"code": shown.returncode, "stdout": shown.stdout}
(disk / "ballast").unlink()
done = convsearch("run", "--resume", "--study", "first", "--home", home)
story["resumed"] = {"code": done.returncode, "stderr": done.stderr, "trials": trials()}
story["bundle afterwards"] = sorted(path.name for path in (home / "first" / "bundle").glob("*"))
story["half made"] = [str(path) for path in home.rglob("*") if "partial" in path.name]
print(json.dumps(story))
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not mounting_works():
        pytest.skip("this system does not permit to mount a small disk (unshare --mount --map-root-user)")
    disk = tmp_path_factory.mktemp("disk")
    variables = environment(PYTHONPATH=str(Path(__file__).parents[1]))
    command = [*UNSHARE, sys.executable, "-c", STORY, str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=2 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_search_ends_with_a_message_that_says_so(story: dict[str, Any]) -> None:
    full = story["full"]
    assert full["code"] == 1
    last = full["stderr"].strip().splitlines()[-1]
    assert last.startswith("convsearch: ")
    assert "No space left on device" in last or "disk is full" in last
    assert "Traceback" not in full["stderr"]
    assert full["stdout"] == ""


def test_what_was_finished_is_kept_and_can_be_shown(story: dict[str, Any]) -> None:
    kept = story["full"]["trials"]
    assert story["finished"]
    for number, trial in story["finished"].items():
        assert kept[number] == trial
    assert story["shown"]["code"] == 0
    shown = {str(trial["number"]): trial for trial in json.loads(story["shown"]["stdout"])["trials"]}
    for number, trial in story["finished"].items():
        assert (shown[number]["state"], shown[number]["value"]) == (trial["state"], trial["value"])


def test_no_worker_and_no_half_made_bundle_is_left(story: dict[str, Any]) -> None:
    assert story["workers"] == 0
    assert not story["bundle"]
    assert story["half made"] == []


def test_with_space_again_resume_goes_on_to_the_end(story: dict[str, Any]) -> None:
    resumed = story["resumed"]
    assert resumed["code"] == 0, resumed["stderr"]
    for number, trial in story["finished"].items():
        assert resumed["trials"][number] == trial
    states = [trial["state"] for trial in resumed["trials"].values()]
    assert "running" not in states
    assert sum(state in ("complete", "pruned") for state in states) == 2
    assert "model.keras" in story["bundle afterwards"]
