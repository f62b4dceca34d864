"""Memory of a training as it is foretold, against what its worker holds at most; and searches with little of it.

Random candidates of all kinds are each trained for two epochs by a worker of their own, on images of noise at their
size; while it lasts, the worker's private memory is looked at a thousand times a second. Then data sets of very
different sizes are searched by workers of SHARE, at sizes that need more: no trial may fail, and no worker be lost.
What became of their trials stays in `results/memory.jsonl`.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil

from convsearch.search.data import Dataset, split
from convsearch.search.executors.local import LocalExecutor, starter_for
from convsearch.search.executors.protocol import Started
from convsearch.search.executors.shares import shares
from convsearch.search.sources import open_data
from convsearch.search.study.home import Home
from convsearch.search.system.machine import this_machine
from convsearch.search.system.memory import own_memory
from convsearch.search.system.programs import Starter
from convsearch.search.values.job import EpochReport, Job, Length, Outcome
from convsearch.spaces.architecture import Candidate
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import parse
from convsearch.spaces.memory.limit import Memory
from convsearch.spaces.space import SearchSpace

from .datasets import SHARED
from .machine import machine
from .photographs import LAID_OUT
from .results import Results

COUNT = 30
SEED = int(os.environ.get("MEMORY_SEED", "2"))
CLOSE, OFTEN = 1.6, 27  # at most so many times what is held, in so many of the 30
SIZES = [(16, 16), (28, 28), (32, 32), (48, 64), (64, 64), (96, 128), (128, 128), (160, 213), (224, 224), (333, 500)]
CLASSES, VALIDATED = 10, 300
SHARE, TRIALS = "2GB", 40
SEARCHED = {  # data sets, and the sizes at which they are searched
    "digits": "auto",
    "cifar10": "[32, 64]",
    "sign_digits": "[32, 100, 224]",
    "ants_bees": "[64, 224, 333]",
    "telephone": "[96, 384, 768]",
}
MOST_BYTES, MOST_MACS, MOST_PARAMETERS = 1.6e9, 2.5e10, 3e7  # of a batch: what two cores train in a minute
KINDS = """
layers: [1, 2, 3, 4, 5, 6, 7]
each_layer:
  filters: [4, 8, 16, 24, 32, 64, 96, 128]
  kernel_size: [1, 3, 5, 7]
  stride: [1, 2]
  padding: [same, valid, 1]
  activation: [relu, leaky_relu, elu, selu, gelu, silu, tanh, sigmoid, softplus, linear]
  batch_norm: [true, false]
  pooling: [none, max, average, l2]
  pool_size: [2, 3]
  dropout: [off, 0.3]
  one_by_one: [off, 32]
head: {pooling: [flatten, global_average, global_max], hidden_layers: [0, 1], units: [64, 512], dropout: [off, 0.3]}
recipe: {optimizer: [adamw, adam, nadam, sgd, rmsprop], batch_size: [4, 8, 16, 32, 64, 128]}
augmentation:
  horizontal_flip: [true, false]
  crop: [off, 0.2]
  translation: [off, 0.1]
  rotation: [off, 15]
  colour_jitter: [off, 0.3]
  greyscale: [off, 0.2]
"""


def measure() -> Iterator[tuple[str, str, str]]:
    """Train the candidates, and yield how the foretold memory compares with the measured."""
    ratios = []
    with closing(starter_for(shares(this_machine(), 1))) as starter:
        for candidate in candidates(random.Random(SEED), COUNT):
            held = _most_held(candidate, starter)
            ratios.append(Memory(limit=1).needed(candidate) / held)
    ratios.sort()
    yield (
        f"foretold memory of a training, times what its worker holds at most, {COUNT} candidates",
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {ratios[COUNT // 2]:.2f}; {sum(r <= CLOSE for r in ratios)} up "
        f"to {CLOSE}",
        f"1 at least; {OFTEN} up to {CLOSE}",
    )
    yield from _searched()


def _searched() -> Iterator[tuple[str, str, str]]:
    """Search with little memory what has not been searched, and yield what became of the trials."""
    results, current = Results("memory"), []
    for data, sizes in SEARCHED.items():
        key = {"data": data, "sizes": sizes, "trials": TRIALS, "share": SHARE, "machine": machine()}
        if not results.has(key):
            results.add(key | _search(data, sizes))
        current += [row for row in results.rows if key.items() <= row.items()]
    states = sum((Counter(row["states"]) for row in current), Counter[str]())
    lost, smaller = (sum(row[name] for row in current) for name in ("lost", "smaller"))
    yield (
        f"{len(SEARCHED)} data sets, {TRIALS} trials each, workers of {SHARE}: trials that failed, workers lost",
        f"{states['failed']}, {lost} ({', '.join(f'{count} {state}' for state, count in states.items())}; {smaller} in "
        f"smaller batches than the space has; exit codes {', '.join(str(row['exit']) for row in current)})",
        "0, 0",
    )


def _search(data: str, sizes: str) -> dict[str, Any]:
    """Search a data set at some sizes, an epoch a trial, and return what became of the trials."""
    command = str(Path(sys.executable).with_name("convsearch"))
    options = ["--trials", str(TRIALS), "--epochs", "1", "--repeats", "0", "--algorithm", "random", "--memory", SHARE]
    options += ["--set", f"input_size={sizes}", "--set", "batch_size=[16, 64, 256]", "--study", data]
    with tempfile.TemporaryDirectory() as place:
        images, home = _place_of(data, Path(place)), Path(place) / "home"
        whole = [command, "run", "--data", images, *options, "--home", str(home)]
        done = subprocess.run(whole, capture_output=True)
        trials = Home(home).study(data).record().trials.values()
        return {
            "exit": done.returncode,
            "states": Counter(trial.state for trial in trials),
            "lost": sum(len(trial.lost) for trial in trials),
            "smaller": sum(trial.candidate.recipe.batch_size < int(trial.values["batch_size"]) for trial in trials),
        }


def _place_of(data: str, folder: Path) -> str:
    """Return what `--data` names, laid out in a folder where it is not as it has to be."""
    if data in LAID_OUT:
        return str(LAID_OUT[data](folder / data))
    return data if data == "digits" else str(SHARED / data)


def candidates(random_source: random.Random, count: int) -> Iterator[Candidate]:
    """Yield random candidates that two cores can train, on images of many sizes."""
    definition = parse(KINDS, "kinds.yaml")
    while count:
        volume = Volume(*random_source.choice(SIZES), random_source.choice([1, 3, 3]))
        space = SearchSpace(definition, volume, CLASSES)
        candidate = space.candidate(space.draw(random_source))
        architecture, batch = candidate.architecture, candidate.recipe.batch_size
        if (
            architecture.activation_bytes * batch <= MOST_BYTES
            and architecture.macs * batch <= MOST_MACS
            and architecture.parameters <= MOST_PARAMETERS
        ):
            count -= 1
            yield candidate


def _most_held(candidate: Candidate, starter: Starter) -> int:
    """Return the most bytes that a worker holds while it trains a candidate."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        dataset = _noise(candidate, folder)
        split(dataset, seed=0).save(folder / "split.npz")
        job = Job(
            number=0,
            candidate=candidate,
            data=str(dataset.folder),
            split=str(folder / "split.npz"),
            length=Length(epochs=2, patience=2),
            seed=0,
            weights=str(folder / "0.weights.h5"),
        )
        with closing(LocalExecutor(folder / "logs", shares(this_machine(), 1), starter=starter)) as executor:
            (pid,) = executor.processes()
            seen = _Highest(psutil.Process(pid))
            executor.submit(job)
            while not isinstance(event := executor.next_event(1.0), Outcome):
                if isinstance(event, EpochReport):
                    executor.answer(0, True)
                elif not isinstance(event, Started | None):
                    raise RuntimeError(f"{candidate.architecture}: {event}")
            return seen.end()


def _noise(candidate: Candidate, folder: Path) -> Dataset:
    """Return a data set of noise with two batches to train on."""
    random_source = np.random.default_rng(0)
    train, volume = max(2 * candidate.recipe.batch_size, 3 * CLASSES), candidate.architecture.input
    arrays: dict[str, Any] = {}
    for part, count in (("train", train), ("val", VALIDATED), ("test", CLASSES)):
        images = random_source.integers(0, 256, (count, *volume), np.uint8)
        arrays |= {f"x_{part}": images, f"y_{part}": np.arange(count) % CLASSES}
    np.savez(folder / "noise.npz", **arrays)
    return open_data(str(folder / "noise.npz"), folder / "data", image_size=(volume.height, volume.width))


class _Highest:
    """The most private memory of a process, while a thread looks at it."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._most, self._over = process, 0, Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.is_set():
            self._most = max(self._most, own_memory(self._process))
            time.sleep(0.001)

    def end(self) -> int:
        """Stop looking, and return the bytes."""
        self._over.set()
        self._thread.join()
        return self._most
