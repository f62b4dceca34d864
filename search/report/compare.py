"""Studies side by side, whatever their engines: accuracy over time, trials by state, the best network, its cost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..data import Split
from ..study.folder import StudyFolder
from ..study.objectives import OBJECTIVES, front_facts
from ..study.record import Record
from ..study.trial import searched
from ..values.words import duration

MOMENTS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds of a search


def course(record: Record) -> list[tuple[float, float]]:
    """Return how the best validation accuracy rose: (seconds of search, accuracy), a pair for each improvement.

    Only the time in which some trial ran counts: a study that was resumed a day later has not searched for a day.
    """
    spells = [
        spell._replace(value=None) if trial.state == "failed" else spell  # what it reached before cannot be trusted
        for trial in record.trials.values()
        for spell in trial.spells
    ]
    ran = searched([(_seconds(spell.began), _seconds(spell.ended)) for spell in spells])
    ends = [(seconds, spell.value) for seconds, spell in zip(ran, spells, strict=True) if spell.value is not None]
    best, found = float("-inf"), []
    for seconds, value in sorted(ends):
        if value > best:
            best = value
            found.append((round(seconds, 3), best))
    return found


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def as_json(folders: Sequence[StudyFolder]) -> dict[str, Any]:
    """Return the comparison as `compare --json` prints it; `best` is the winner, or the best trial so far."""
    return {"studies": [_facts(folder) for folder in folders]}


def _facts(folder: StudyFolder) -> dict[str, Any]:
    study, record, result = folder.read(), folder.record(), folder.result()
    named = folder.standing(record)
    trials = record.trials.values()
    return {
        "study": study.name,
        "data": {"name": study.data.name, "fingerprint": study.data.fingerprint, "input": list(study.data.input)},
        "space": study.space,
        "engine": study.engine,
        "algorithm": study.algorithm,
        "objectives": list(study.objectives),
        "front": front_facts(record, study.objectives) if study.preference.several else [],
        "counts": record.counts(),
        "seconds": sum(trial.seconds for trial in trials),
        "epochs": sum(trial.epochs for trial in trials),
        "course": course(record),
        "best": None
        if named is None
        else {
            "number": named.trial.number,
            "value": named.trial.value,
            "mean": named.mean,
            "spread": named.spread,
            "architecture": str(named.trial.candidate.architecture),
            **{name: objective.of(named.trial) for name, objective in OBJECTIVES.items() if not objective.maximize},
        },
        "test": {"accuracy": result.test.accuracy, "interval_95": result.test.interval_95} if result else None,
    }


def comparison(folders: Sequence[StudyFolder]) -> RenderableType:
    """Return the comparison for people: one column per study."""
    facts = [_facts(folder) for folder in folders]
    table = Table(show_lines=False)
    table.add_column("")
    for fact in facts:
        table.add_column(fact["study"], overflow="fold")
    for name, cells in _rows(facts):
        table.add_row(name, *cells)
    note = incomparable(folders)
    return table if note is None else Group(table, Text(note, style="yellow"))


def incomparable(folders: Sequence[StudyFolder]) -> str | None:
    """Return why accuracies of the studies cannot be compared as they stand, or None.

    Raises:
        InputError: a study or its split cannot be read.
    """
    if len(folders) < 2:
        return None
    data = [folder.read().data for folder in folders]
    if not all(one.has_images_of(data[0]) for one in data):
        return "These studies have different data: their accuracies say little about each other."
    first, *others = (Split.load(folder.split) for folder in folders)
    if any(not np.array_equal(first.test, parts.test) for parts in others):
        return (
            "These studies have the same images, but tested with different ones of them (--seed): a difference of "
            "their tests is also one of the images, and what one tested with, another may have trained with."
        )
    if any(not np.array_equal(first.val, parts.val) for parts in others):
        return "These studies validated with different images (--seed): compare their tests."
    return None


def _rows(facts: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    def row(name: str, cell: Any) -> tuple[str, list[str]]:
        return name, [cell(fact) for fact in facts]

    several = any(fact["front"] for fact in facts)
    longest = max((fact["course"][-1][0] for fact in facts if fact["course"]), default=0.0)
    moments = [m for m in MOMENTS if m < longest] + [next((m for m in MOMENTS if m >= longest), longest)]
    return [
        row("data", lambda f: f"{f['data']['name']} {'x'.join(map(str, f['data']['input']))}"),
        row("space", lambda f: f["space"]),
        row("engine", lambda f: f"{f['engine']} {f['algorithm']}"),
        *([row("objectives", lambda f: ", ".join(f["objectives"]))] if several else []),
        row("trials", lambda f: ", ".join(f"{n} {state}" for state, n in f["counts"].items() if n) or "none"),
        *(row(f"best after {_moment(m)}", lambda f, m=m: _share(_at(f["course"], m))) for m in moments),
        *([row("trials on the front", lambda f: str(len(f["front"]) or ""))] if several else []),
        row("best network", lambda f: f["best"]["architecture"] if f["best"] else ""),
        row("best validation", lambda f: _validation(f["best"]) if f["best"] else ""),
        row("test", _test),
        *(row(OBJECTIVES[name].heading, lambda f, name=name: _cost(f["best"], name)) for name in _costs(facts)),
        row("epochs trained", lambda f: f"{f['epochs']:,}"),
        row("time in trials", lambda f: duration(f["seconds"])),
    ]


def _costs(facts: Sequence[dict[str, Any]]) -> list[str]:
    """Return the costs to compare: those of the network's arithmetic, and any other objectives of the studies."""
    wanted = {name for fact in facts for name in fact["objectives"]} | {"parameters", "macs"}
    return [name for name, objective in OBJECTIVES.items() if name in wanted and not objective.maximize]


def _cost(best: dict[str, Any] | None, name: str) -> str:
    return "" if best is None or best[name] is None else OBJECTIVES[name].text(best[name])


def _validation(best: dict[str, Any]) -> str:
    """Return the best network's accuracy, which another trial may have surpassed by luck, or at a higher cost."""
    if best["spread"] is None:
        return _share(best["value"])
    return f"mean {best['mean']:.1%}, standard deviation {best['spread']:.1%}"


def _moment(seconds: float) -> str:
    """Return one of MOMENTS in readable units."""
    for unit, length in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _at(course: Sequence[tuple[float, float]], moment: float) -> float | None:
    reached = [value for seconds, value in course if seconds <= moment]
    return reached[-1] if reached else None


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _test(fact: dict[str, Any]) -> str:
    if fact["test"] is None:
        return ""
    low, high = fact["test"]["interval_95"]
    return f"{fact['test']['accuracy']:.1%} ({low:.1%} to {high:.1%})"
