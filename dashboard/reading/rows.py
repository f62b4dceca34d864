"""MLflow's runs as a table of trials: one row per trial, one column for each tag, measure and option."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Run
from numpy.typing import NDArray

from ...spaces.printable import printable

OPTION = "option."  # the prefix of the columns of options

MEASURES = {  # MLflow's names and ours
    "best_val_accuracy": "validation",
    "gap": "gap",
    "best_epoch": "best epoch",
    "parameters": "parameters",
    "macs": "MACs",
    "size_kb": "size (kB)",
    "latency_ms": "latency (ms)",
    "seconds": "seconds",
    "seconds.waiting": "waiting (s)",
    "seconds.building": "building (s)",
    "seconds.tracing": "tracing (s)",
    "seconds.training": "training (s)",
    "seconds.evaluating": "evaluating (s)",
}
NUMBER = re.compile(r"[0-9]{1,9}")  # of a trial, or of trials
SHARE = (0.0, 1.0)
BOUNDS = {"best_val_accuracy": SHARE, "accuracy": SHARE, "val_accuracy": SHARE, "gap": (-1.0, 1.0)}  # by MLflow's names
USUAL = (0.0, 2.0**53)  # of all other numbers; MLflow's SQLite has the largest float where infinity was logged
LAST = 9_000_000_000_000  # milliseconds since 1970, in 2255: what plotly and pandas can still count in nanoseconds
REACHED = ("best_val_accuracy", "gap", "best_epoch")  # what a trial that failed has not, whatever it had before
TAGS = ("state", "worker", "error", "lost", "spells", "architecture", "hash")
_OWN = {"trial", "run", "began", "ended", *TAGS, *MEASURES.values()}  # columns of every study


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Return runs of trials as a table, by their numbers.

    Text is printable, and has dtype object, with NaN where there is none: pandas handles all columns of one dtype at
    once.
    """
    whole = [run for run in runs if NUMBER.fullmatch(run.data.tags.get("number", ""))]  # the others are damaged
    moments = pd.DataFrame(map(_moments, whole), columns=["began", "ended"])
    parts = [
        pd.DataFrame({"trial": [int(run.data.tags["number"]) for run in whole]}, dtype="int64"),
        pd.DataFrame(map(_words, whole), columns=["run", *TAGS], dtype=object),
        moments.apply(pd.to_datetime, utc=True).astype("datetime64[us, UTC]"),  # where there is none yet, too
        pd.DataFrame(map(_measures, whole), columns=list(MEASURES.values()), dtype=float),
        pd.DataFrame(map(_params, whole), dtype=object).add_prefix(OPTION),
    ]
    return _sorted(pd.concat(parts, axis=1))


def _words(run: Run) -> list[str | float]:
    words: dict[str, str | float] = {
        name: printable(run.data.tags[name]) if name in run.data.tags else np.nan for name in TAGS
    }
    if words["state"] in ("complete", "pruned"):
        words["error"] = np.nan  # of an interruption after which it continued
    return [run.info.run_id, *words.values()]


def _params(run: Run) -> dict[str, str]:
    return {name: printable(value) for name, value in run.data.params.items()}


def _moments(run: Run) -> list[datetime | None]:
    info = run.info
    return [moment(info.start_time), None if info.status == "RUNNING" else moment(info.end_time)]


def _measures(run: Run) -> list[float | None]:
    """Return the measures; MLflow also keeps what a trial had reached before it was resumed and failed."""
    metrics = run.data.metrics
    if run.data.tags.get("state") == "failed":
        metrics = {name: value for name, value in metrics.items() if name not in REACHED}
    return [bounded(name, metrics.get(name)) for name in MEASURES]


def bounded(name: str, value: float | None) -> float | None:
    """Return the value of one of MLflow's metrics; None where it is no number, or one that the metric cannot have."""
    least, most = BOUNDS.get(name, USUAL)
    return value if isinstance(value, int | float) and least <= value <= most else None


def heading(column: str) -> str:
    """Return what a column is called on pages: an option by its name, unless that is another column's name too."""
    name = column.removeprefix(OPTION)
    return column if name in _OWN or name.startswith(OPTION) else name


def merged(table: pd.DataFrame, changed: pd.DataFrame) -> pd.DataFrame:
    """Return the table with changed rows replaced and new ones added."""
    if table.empty or changed.empty:
        return changed if table.empty else table
    names = table.columns.union(changed.columns, sort=False)  # pandas would do the same, but one column at a time
    parts = [part.reindex(columns=names) for part in (table[~table["run"].isin(changed["run"])], changed)]
    return _sorted(pd.concat(parts))


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows sorted by number; if a number has two runs, which no search creates, only the later one."""
    found = table.sort_values(["trial", "began"], ignore_index=True, na_position="first")
    return found.drop_duplicates("trial", keep="last", ignore_index=True)


def typed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with all-numeric options as numbers, and the names of the options that differ."""
    options = [name for name in table.columns if name.startswith(OPTION)]
    words = table[options].to_numpy(dtype=object)
    found: dict[str, NDArray[Any]] = {}
    differ: list[str] = []
    for place, name in enumerate(options):
        # An option has few distinct values, so each is parsed only once.
        codes, values = pd.factorize(words[:, place])
        if len(values) > 1:
            differ.append(name.removeprefix(OPTION))
        numbers = pd.to_numeric(values, errors="coerce")
        if not np.isfinite(numbers).all():
            continue
        if (codes < 0).any():  # missing values have code -1, the last
            numbers = np.append(numbers, np.nan)
        found[name] = numbers[codes]
    words_and_others = table.drop(columns=list(found))
    return pd.concat([words_and_others, pd.DataFrame(found, index=table.index)], axis=1)[table.columns], differ


def moment(milliseconds: int | None) -> datetime | None:
    """Return one of MLflow's times, in milliseconds since 1970, as a datetime in UTC; None if it cannot be a time."""
    if not isinstance(milliseconds, int | float) or not 0 < milliseconds < LAST:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
