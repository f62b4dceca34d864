"""A study for the pages: its launches, and the table of its trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ...spaces.printable import printable

IMPORTANCE = "importance."
EARLIEST = datetime.min.replace(tzinfo=UTC)  # stands for a time that is not known


@dataclass(frozen=True)
class Launch:
    """One launch of a study: its run, when it began and ended, as far as that is known, and its options."""

    run_id: str
    status: str
    began: datetime | None
    ended: datetime | None
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]

    @property
    def importances(self) -> dict[str, float]:
        """The share of each dimension; empty if unknown."""
        return {
            name.removeprefix(IMPORTANCE): share
            for name, share in self.metrics.items()
            if name.startswith(IMPORTANCE) and share <= 1
        }


@dataclass(frozen=True)
class Study:
    """A study as it was last read. `version` counts its changes; `trials` has a row for each, by number.

    The columns of `trials` are `trial`, `run`, `began` and `ended` (UTC), TAGS, the names of MEASURES, and one for each
    option, whose name begins with OPTION. `options` are the names of those that differ between trials. `identity` is
    the study's own, which its folder has as well; None where an earlier version has logged it.
    """

    name: str
    experiment_id: str
    data: str
    space: str
    created: datetime | None
    launches: tuple[Launch, ...]
    trials: pd.DataFrame
    options: Sequence[str] = ()
    version: int = 0
    identity: str | None = None

    @property
    def engine(self) -> str:
        """The engine and algorithm of the last launch."""
        tags = self.launches[-1].tags if self.launches else {}
        return " ".join(printable(tags[name]) for name in ("engine", "algorithm") if name in tags)

    @property
    def shared(self) -> bool:
        """Whether several loops share it, whose trials arrive in no particular order."""
        return any("loop" in launch.tags for launch in self.launches)

    @cached_property
    def best(self) -> "pd.Series[Any] | None":
        """The row of the most accurate trial, if any; of the complete ones if there are any."""
        validation = self.trials["validation"].to_numpy()
        known = ~np.isnan(validation)
        complete = known & (self.trials["state"] == "complete").to_numpy()
        among = np.flatnonzero(complete if complete.any() else known)
        return self.trials.iloc[among[validation[among].argmax()]] if len(among) else None

    @property
    def importances(self) -> dict[str, float]:
        """The share of each dimension, by the last launch that has them; empty if none does."""
        return next((launch.importances for launch in reversed(self.launches) if launch.importances), {})

    @property
    def test_accuracy(self) -> float | None:
        """The share of the test images that the winner got right, by the last launch that tested one; None if none."""
        found = (launch.metrics.get("test_accuracy") for launch in reversed(self.launches))
        return next((share for share in found if share is not None and 0 <= share <= 1), None)

    def row(self, number: int) -> "pd.Series[Any]":
        """Return the row of an existing trial."""
        return self.trials[self.trials["trial"] == number].iloc[0]
