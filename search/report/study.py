"""The results of a study as tables, for people."""

from collections import Counter
from shlex import quote

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...spaces.errors import InputError
from ...spaces.printable import printable
from ...spaces.space import SearchSpace
from ..delivery.reach import tracking_uri
from ..engines.importance import FEWEST, METHOD, importances
from ..study.folder import StudyFolder
from ..study.home import Home
from ..study.objectives import OBJECTIVES, Preference, front
from ..study.record import Record
from ..study.repeats import Repeats
from ..study.result import Result
from ..study.settings import StudySettings
from ..system.addresses import masked, optuna_url, sqlite_url
from ..values.commands import command, typed
from ..values.words import duration, sparkline
from .spread import spread_in_home
from .standings import known_standings, standing_lines

STATE_STYLES = {
    "complete": "green",
    "pruned": "yellow",
    "failed": "red",
    "interrupted": "magenta",
    "running": "cyan",
}
SHOWN = 10  # trials in the table of the best
IMPORTANT = 6  # dimensions listed
COMMON = 5  # best trials that are searched for common values


def study_table(home: Home) -> RenderableType:
    """Return all studies of a home, one per line."""
    table = Table()
    for name in ("study", "data", "engine", "trials", "best", "test", "architecture"):
        table.add_column(name, overflow="fold" if name == "architecture" else "ellipsis")
    unreadable = []
    for folder in home.studies():
        try:
            study, record, result = folder.read(), folder.record(), folder.result()
            named = folder.named(record)
        except InputError as error:  # the others are there nevertheless
            table.add_row(folder.name, "cannot be read")
            unreadable.append(Text(str(error).splitlines()[0]))
            continue
        table.add_row(
            study.name,
            study.data.name,
            f"{study.engine} {study.algorithm}",
            str(record.finished()),
            f"{named.value:.1%}" if named and named.value is not None else "",
            f"{result.test.accuracy:.1%}" if result else "",
            str(named.candidate.architecture) if named else "",
        )
    return Group(table, *unreadable)


def show(folder: StudyFolder) -> RenderableType:
    """Return a study for people: its data, its best trials, what they have in common, its test."""
    study, record = folder.read(), folder.record()
    preference = study.preference
    table = front_table(record, folder.repeats(), preference) if preference.several else best_table(record)
    parts: list[RenderableType] = [Text(_head(study, record)), table]
    parts += [
        Text(line)
        for line in [
            *common_lines(record),
            *importance_lines(folder.space(study, record), record),
            *standing_lines(record, folder.repeats(), preference, study.data.val, lambda: spread_in_home(folder)),
            *failure_lines(record),
            *result_lines(folder),
        ]
    ]
    return Group(*parts)


def _head(study: StudySettings, record: Record) -> str:
    data, counts = study.data, record.counts()
    states = ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "no trial yet"
    values = [t.value for t in sorted(record.trials.values(), key=lambda t: t.number) if t.value is not None]
    return (
        f"study {study.name}: {data.name} {study.input}, {len(data.classes)} classes; "
        f"space {study.space}, {study.engine} {study.algorithm}\n{states}  {sparkline(values)}"
    )


def front_table(record: Record, repeats: Repeats, preference: Preference) -> RenderableType:
    """Return the trials that no other one beats in all objectives, as a table; the one to choose is marked."""
    names = preference.objectives
    title = "the front: no trial is at least as good in all objectives, and better in one"
    table = Table(title=title, title_justify="left")
    for name in ("trial", *(OBJECTIVES[name].heading for name in names), "time"):
        table.add_column(name, justify="right")
    table.add_column("architecture", overflow="fold")
    table.add_column("")
    first = next(iter(known_standings(record, repeats, preference)), None)
    for trial in front(record.trials.values(), names):
        values = ((OBJECTIVES[name], OBJECTIVES[name].of(trial)) for name in names)
        table.add_row(
            str(trial.number),
            *(objective.text(value) if value is not None else "" for objective, value in values),
            duration(trial.seconds),
            str(trial.candidate.architecture),
            str(preference) if first is not None and trial.number == first.trial.number else "",
        )
    return table


def best_table(record: Record) -> RenderableType:
    """Return the best trials as a table, with the size of their images where they differ in it."""
    best = record.best(SHOWN)
    sized = len({trial.candidate.architecture.input for trial in best}) > 1
    table = Table(title="the best trials", title_justify="left")
    for name in ("trial", "state", "validation", "gap", "epochs", "time", "parameters", "MACs"):
        table.add_column(name, justify="left" if name == "state" else "right")
    if sized:
        table.add_column("images", justify="right")
    table.add_column("architecture", overflow="fold")
    for trial in best:
        table.add_row(
            str(trial.number),
            Text(trial.state, style=STATE_STYLES[trial.state]),
            f"{trial.value:.1%}" if trial.value is not None else "",
            f"{trial.gap:+.1%}" if trial.gap is not None else "",
            str(trial.epochs),
            duration(trial.seconds),
            f"{trial.parameters:,}",
            f"{trial.macs:,}",
            *([str(trial.candidate.flat()["input_size"])] if sized else []),
            str(trial.candidate.architecture),
        )
    return table


def common_lines(record: Record) -> list[str]:
    """Return the values that all of the best trials share and most others do not have."""
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
            if share <= 0.7:  # a value that most trials have says nothing about the best
                lines.append((share, f"  {name} is {value} (in {share:.0%} of the others)"))
    if not lines:
        return [f"the best {COMMON} have nothing in common that the others lack"]
    return [f"the best {COMMON} have in common:", *(line for _, line in sorted(lines)[:8])]


def importance_lines(space: SearchSpace, record: Record) -> list[str]:
    """Return the dimensions that mattered most for being among the best."""
    found = importances(space, record)
    if found is None:
        known = sum(trial.value is not None for trial in record.trials.values())
        if known >= FEWEST:
            return [f"what mattered: nothing; all {known} trials reached the same"]
        return [f"what mattered: too few trials to tell ({known}; {FEWEST} are needed)"] if known else []
    shares = [f"  {name} {share:.0%}" for name, share in found.shares.items() if share >= 0.01]
    return [f"what mattered ({METHOD} over {found.trials} trials):", *shares[:IMPORTANT]]


def _in_trial(result: Result) -> str:
    """Return whose mean follows, if the accuracy before it is that of the winner's long training."""
    return "" if result.with_validation else "its trial: "


def failure_lines(record: Record) -> list[str]:
    """Return why trials failed, the most common reasons first."""
    reasons = Counter(t.error for t in record.trials.values() if t.state == "failed" and t.error)
    return [f"failed, {count} x: {reason}" for reason, count in reasons.most_common(5)]


def result_lines(folder: StudyFolder) -> list[str]:
    """Return the winner, its test accuracy and its bundle."""
    result = folder.result()
    if result is None:
        return []
    test = result.test
    low, high = test.interval_95
    again = folder.standing(folder.record())
    return [
        f"winner: trial {result.best}, validation accuracy {result.val_accuracy:.1%}"
        + (" in its trial" if result.with_validation else "")
        + (f" ({_in_trial(result)}{again.summary})" if again and again.spread is not None else "")
        + ("; then trained on the validation images too" if result.with_validation else ""),
        f"test accuracy {test.accuracy:.1%}, 95 % interval {low:.1%} to {high:.1%} ({test.count:,} images)"
        + _read(result.tests, shared=folder.read().storage is not None),
        "time: " + ", ".join(f"{name} {duration(seconds)}" for name, seconds in result.seconds.items()),
        f"bundle: {printable(str(folder.bundle))}",
    ]


def _read(tests: int, shared: bool) -> str:
    """Return how often the test split was read, if that was not once: of a shared study, only this loop is known."""
    if tests <= 1 and not shared:
        return ""
    times = "once" if tests <= 1 else f"{tests} times"
    return f", read {times}{' by this loop' if shared else ''}{', because the study continued' if tests > 1 else ''}"


def next_commands(home: Home, folder: StudyFolder) -> list[str]:
    """Return useful next commands, and where an MLflow server shows the study."""
    result, storage = folder.result(), folder.read().storage
    return [
        *([command("predict", typed(folder.bundle), "IMAGE...")] if result else []),
        command("show", folder.name, home=home.path),
        command("explain", folder.name, home=home.path),
        command("export", folder.name, "--to", "DIR", home=home.path),
        command("dashboard", home=home.path),
        # Where it was delivered to is where this home delivers to now, even if it has another name since.
        *([_mlflow(masked(tracking_uri(home, storage)))] if result and result.mlflow else []),
        *([f"optuna-dashboard {quote(masked(optuna_url(storage)))}"] if storage else []),
        *([f"optuna-dashboard {quote(sqlite_url(optuna))}"] if (optuna := folder.path / "optuna.db").exists() else []),
    ]


def _mlflow(address: str) -> str:
    """Return how the runs at an address are looked at: a server does so by itself."""
    if address.startswith(("http://", "https://")):
        return f"open {address} in a browser"
    return f"mlflow ui --backend-store-uri {quote(address)}"
