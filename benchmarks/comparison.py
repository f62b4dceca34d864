"""Convsearch against its engines used by hand and against no search at all, with the same time on the same images.

The opponents are scripts in a folder of their own, PEERS in the environment: Optuna and KerasTuner as a careful user
writes them, and one good network without any search. They take turns, seed by seed. Their clocks begin when their
images are in memory and their libraries imported; ours begins with the command.

A peer's validation accuracy is that of the network it hands out. So is that of the one network. Ours learns from the
validation images in the end; what is told is the accuracy of its trial, which was trained for a fraction of the time,
and the curves end with the search. Only the test accuracies are of what is handed out by everybody.

Rows stay in `results/comparison.jsonl`; what is there from this machine is not run again, so that the whole may take
several sittings. SEEDS and CASES in the environment choose a part, parted by commas, and OPPONENTS, by semicolons. The
table has a part for each machine, and each line the days of its runs; two are set against each other only where they
have the same seed and the same machine. The curves are made of all rows.

Near the limit: the whole time until the winner is trained is held against twice what its own training took and once
what it took to know it, from the command to the moment in which the search saw its best accuracy. The moment in which
the winner reaches that accuracy again is not to be seen, because nothing is validated any more.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter
from PIL import Image

from convsearch.search.data import split
from convsearch.search.sources import open_data
from convsearch.search.study.folder import StudyFolder
from convsearch.search.study.home import Home
from convsearch.search.study.trial import Trial

from .datasets import SHARED
from .machine import machine
from .results import FOLDER, Results

PEERS = Path(os.environ.get("PEERS", Path(__file__).parents[2] / "shared" / "peers"))
PICTURES = FOLDER if "RESULTS" in os.environ else Path(__file__).parents[1] / "docs" / "images"
SEEDS = tuple(map(int, os.environ.get("SEEDS", "1,2,3").split(",")))
OURS, ALONE = "Convsearch", "one network, no search"
OPPONENTS = {  # what each is called, and its script with the arguments before the common ones
    OURS: (),
    "Optuna by hand": ("optuna_peer.py",),
    "KerasTuner Hyperband by hand": ("keras_tuner_peer.py", "hyperband-patient"),
    "KerasTuner Bayesian by hand": ("keras_tuner_peer.py", "bayesian-patient"),
    ALONE: ("one_network.py",),
}
PEER_NAMES = [name for name in OPPONENTS if name.endswith("by hand")]
Row = Mapping[str, Any]  # one run, as `results/comparison.jsonl` has it


@dataclass(frozen=True)
class Case:
    """Images and a time, and who competes."""

    data: str
    seconds: int
    opponents: tuple[str, ...]

    @property
    def name(self) -> str:
        """As CASES has it."""
        return f"{self.data}-{self.seconds}"


CASES = (
    Case("cifar10", 600, tuple(OPPONENTS)),
    Case("digits", 180, (OURS, *PEER_NAMES)),
    Case("cifar10", 1800, (OURS, ALONE)),
)


def measure() -> Iterator[tuple[str, str, str]]:
    """Run what is missing, turn by turn; yield the medians and what was required of them; draw the curves."""
    results = Results("comparison")
    chosen = os.environ.get("CASES", ",".join(case.name for case in CASES)).split(",")
    who = os.environ.get("OPPONENTS", ";".join(OPPONENTS)).split(";")
    with tempfile.TemporaryDirectory() as name:
        folders = {"cifar10": SHARED / "cifar10", "digits": _digits(Path(name) / "digits")}
        for case in (case for case in CASES if case.name in chosen):
            for seed in SEEDS:
                for opponent in (opponent for opponent in case.opponents if opponent in who):
                    key = {"data": case.data, "budget": case.seconds, "opponent": opponent, "seed": seed}
                    if not results.has(key | {"machine": machine()}):
                        run = _ours if opponent == OURS else _peer
                        results.add(key | run(opponent, folders[case.data], case.seconds, seed))
    for case in CASES:
        rows = [row for row in results.rows if (row["data"], row["budget"]) == (case.data, case.seconds)]
        for where in dict.fromkeys(row["machine"] for row in rows):
            yield from report(case, where, [row for row in rows if row["machine"] == where])
        if rows:
            draw(case, rows)


def _digits(folder: Path) -> Path:
    """Write the digits as folders of images, so that everybody has the same test images."""
    with tempfile.TemporaryDirectory() as name:
        dataset = open_data("digits", Path(name))
        images, labels, parts = np.array(dataset.images()), dataset.labels(), split(dataset, 0)
    for part, rows in (("train", np.concatenate([parts.train, parts.val])), ("test", parts.test)):
        for row in rows:
            place = folder / part / dataset.classes[labels[row]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row, :, :, 0]).save(place / f"{row}.png")
    return folder


def _peer(opponent: str, data: Path, seconds: int, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log.jsonl"
        script, *more = OPPONENTS[opponent]
        common = ["--data", data.resolve(), "--seconds", seconds, "--seed", seed, "--out", log]
        begin = time.perf_counter()
        subprocess.run([sys.executable, script, *more, *map(str, common)], cwd=PEERS, check=True, capture_output=True)
        wall = time.perf_counter() - begin
        *lines, last = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    final = last["final"]
    course: list[tuple[float, float]] = []
    for line in lines:
        if line["val_accuracy"] is not None and line["val_accuracy"] > (course[-1][1] if course else 0):
            course.append((line["t"], line["val_accuracy"]))
    return {
        "validation": final["best_val_accuracy"],
        "test": final["test_accuracy"],
        "wall": round(wall, 1),
        "counts": final["counts"],
        "course": course,
    }


def _ours(opponent: str, data: Path, seconds: int, seed: int) -> dict[str, Any]:
    command = str(Path(sys.executable).with_name("convsearch"))
    with tempfile.TemporaryDirectory() as home:
        options = ["--data", data, "--minutes", seconds / 60, "--seed", seed, "--study", "c", "--home", home]
        began = time.time()
        subprocess.run([command, "run", *map(str, options)], check=True, capture_output=True)
        wall = time.time() - began
        study = Home(Path(home)).study("c")
        found = _facts(study, began, wall)
    return found | {"wall": round(wall, 1)}


def _facts(study: StudyFolder, began: float, wall: float) -> dict[str, Any]:
    record, result = study.record(), study.result()
    assert result is not None
    worked = sum(trial.seconds - trial.clock.waiting for trial in record.trials.values())
    worked += sum(repeat.seconds for repeat in study.repeats().all)
    laps, final = result.seconds, result.final
    worked += laps["testing"]
    points = [point for trial in record.trials.values() for point in _epochs(trial, began)]
    if final is not None:
        spent = final.seconds
        worked += spent.total - spent.waiting
        start = laps["beginning"] + laps["search"] + laps["repeats"] + spent.building + spent.tracing
        each = (spent.training + spent.evaluating) / max(1, len(final.val_accuracy))
        points += [(start + each * (i + 1), value) for i, value in enumerate(final.val_accuracy)]
    course: list[tuple[float, float]] = []
    for moment, value in sorted(points):
        if round(value, 4) > (course[-1][1] if course else 0):
            course.append((round(moment, 1), round(value, 4)))
    hashes = [trial.hash for trial in record.trials.values() if trial.state != "interrupted"]
    return {
        "validation": result.val_accuracy,
        "with_validation": result.with_validation,
        "winner": str(record.trials[result.best].candidate.architecture),
        "test": result.test.accuracy,
        "counts": {state: count for state, count in record.counts().items() if count},
        "twice": len(hashes) - len(set(hashes)),
        "laps": laps,
        "overhead": round(1 - worked / wall, 4),
        "course": course,
    }


def _epochs(trial: Trial, began: float) -> Iterator[tuple[float, float]]:
    """Yield when each epoch of a trial ended, seconds since the command began, and what it validated with."""
    clock = trial.clock
    start = datetime.fromisoformat(trial.started_at).timestamp() - began
    start += clock.waiting + clock.building + clock.tracing
    each = (clock.training + clock.evaluating) / max(1, trial.epochs)
    for epoch, value in enumerate(trial.val_accuracy, start=1):
        yield start + epoch * each, value


# ---------------------------------------------------------------------- results


def report(case: Case, where: str, rows: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield a line for each opponent on a machine, and one for each thing that was required."""
    by = {name: [row for row in rows if row["opponent"] == name] for name in case.opponents}
    by = {name: found for name, found in by.items() if found}
    what = f"{case.data}, {case.seconds / 60:g} min, {where.partition(',')[0]}"
    for name, found in by.items():
        told = (
            f"validation {_median(found, 'validation'):.1%}, test {_median(found, 'test'):.1%} "
            f"({_spread(found, 'test')}); {_states(found)}; {_days(found)}"
        )
        yield f"{what}: {name}", told, ""
    if OURS not in by:
        return
    ours = by[OURS]
    if met := _met(ours, [row for name in PEER_NAMES for row in by.get(name, [])]):
        told = ", ".join(_until(row["course"], max(peer["validation"] for peer in peers)) for row, peers in met)
        limit = "60 s" if case.data == "cifar10" else f"{case.seconds / 10:.0f} s"
        yield f"{what}: until the final accuracy of the best peer it met is validated", told, limit
        required = "+8" if case.seconds == 600 else ""
        yield f"{what}: test, ahead of the best peer", _ahead(met), required
    if met := _met(ours, by.get(ALONE, [])):
        required = "level" if case.seconds == 600 else "+1.5"
        yield f"{what}: test, ahead of one network without a search", _ahead(met), required
    yield f"{what}: not building, training or evaluating", _spread(ours, "overhead"), "3 %"
    counts = [row["counts"].get("failed", 0) for row in ours], [row["twice"] for row in ours]
    yield f"{what}: trials that were invalid, trained twice", f"{sum(counts[0])}, {sum(counts[1])}", "0, 0"
    yield f"{what}: seconds", ", ".join(f"{row['wall']:.0f}" for row in ours), f"{1.05 * case.seconds:.0f}"
    for row in ours:
        laps = row["laps"]
        searched = sum(laps[name] for name in ("beginning", "search", "repeats"))
        known, trained = max(moment for moment, _ in row["course"] if moment <= searched), searched + laps["winner"]
        told = f"{trained:.0f} s; the winner alone {laps['winner']:.0f} s, until it was known {known:.0f} s"
        limit = f"{2 * laps['winner'] + known:.0f} s"
        yield f"{what}, seed {row['seed']}: until the winner is trained", told, limit


def _states(rows: Sequence[Row]) -> str:
    """Return how many trials ended how, in the median of the seeds."""
    states = dict.fromkeys(state for row in rows for state in row["counts"])
    counts = {state: statistics.median(row["counts"].get(state, 0) for row in rows) for state in states}
    return ", ".join(f"{count:g} {state}" for state, count in counts.items())


def _days(rows: Sequence[Row]) -> str:
    return " and ".join(f"{date.fromisoformat(day):%d %B %Y}" for day in sorted({row["date"] for row in rows}))


def _met(ours: Sequence[Row], others: Sequence[Row]) -> list[tuple[Row, list[Row]]]:
    """Return each of our rows with the others that had its seed; without those that met nobody."""
    pairs = [(row, [other for other in others if other["seed"] == row["seed"]]) for row in ours]
    return [(row, found) for row, found in pairs if found]


def _ahead(met: Sequence[tuple[Row, list[Row]]]) -> str:
    """Return by how many points of test accuracy each of ours is ahead of the best it met, and the median."""
    points = [100 * (row["test"] - max(other["test"] for other in others)) for row, others in met]
    return f"{statistics.median(points):+.1f} points ({', '.join(f'{each:+.1f}' for each in points)})"


def _median(rows: Sequence[Row], key: str) -> float:
    return statistics.median(float(row[key]) for row in rows)


def _spread(rows: Sequence[Row], key: str) -> str:
    return ", ".join(f"{row[key]:.1%}" for row in rows)


def _until(course: Sequence[Sequence[float]], mark: float) -> str:
    """Return what is to be validated, and when it was; courses have four digits."""
    moment = next((moment for moment, value in course if value >= mark - 5e-5), None)
    return f"{mark:.1%} " + ("never" if moment is None else f"after {moment:.0f} s")


def draw(case: Case, rows: Sequence[Row]) -> None:
    """Draw the best validation accuracy by time, the median of the seeds, each seed thinly; and all test accuracies."""
    plt.rcParams["svg.hashsalt"] = case.name  # the same picture every time
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    times = np.linspace(0, case.seconds, 600)
    for number, name in enumerate(case.opponents):
        found = [row for row in rows if row["opponent"] == name]
        if not found:
            continue
        color = f"C{number}"
        courses = [row["course"] for row in found]
        lines = [[max((v for t, v in course if t <= moment), default=np.nan) for moment in times] for course in courses]
        for line in lines:
            axes.plot(times, line, color=color, alpha=0.25, linewidth=0.8)
        if name == ALONE:  # it is validated once, at its end
            axes.scatter(
                [course[-1][0] for course in courses], [course[-1][1] for course in courses], color=color, s=15
            )
        axes.plot(times, np.median(lines, axis=0), color=color, linewidth=2, label=name)
        ends = [row["wall"] for row in found], [row["test"] for row in found]
        axes.scatter(*ends, color=color, marker="*", s=70, edgecolors="black", linewidths=0.5, zorder=3)
    axes.scatter([], [], color="white", marker="*", s=70, edgecolors="black", label="test accuracy, each seed")
    best = max(row["validation"] for row in rows)
    bottom = max(0.0, 1 - 20 * (1 - best))  # where nearly all is right, what is left of it is of interest
    top = 1 + 0.03 * (1 - bottom) if bottom else None
    axes.set(xlabel="seconds", ylabel="best validation accuracy so far", ylim=(bottom, top))
    axes.set_xlim(0, 1.07 * case.seconds)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    seeds = len({row["seed"] for row in rows})
    axes.set_title(
        f"{case.data}, {case.seconds / 60:g} minutes, " + (f"medians of {seeds} seeds" if seeds > 1 else "one seed")
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower center")
    figure.savefig(PICTURES / f"{case.name}.svg", metadata={"Date": None})
    plt.close(figure)
