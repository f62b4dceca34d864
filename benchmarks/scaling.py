"""Many workers and many trials: the real loop, engine, executor, record and view; workers that train nothing.

How busy the workers are says whether the loop keeps up: the share of their time in which they trained, neither waiting
for an answer nor for the next trial, from their second trial on. SCALING_TRIALS shortens it.
"""

import io
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from convsearch.search.engines.choice import choose, open_engine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.executors.shares import Share
from convsearch.search.launch.progress import ProgressView
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.loop import Loop
from convsearch.search.study.record import Record
from convsearch.search.study.trial import Trial
from convsearch.search.system.programs import Spawner
from convsearch.search.values.job import EpochReport, Job, Length
from convsearch.search.values.proposal import Proposal
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load
from convsearch.spaces.space import SearchSpace

ROOT = Path(__file__).parents[1]
LARGE = Share(cores=(), memory=2**40)


@dataclass(frozen=True)
class Case:
    """A search that is simulated: `epoch` is the mean seconds between two reports of a worker."""

    workers: int
    trials: int
    epochs: int = 30
    engine: str = "optuna"
    algorithm: str = "tpe"
    epoch: float = 1.0

    def __str__(self) -> str:
        return f"{self.workers} workers, {self.trials:,} trials of up to {self.epochs} epochs, {self.algorithm}"


CASES = (
    Case(8, 100),
    Case(50, 1_000),
    Case(500, 10_000),
    Case(500, 3_000, algorithm="random"),
    Case(500, 3_000, epochs=12),
    Case(50, 1_000, engine="keras-tuner", algorithm="hyperband"),
)


@dataclass
class Watch:
    """Listens to a search: what its workers did with their time, and what the loop held in memory."""

    trained: float = 0.0
    waited: float = 0.0
    reports: int = 0
    seen: set[str] = field(default_factory=set)
    memory: dict[int, float] = field(default_factory=dict)
    ended_trials: int = 0

    def began(self, trial: Trial) -> None:
        """Nothing is counted."""

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Count a report."""
        self.reports += 1

    def ended(self, trial: Trial) -> None:
        """Count the time of a trial, unless it was its worker's first."""
        if trial.worker in self.seen:
            self.trained += trial.clock.training
            self.waited += trial.clock.building + trial.clock.waiting
        self.seen.add(str(trial.worker))
        self.ended_trials += 1
        self.memory[self.ended_trials] = memory_mb()

    def tick(self) -> None:
        """Nothing is counted."""

    @property
    def busy(self) -> float:
        """The share of their time in which workers trained."""
        return self.trained / (self.trained + self.waited)


def memory_mb() -> float:
    """Return the megabytes that this process holds now (Linux), or held at most."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="utf-8").split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def simulate(case: Case, folder: Path) -> tuple[Watch, float]:
    """Run a search; return what was seen of it, and its seconds from its first report on."""
    os.environ |= {"PYTHONPATH": str(ROOT), "STUB_EPOCH": str(case.epoch)}
    space = SearchSpace(load("classic"), Volume(32, 32, 3), 10)
    proposals = Proposals(space, 0)
    engine, algorithm, pruner = choose(case.engine, case.algorithm, None)
    (folder / "weights").mkdir(parents=True)
    record, watch = Record(folder), Watch()
    budget = Budget(case.trials, None)

    def job(proposal: Proposal, trial: Trial) -> Job:
        return Job(
            number=proposal.number,
            candidate=proposal.candidate,
            data="",
            split="",
            seed=proposal.number,
            weights="",
            length=Length(epochs=proposal.epochs or case.epochs, patience=case.epochs),
        )

    executor = LocalExecutor(
        folder / "logs", [LARGE] * case.workers, starter=Spawner(), program="benchmarks.stub_worker"
    )
    opened = open_engine(folder, engine, algorithm, pruner, case.epochs, 0, proposals, workers=case.workers)
    view = ProgressView(Console(file=io.StringIO()), record, budget, case.epochs)
    try:
        began = time.monotonic()
        Loop(opened, executor, record, [watch, view], budget, job, folder / "weights").run()
        return watch, time.monotonic() - began
    finally:
        executor.close()
        opened.close()


def measure() -> Iterator[tuple[str, str, str]]:
    """Simulate each case in a process of its own, which holds what a loop holds."""
    most = int(os.environ.get("SCALING_TRIALS", "1000000"))
    for case in CASES:
        case = replace(case, trials=min(case.trials, most))
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            yield str(case), process.submit(_figures, case).result(), _required(case)


def _figures(case: Case) -> str:
    with tempfile.TemporaryDirectory() as place:
        watch, seconds = simulate(case, Path(place) / "study")
    return (
        f"{watch.busy:.1%} busy, {watch.ended_trials / seconds:.1f} trials and {watch.reports / seconds:.0f} reports "
        f"a second, the loop holds {max(watch.memory.values()):.0f} MB"
    )


def _required(case: Case) -> str:
    return "95 % busy" if (case.workers, case.algorithm, case.epochs) == (500, "tpe", 30) else ""
