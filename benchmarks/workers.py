"""Workers on this machine: what two of them bring, what they hold in memory, how soon a search goes on after a kill.

Real commands and real trainings on the digits, but for the loop's memory, which is looked at while workers that train
nothing end 300 trials.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from convsearch.search.data import Dataset, split
from convsearch.search.delivery.outbox import Outbox
from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.executors.local import PROGRAM, LocalExecutor
from convsearch.search.executors.shares import Share
from convsearch.search.sources import open_data
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.system.memory import own_memory
from convsearch.search.system.processes import shown_as
from convsearch.search.values.job import EpochReport, Job, Length, Outcome, Seconds
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe

from .scaling import ROOT

COMMAND = str(Path(sys.executable).with_name("convsearch"))
SMALL = ("--space", "tiny", "--epochs", "6", "--pruner", "none", "--repeats", "0", "--seed", "1")
TRIALS = 60
KNOWN = 1000
KILLS = 5
ALONE_OR_EIGHT = (1, 8)
WORKER = shown_as(PROGRAM)  # the name of a worker's process


def measure() -> Iterator[tuple[str, str, str]]:
    """Measure one thing after the other."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        rates, held = {}, {}
        for workers in (1, 2):
            rates[workers], held[workers] = _whole_study(home, workers)
        yield (
            f"two workers on {os.cpu_count()} cores against one, {TRIALS} small networks, the whole study",
            f"{rates[2] / rates[1]:.2f} times the trials a minute ({rates[1]:.1f}, {rates[2]:.1f})",
            "1.7 times",
        )
        first, most = held[1]
        yield (
            f"memory of a worker, after its first trial and at most in {TRIALS}",
            f"{first / 2**20:.0f} MB, {most / 2**20:.0f} MB",
            "bounded",
        )
    after_30, after_300 = _memory_of_the_loop()
    yield (
        "memory of the loop after 300 trials against after 30",
        f"{after_300 / after_30:.2f} times ({after_30:.0f} MB, {after_300:.0f} MB)",
        "1.1 times",
    )
    with tempfile.TemporaryDirectory() as place:
        seconds = list(_after_kills(Path(place)))
        yield (
            f"from killing a worker to the next training step, {KILLS} times",
            f"{min(seconds):.1f} to {max(seconds):.1f} s",
            "2 s",
        )
    with tempfile.TemporaryDirectory() as place:
        one, eight = (_memory_of_workers(Path(place), count) for count in ALONE_OR_EIGHT)
        yield (
            "memory (PSS) of eight workers that have trained a small network each, against eight times one alone",
            f"{eight[0] / (8 * one[0]):.2f} ({eight[0] / 2**20:.0f} MB, {one[0] / 2**20:.0f} MB); with the process "
            f"that they are forked from {eight[1] / (8 * one[1]):.2f} "
            f"({eight[1] / 2**20:.0f} MB, {one[1] / 2**20:.0f} MB)",
            "0.6",
        )
    with tempfile.TemporaryDirectory() as place:
        yield f"from --resume to the next step, {KNOWN:,} trials known", f"{_resumed(Path(place)):.1f} s", "15 s"


def _memory_of_the_loop() -> tuple[float, float]:
    """Return the megabytes that a loop without Keras, as it is, held after 30 and after 300 trials."""
    program = (
        "import tempfile; from pathlib import Path; from benchmarks.scaling import Case, simulate\n"
        "with tempfile.TemporaryDirectory() as place:\n"
        "    watch, _ = simulate(Case(8, 300, epochs=10, epoch=0.02), Path(place) / 'study')\n"
        "print(watch.memory[30], watch.memory[300])\n"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    first, last = map(float, said.stdout.split())
    return first, last


def _run(home: Path, name: str, *options: str) -> "subprocess.Popen[bytes]":
    command = [COMMAND, "run", "--study", name, "--home", str(home), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _workers(loop: int) -> list[psutil.Process]:
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(loop).children(recursive=True):
            with suppress(psutil.Error):
                if child.name() == WORKER:
                    found.append(child)
    return found


def _whole_study(home: Path, workers: int) -> tuple[float, tuple[int, int]]:
    """Return trials a minute, and what the first worker held after its first trial and at most."""
    name = f"with-{workers}"
    begin = time.perf_counter()
    loop = _run(home, name, *SMALL, "--trials", str(TRIALS), "--workers", str(workers))
    held: list[int] = []
    folder = Home(home).study(name)
    while loop.poll() is None:
        time.sleep(0.5)
        if (folder.path / "trials.jsonl").exists() and folder.record().finished():
            held += [own_memory(worker) for worker in _workers(loop.pid)[:1]]
    if loop.returncode:
        raise RuntimeError(f"a study with {workers} workers failed")
    return 60 * TRIALS / (time.perf_counter() - begin), (held[0], max(held))


def _memory_of_workers(home: Path, count: int) -> tuple[int, int]:
    """Return the bytes (PSS) of so many workers that have trained a network each; and with what they share.

    The proportional set size divides each page of memory by the number of processes that share it, so that one worker
    beside the process that it is forked from shows about half of what they share.
    """
    digits = open_data("digits", home / "data")
    parts = split(digits, seed=0)
    parts.save(home / "split.npz")
    share = Share(cores=tuple(sorted(os.sched_getaffinity(0))), memory=2**40)
    with closing(LocalExecutor(home / "logs", [share] * count)) as executor:
        for number in range(count):
            executor.submit(_job(digits, home, number))
        ended = 0
        while ended < count:
            match executor.next_event(1.0):
                case EpochReport(number=number):
                    executor.answer(number, True)
                case Outcome():
                    ended += 1
        workers = [psutil.Process(pid) for pid in executor.processes()]
        servers = {worker.ppid() for worker in workers} - {os.getpid()}
        held = sum(worker.memory_full_info().pss for worker in workers)
        return held, held + sum(psutil.Process(server).memory_full_info().pss for server in servers)


def _job(digits: Dataset, folder: Path, number: int) -> Job:
    return Job(
        number=number,
        candidate=Candidate(
            architecture=Architecture(
                input=digits.input,
                layers=(Layer(filters=8, pooling="max", pool_size=2, pool_stride=2),),
                head=Head(pooling="flatten"),
                classes=len(digits.classes),
            ),
            recipe=Recipe(batch_size=64),
        ),
        data=str(digits.folder),
        split=str(folder / "split.npz"),
        length=Length(epochs=3, patience=3),
        seed=number,
        weights=str(folder / f"{number}.weights.h5"),
    )


def _first_step(trial: Trial) -> float:
    """Return when a trial's last spell made its first training step, in seconds since 1970."""
    began = datetime.fromisoformat(trial.resumed_at or trial.started_at).timestamp()
    return began + trial.clock.waiting + trial.clock.building + trial.clock.tracing


def _after_kills(home: Path) -> Iterator[float]:
    """Kill the worker of one trial after the other, and yield the seconds until each trained again."""
    loop = _run(home, "killed", *SMALL, "--trials", str(KILLS + 1), "--workers", "1")
    folder = Home(home).study("killed")
    for number in range(KILLS):
        _wait(partial(_begun, folder, number))
        worker = _wait(lambda: _workers(loop.pid))[0]
        time.sleep(1.0)
        os.kill(worker.pid, signal.SIGKILL)
        killed = time.time()
        ended = _wait(partial(_ended, folder, number))
        if ended.lost:  # else it was over before it was killed
            yield _first_step(ended) - killed
    loop.wait()


def _trial(folder: StudyFolder, number: int) -> Trial | None:
    return folder.record().trials.get(number) if (folder.path / "trials.jsonl").exists() else None


def _begun(folder: StudyFolder, number: int) -> bool:
    trial = _trial(folder, number)
    return trial is not None and trial.worker is None


def _ended(folder: StudyFolder, number: int) -> Trial | None:
    trial = _trial(folder, number)
    return trial if trial is not None and trial.ended_at else None


def _wait(for_what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := for_what()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)
    return found


def _resumed(home: Path) -> float:
    """Return the seconds from `--resume` of a study with many trials to its next training step."""
    loop = _run(home, "known", "--epochs", "8", "--trials", "1", "--repeats", "0", "--workers", "1")
    loop.wait()
    folder = Home(home).study("known")
    study, record = folder.read(), folder.record()
    _fill(record, OptunaEngine("random", "none", 8, 0, Proposals(folder.space(study), 0, ["begin"]), recorded=1))
    with closing(Outbox(folder)) as outbox:  # as if each had been delivered when it ended
        outbox.wait_until_ready()
        outbox.deliver_rest(True)
    begin = time.time()
    loop = _run(home, "known", "--resume", "--trials", str(KNOWN + 1), "--repeats", "0", "--workers", "1")
    try:
        trial = _wait(partial(_ended, folder, KNOWN))
    finally:
        loop.kill()
        loop.wait()
    return _first_step(trial) - begin


def _fill(record: Record, engine: OptunaEngine) -> None:
    """Add trials to a record as if they had been trained."""
    source = random.Random(0)
    engine.learn(0, record.trials[0].values, "complete", record.trials[0].val_accuracy)
    while len(record.trials) < KNOWN:
        proposal = engine.ask()
        assert proposal is not None
        curve = tuple(0.9 * source.random() * (1 - 0.5**epoch) for epoch in range(1, 9))
        outcome = Outcome(
            number=proposal.number,
            ended="complete",
            value=max(curve),
            best_epoch=8,
            gap=0.0,
            epochs=8,
            loss=curve,
            accuracy=curve,
            val_loss=curve,
            val_accuracy=curve,
            seconds=Seconds(training=5.0, evaluating=0.5, building=0.2, tracing=1.0),
        )
        trial = Trial.begin(proposal)
        record.add(trial)
        record.add(trial.end("complete", outcome, 0.0))
        engine.tell(proposal.number, "complete", max(curve))
