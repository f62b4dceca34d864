"""What was read of MLflow, kept in the user's cache, so that the next dashboard asks only for what changed since.

A copy may be deleted at any time, and is not written to where it cannot be: it is only ever a shorter way.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.entities import Experiment
from platformdirs import user_cache_path

FORMAT = 2  # of the tables: copies of another one are not looked for


def place_of(uri: str, experiment: Experiment) -> Path:
    """Return where the copy of an experiment's runs is; another one of the same name and number has another place."""
    key = f"{FORMAT}\n{uri}\n{experiment.experiment_id}\n{experiment.name}\n{experiment.creation_time}"
    return user_cache_path("convsearch") / "dashboard" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.parquet"


def load(place: Path) -> pd.DataFrame | None:
    """Return a copy, or None where there is none that can be read."""
    try:
        found = pd.read_parquet(place)
    except (OSError, ValueError):  # which pyarrow's errors are
        return None
    # As `rows.py` has them; Parquet has types of its own for text, and for columns in which nothing is known.
    words: pd.DataFrame = found.select_dtypes(["object", "str"]).astype(object)
    others = found.drop(columns=words.columns)
    return pd.concat([others, words.where(words.notna(), np.nan)], axis=1)[found.columns]


def save(place: Path, table: pd.DataFrame) -> None:
    """Write a copy, whole or not at all."""
    partial = place.with_suffix(".partial")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(partial, index=False)
        partial.replace(place)
