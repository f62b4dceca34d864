"""Copies of MLflow's runs in the user's cache, so that the next dashboard queries only the changes.

A copy may be deleted at any time, and failures to write one are ignored: it only saves time.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.entities import Experiment
from platformdirs import user_cache_path

from ...search.system.files import PARTIAL, write_bytes

FORMAT = 5  # of the tables: copies of other formats are ignored
LEFT_BEHIND = 86_400.0  # seconds since a half-written copy has grown, after which nobody writes it any more


def place_of(uri: str, experiment: Experiment) -> Path:
    """Return the path of the copy of an experiment's runs; a new experiment of the same name and ID has another."""
    key = f"{FORMAT}\n{uri}\n{experiment.experiment_id}\n{experiment.name}\n{experiment.creation_time}"
    return user_cache_path("convsearch") / "dashboard" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.parquet"


def load(place: Path) -> pd.DataFrame | None:
    """Return a copy, or None if there is none that can be read."""
    try:
        found = pd.read_parquet(place)
    except (OSError, ValueError):  # pyarrow's errors are ValueErrors
        return None
    # The types of `rows.py`; Parquet has others for text, and for columns without values.
    words: pd.DataFrame = found.select_dtypes(["object", "str"]).astype(object)
    others = found.drop(columns=words.columns)
    return pd.concat([others, words.where(words.notna(), np.nan)], axis=1)[found.columns]


def save(place: Path, table: pd.DataFrame) -> None:
    """Write a copy atomically, and remove what killed dashboards have left of theirs."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(place, table.to_parquet(index=False), synced=False)
        for left in place.parent.glob(PARTIAL.format("*")):
            if left.stat().st_mtime < time.time() - LEFT_BEHIND:
                left.unlink()
