"""Reads studies and trials from MLflow, as tables."""

from pathlib import Path

import mlflow
import pandas as pd

from ..search.home import Home
from ..search.tracking import open_store, tracking_uri

COLUMNS = {
    "tags.number": "trial",
    "tags.state": "state",
    "metrics.best_val_accuracy": "validation",
    "metrics.gap": "train - validation",
    "metrics.parameters": "parameters",
    "metrics.macs": "MACs",
    "metrics.seconds": "seconds",
    "tags.architecture": "architecture",
    "start_time": "began",
}


def study_names(home: Path) -> list[str]:
    """Return the names of all studies of a home, the newest first."""
    if not (home / "mlflow.db").exists() and tracking_uri(Home(home)).startswith("sqlite:///"):
        return []
    open_store(Home(home))
    found = mlflow.search_experiments(filter_string="attribute.name != 'Default'")
    return [experiment.name for experiment in found]


def trials(home: Path, study: str) -> pd.DataFrame:
    """Return a study's trials, a row each, in the order of their numbers."""
    open_store(Home(home))
    found = mlflow.search_runs(experiment_names=[study], filter_string="tags.kind = 'trial'")
    rows = found.reindex(columns=list(COLUMNS)).rename(columns=COLUMNS)
    rows["trial"] = rows["trial"].astype(int)
    table: pd.DataFrame = rows.sort_values("trial", ignore_index=True)
    return table
