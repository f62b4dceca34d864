"""Runs of MLflow as a table of trials: a row a trial, a column for each tag, measure and option."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Run
from numpy.typing import NDArray

OPTION = "option."  # what the columns of a trial's options begin with

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
NUMBER = re.compile(r"[0-9]{1,9}")  # of a trial
TAGS = ("state", "worker", "error", "lost", "architecture", "hash")


def table_of(runs: Sequence[Run]) -> pd.DataFrame:
    """Return runs of trials as a table, by their numbers."""
    rows = [_row(run) for run in runs if NUMBER.fullmatch(run.data.tags.get("number", ""))]  # others are damaged
    table = pd.DataFrame(rows, columns=None if rows else ["trial", "run", "began", "ended", *TAGS])
    for name in ("began", "ended"):
        table[name] = pd.to_datetime(table[name], utc=True).dt.as_unit("us")  # where there is none yet, too
    for name in MEASURES.values():
        table[name] = pd.to_numeric(table[name]) if name in table else float("nan")
    return _sorted(table)


def _row(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": int(run.data.tags["number"]),
        "run": run.info.run_id,
        "began": moment(run.info.start_time),
        "ended": moment(run.info.end_time) if run.info.end_time and run.info.status != "RUNNING" else None,
    }
    row |= {name: run.data.tags.get(name) for name in TAGS}
    if row["state"] in ("complete", "pruned"):
        row["error"] = None  # of an interruption that it has gone on from
    row |= {ours: run.data.metrics.get(name) for name, ours in MEASURES.items()}
    row |= {OPTION + name: text for name, text in run.data.params.items()}
    return row


def merged(table: pd.DataFrame, changed: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the rows that have changed, or are new, as they are now."""
    if table.empty or changed.empty:
        return changed if table.empty else table
    return _sorted(pd.concat([table[~table["run"].isin(changed["run"])], changed]))


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by number; where a number has two runs, which no search makes, the later one."""
    found = table.sort_values(["trial", "began"], ignore_index=True)
    return found.drop_duplicates("trial", keep="last", ignore_index=True)


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose options are numbers where all of them are, and words elsewhere."""
    found = {name: _typed(table[name]) if name.startswith(OPTION) else table[name] for name in table.columns}
    return pd.DataFrame(found, index=table.index)


def _typed(column: "pd.Series[Any]") -> "pd.Series[Any] | NDArray[Any]":
    """Return an option's values; it has few that differ, so that each of them is looked at once."""
    codes, words = pd.factorize(column.to_numpy(dtype=object))
    numbers = pd.to_numeric(words, errors="coerce")
    if np.isnan(numbers).any():
        return column.astype(object)
    if (codes < 0).any():  # no value, which then is the last
        numbers = np.append(numbers, np.nan)
    return numbers[codes]


def moment(milliseconds: int) -> datetime:
    """Return a moment of MLflow's, milliseconds since 1970, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
