"""A study whose processes are killed at random moments, over and over: nothing may be lost, nothing be there twice.

SOAK_TRIALS (100) and SOAK_KILLS (30) say how long it is, SOAK_PAUSE (8) how many seconds there are between two kills at
most, SOAK_SEED which moments. It ends with an error where the record, Optuna's storage and MLflow do not agree trial by
trial, or where a process or a half-written file is left.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import optuna
import psutil
from mlflow.tracking import MlflowClient

from convsearch.search.delivery.tracking import STATUS
from convsearch.search.engines.optuna import STATES
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.runs import Runs
from convsearch.search.study.trial import FINISHED

from .workers import WORKER

COMMAND = str(Path(sys.executable).with_name("convsearch"))
PAUSE = float(os.environ.get("SOAK_PAUSE", "8"))
GIVEN_UP = 40 * 60  # seconds


def measure() -> list[tuple[str, str, str]]:
    """Run a soak and return what it went through."""
    trials, kills = int(os.environ.get("SOAK_TRIALS", "100")), int(os.environ.get("SOAK_KILLS", "30"))
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        killed, launches = soak(Path(place), trials, kills, random.Random(int(os.environ.get("SOAK_SEED", "0"))))
        seconds = time.monotonic() - began
        if wrong := disagreements(Home(Path(place)).study("soak"), trials):
            sys.exit("the soak found:\n" + "\n".join(wrong))
    what = ", ".join(f"{count} of the {who}" for who, count in sorted(killed.items()))
    return [
        (f"a study of {trials} trials, killed {killed.total()} times ({what})", f"all agree, {seconds:.0f} s", "agree"),
        ("launches that it took", str(launches), ""),
    ]


def soak(place: Path, trials: int, kills: int, source: random.Random) -> tuple[Counter[str], int]:
    """Run a study to its end while its processes are killed; return how many of which, and how often it was begun."""
    options = ["--study", "soak", "--home", str(place), "--trials", str(trials)]
    fresh = [*options, "--space", "tiny", "--epochs", "2", "--repeats", "0", "--workers", "2"]
    killed: Counter[str] = Counter()
    launches = 0
    deadline = time.monotonic() + GIVEN_UP
    log = (place / "soak.log").open("ab")
    while True:
        begun = (place / "soak" / "study.yaml").exists()
        command = [COMMAND, "run", *(["--resume", "--workers", "2", *options] if begun else fresh)]
        loop = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        launches += 1
        while loop.poll() is None and time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                loop.wait(source.uniform(0.0, PAUSE))
            if loop.poll() is None and killed.total() < kills and (begun or _has_begun(place)):
                who = _kill_one(loop, source)
                killed[who] += 1
                if who == "loop":
                    loop.wait()
        if loop.returncode == 0:
            break
        if loop.poll() is None or loop.returncode > 0:
            loop.kill()
            sys.exit(f"the search ended by itself:\n{(place / 'soak.log').read_text(encoding='utf-8')[-3000:]}")
    if killed.total() < kills:
        sys.exit(f"the search was over after {killed.total()} kills; {kills} were wanted: more SOAK_TRIALS")
    return killed, launches


def _has_begun(place: Path) -> bool:
    return (place / "soak" / "trials.jsonl").exists()


def _kill_one(loop: "subprocess.Popen[bytes]", source: random.Random) -> str:
    """Kill the loop, one of its workers, what they are forked from, or its delivery; return which."""
    found = {"loop": [loop.pid], "workers": [], "fork server": [], "delivery": []}
    with suppress(psutil.Error):
        for child in psutil.Process(loop.pid).children(recursive=True):
            with suppress(psutil.Error):
                command = " ".join(child.cmdline())
                if child.name() == WORKER:
                    found["workers"].append(child.pid)
                elif "search.delivery" in command:
                    found["delivery"].append(child.pid)
                elif "fork_server" in command and child.ppid() == loop.pid:
                    found["fork server"].append(child.pid)
    who = source.choices(["workers", "loop", "fork server", "delivery"], [5, 4, 1, 1])[0]
    if not found[who]:
        who = "loop"
    with suppress(ProcessLookupError):
        os.kill(source.choice(found[who]), signal.SIGKILL)
    return who


def disagreements(folder: StudyFolder, trials: int) -> list[str]:
    """Return what is wrong with a study that is over: a line for each thing."""
    record, wrong = folder.record().trials, []
    finished = [trial for trial in record.values() if trial.state in FINISHED]
    if len(finished) != trials:
        wrong.append(f"{len(finished)} trials are finished, not {trials}")
    if len({trial.hash for trial in finished}) != len(finished):
        wrong.append("a candidate was finished twice")
    stored = optuna.load_study(study_name=None, storage=f"sqlite:///{folder.path / 'optuna.db'}").get_trials()
    if [trial.number for trial in stored] != sorted(record):
        wrong.append(f"optuna.db has the trials {[trial.number for trial in stored]}, the record {sorted(record)}")
    client = MlflowClient(f"sqlite:///{folder.path.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=10_000))
    by_number = Counter(run.data.tags["number"] for run in runs if run.data.tags["kind"] == "trial")
    if by_number != Counter(str(number) for number in record):
        wrong.append(f"MLflow has the trials {by_number}, the record {sorted(record)}")
    if any(run.info.status == "RUNNING" for run in runs):
        wrong.append("a run in MLflow is RUNNING")
    known = Runs(folder.path)
    for number, trial in sorted(record.items()):
        frozen = stored[number]
        if (frozen.state, frozen.user_attrs.get("hash")) != (STATES[trial.state], trial.hash):
            wrong.append(f"trial {number}: optuna.db says {frozen.state.name}, the record {trial.state}")
        run = client.get_run(str(known.of(number)))
        if (run.info.status, run.data.tags["hash"]) != (STATUS[trial.state], trial.hash):
            wrong.append(f"trial {number}: MLflow says {run.info.status}, the record {trial.state}")
        history = [metric.value for metric in client.get_metric_history(run.info.run_id, "val_accuracy")]
        if history != list(trial.val_accuracy):
            wrong.append(f"trial {number}: MLflow has the curve {history}, the record {trial.val_accuracy}")
    if not (folder.bundle / "model.keras").exists():
        wrong.append("there is no bundle")
    unfinished = re.compile(r"partial|\.repeat\.|^\.")
    wrong += [f"left over: {path}" for path in folder.path.parent.rglob("*") if unfinished.search(path.name)]
    wrong += [f"still running: {' '.join(process.cmdline())}" for process in _processes_of(folder.path.parent)]
    return wrong


def _processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes whose command or open files name a home."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            names = [*process.cmdline(), *(file.path for file in process.open_files())]
            if process.pid != os.getpid() and any(str(home) in name for name in names):
                found.append(process)
    return found
