"""What a study came to: for people as tables, for scripts as the JSON of the contract."""

from collections import Counter
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .home import Home, StudyFile, StudyFolder
from .progress import STATE_STYLES, duration, sparkline
from .record import Record, Trial

SHOWN = 10  # trials in the table of the best
COMMON = 5  # of the best trials, what is common to all of them


def as_json(folder: StudyFolder) -> dict[str, Any]:
    """Return the study as `show --json` prints it."""
    study, record, result = folder.read(), folder.record(), folder.result()
    best = next(iter(record.best()), None)
    data = study.data
    return {
        "study": study.name,
        "engine": study.engine,
        "algorithm": study.algorithm,
        "objective": study.objective,
        "direction": study.direction,
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "input": list(data.input),
            "classes": len(data.classes),
            "train": data.train,
            "val": data.val,
            "test": data.test,
        },
        "seconds": sum(trial.seconds for trial in record.trials.values()),
        "counts": record.counts(),
        "trials": [_trial(trial) for trial in sorted(record.trials.values(), key=lambda t: t.number)],
        "best": {"number": best.number, "value": best.value} if best else None,
        "test": {"accuracy": result["test"]["accuracy"], "interval_95": result["test"]["interval_95"]}
        if result
        else None,
        "bundle": str(folder.bundle) if result else None,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return trial.model_dump(mode="json", exclude={"values"})


def study_table(home: Home) -> RenderableType:
    """Return all studies of a home, a line each."""
    table = Table()
    for name in ("study", "data", "engine", "trials", "best", "test", "architecture"):
        table.add_column(name, overflow="fold" if name == "architecture" else "ellipsis")
    for folder in home.studies():
        study, record, result = folder.read(), folder.record(), folder.result()
        best = next(iter(record.best()), None)
        table.add_row(
            study.name,
            study.data.name,
            f"{study.engine} {study.algorithm}",
            str(record.finished()),
            f"{best.value:.1%}" if best and best.value is not None else "",
            f"{result['test']['accuracy']:.1%}" if result else "",
            str(best.candidate.architecture) if best else "",
        )
    return table


def show(folder: StudyFolder) -> RenderableType:
    """Return a study for people: its data, its best trials, what they have in common, its test."""
    study, record = folder.read(), folder.record()
    parts: list[RenderableType] = [Text(_head(study, record)), best_table(record)]
    parts += [Text(line) for line in [*common_lines(record), *failure_lines(record), *result_lines(folder)]]
    return Group(*parts)


def _head(study: StudyFile, record: Record) -> str:
    data, counts = study.data, record.counts()
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no trial yet"
    values = [t.value for t in sorted(record.trials.values(), key=lambda t: t.number) if t.value]
    return (
        f"study {study.name}: {data.name} {data.input}, {len(data.classes)} classes; "
        f"space {study.space}, {study.engine} {study.algorithm}\n{told}  {sparkline(values)}"
    )


def best_table(record: Record) -> RenderableType:
    """Return the best trials as a table."""
    table = Table(title="the best trials", title_justify="left")
    for name in ("trial", "state", "validation", "gap", "epochs", "time", "parameters", "MACs"):
        table.add_column(name, justify="left" if name == "state" else "right")
    table.add_column("architecture", overflow="fold")
    for trial in record.best(SHOWN):
        table.add_row(
            str(trial.number),
            Text(trial.state, style=STATE_STYLES[trial.state]),
            f"{trial.value:.1%}" if trial.value is not None else "",
            f"{trial.gap:+.1%}" if trial.gap is not None else "",
            str(trial.epochs),
            duration(trial.seconds),
            f"{trial.parameters:,}",
            f"{trial.macs:,}",
            str(trial.candidate.architecture),
        )
    return table


def common_lines(record: Record) -> list[str]:
    """Return what the best trials have in common and the others have not: words and numbers that all of them share."""
    best = record.best(COMMON)
    others = [t for t in record.trials.values() if t.value is not None and t not in best]
    if len(best) < COMMON or len(others) < COMMON:
        return []
    flats = [trial.candidate.flat() for trial in best]
    rest = [trial.candidate.flat() for trial in others]
    lines = []
    for name, value in flats[0].items():
        if all(flat.get(name) == value for flat in flats):
            share = Counter(flat.get(name) == value for flat in rest)[True] / len(rest)
            if share <= 0.7:  # what nearly all trials have says nothing about the best
                lines.append((share, f"  {name} is {value} (in {share:.0%} of the others)"))
    if not lines:
        return [f"the best {COMMON} have nothing in common that the others lack"]
    return [f"the best {COMMON} have in common:", *(line for _, line in sorted(lines)[:8])]


def failure_lines(record: Record) -> list[str]:
    """Return why trials failed, each reason once."""
    reasons = Counter(t.error for t in record.trials.values() if t.state == "failed" and t.error)
    return [f"failed, {count} x: {reason}" for reason, count in reasons.most_common(5)]


def result_lines(folder: StudyFolder) -> list[str]:
    """Return the test of the winner."""
    result = folder.result()
    if result is None:
        return []
    test = result["test"]
    low, high = test["interval_95"]
    return [
        f"winner: trial {result['best']}, validation accuracy {result['val_accuracy']:.1%}",
        f"test accuracy {test['accuracy']:.1%}, 95 % interval {low:.1%} to {high:.1%} ({test['count']:,} images)",
        f"bundle: {folder.bundle}",
    ]


def next_commands(home: Home, folder: StudyFolder) -> list[str]:
    """Return what to type next."""
    result = folder.result() or {}
    option = "" if str(home.path) == "studies" else f" --home {home.path}"
    return [
        f"convsearch predict {folder.bundle} IMAGE...",
        f"convsearch show {folder.name}{option}",
        f"convsearch explain {folder.name}{option}",
        f"convsearch export {folder.name}{option} --to DIR",
        f"convsearch dashboard{option}",
        f"mlflow ui --backend-store-uri {result.get('mlflow', '')}",
        *([f"optuna-dashboard sqlite:///{optuna}"] if (optuna := folder.path / "optuna.db").exists() else []),
    ]
