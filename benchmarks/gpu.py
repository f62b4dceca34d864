"""One GPU: eight small networks at a time against one at a time, in trials a minute. Needs what workers need.

With JAX, `XLA_FLAGS=--xla_gpu_autotune_level=0` takes kernels as they come instead of trying which is the fastest.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from convsearch.search.data import Dataset, split
from convsearch.search.executors.local import LocalExecutor
from convsearch.search.executors.run_jobs import run_jobs
from convsearch.search.executors.shares import Share, shares
from convsearch.search.sources import open_data
from convsearch.search.system.backend import visible_gpus
from convsearch.search.system.machine import this_machine
from convsearch.search.values.job import EpochReport, Job, Length, Seconds
from convsearch.spaces.architecture import Architecture, Candidate, Head, Layer, Recipe

AT_A_TIME = 8
TRIALS = 16
IMAGES = 8_000
LENGTHS = (5, 20)  # epochs of a trial
CLASSES = 10


def measure() -> Iterator[tuple[str, str, str]]:
    """Yield the trials a minute of both ways for each length, where a trial's time goes, and how many times as many."""
    machine = this_machine()
    what = f"one GPU, {AT_A_TIME} small networks at a time against one"
    if not machine.gpus:
        yield what, "blank: this machine has no GPU", ""
        return
    if not visible_gpus():
        yield what, "blank: the backend does not see the GPU; `convsearch doctor` says what mends it", ""
        return
    one = replace(machine, gpus=machine.gpus[:1])
    with TemporaryDirectory() as name:
        folder = Path(name)
        dataset = images(folder, IMAGES)
        for epochs in LENGTHS:
            rates = []
            for count in (1, AT_A_TIME):
                rate, spent = trials_a_minute(shares(one, count, per_gpu=count), dataset, folder, epochs)
                rates.append(rate)
                yield (
                    f"{one.gpus[0].name}, {epochs} epochs, {count} at a time, {len(one.cores)} cores",
                    f"{rate:.1f} trials a minute; of a trial's seconds {_parts(spent)}",
                    "",
                )
            required = "at least 4 times" if epochs == LENGTHS[0] else ""
            yield f"{what}, {epochs} epochs", f"{rates[1] / rates[0]:.2f} times as many trials", required


def images(folder: Path, count: int) -> Dataset:
    """Return random images of 32x32x3 whose brightness tells their class, with `split.npz` in the folder."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    pixels = random.integers(0, 100, (count, 32, 32, 3)) + 15 * labels[:, None, None, None]
    np.savez(folder / "images.npz", x=pixels.astype(np.uint8), y=labels)
    dataset = open_data(str(folder / "images.npz"), folder / "data")
    split(dataset, 0).save(folder / "split.npz")
    return dataset


def trials_a_minute(shared: Sequence[Share], dataset: Dataset, folder: Path, epochs: int) -> tuple[float, Seconds]:
    """Return how many trials a minute workers with these shares train, once each has come up and trained one.

    And where the seconds of all of them went.
    """
    with closing(LocalExecutor(folder / "logs", shared)) as executor:
        _run([_job(number, dataset, folder, 1) for number in range(len(shared))], executor)
        began = time.perf_counter()
        spent = _run([_job(number, dataset, folder, epochs) for number in range(TRIALS)], executor)
        return TRIALS * 60 / (time.perf_counter() - began), spent


def _run(jobs: list[Job], executor: LocalExecutor) -> Seconds:
    spent = Seconds()
    for job, outcome in run_jobs(iter(jobs), executor, stop=lambda: False, on_epoch=_ignore):
        if outcome.ended != "complete":
            raise RuntimeError(f"trial {job.number}: {outcome.error or outcome.ended}")
        spent += outcome.seconds
    return spent


def _parts(spent: Seconds) -> str:
    return ", ".join(f"{seconds / TRIALS:.1f} {part}" for part, seconds in spent)


def _ignore(report: EpochReport) -> None:
    pass


def _job(number: int, dataset: Dataset, folder: Path, epochs: int) -> Job:
    """Return a small network of its own size, as each trial of a search has."""
    layer = Layer(filters=16 + number, batch_norm=True, pooling="max", pool_size=2, pool_stride=2)
    architecture = Architecture(
        input=dataset.input,
        layers=(layer, layer.model_copy(update={"filters": 32 + number})),
        head=Head(pooling="global_average"),
        classes=CLASSES,
    )
    return Job(
        number=number,
        candidate=Candidate(
            architecture=architecture,
            recipe=Recipe(optimizer="adam", learning_rate=0.002, schedule="constant", batch_size=64),
        ),
        data=str(dataset.folder),
        split=str(folder / "split.npz"),
        seed=number,
        weights=str(folder / f"{number}.weights.h5"),
        length=Length(epochs=epochs, patience=epochs),
    )
