"""MLflow's runs as tables: all are read once, and from then on only the changes.

MLflow takes more than a millisecond per run, so ten thousand trials take a while the first time. What was read is
shared by all viewers, and kept in the user's cache for the next time (`copies.py`).
"""

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Experiment, Run, ViewType

from ...search.delivery.experiment import STUDY_TAG
from ...search.delivery.reach import own_server, tracking_uri
from ...search.delivery.tracking import DATA_TAG, SPACE_TAG
from ...search.study.home import Home
from ...search.study.trial import CURVES
from ...spaces.printable import printable
from . import copies
from .reader import FRESH, NEVER, PAGE, Reader, Stamp
from .rows import bounded, merged, moment, table_of, typed
from .study import EARLIEST, Launch, Study

WORTH_COPYING, COPIED = 200, 60.0  # least runs of a study that is copied; seconds between copies
# Milliseconds: runs that ended within them are queried again, as they may have arrived after runs that ended later.
# A loop delivers in order, except within a moment; of several loops, one may be offline for minutes.
OVERLAP, OVERLAP_SHARED = 2_000, 600_000
TRIAL, LAUNCH = "trial", "launch"  # the kinds of runs
Progress = Callable[[float], object]
"""Called with the fraction of a study that has been read."""

_Mark = tuple[str | None, int | None]
"""The state of a trial's run, and when it ended, in milliseconds since 1970; None while it is running."""


@dataclass(frozen=True)
class _Seen:
    """The studies by name, newest first; their launches, by experiment and run; the running runs."""

    stamp: Stamp = NEVER
    experiments: dict[str, Experiment] = field(default_factory=dict)
    launches: dict[str, dict[str, Run]] = field(default_factory=dict)
    running: dict[str, Run] = field(default_factory=dict)  # launches and trials, by run

    def runs(self, kind: str, experiments: Container[str]) -> dict[str, Run]:
        """Return the running runs of a kind in some experiments."""
        return {
            run_id: run
            for run_id, run in self.running.items()
            if run.data.tags.get("kind") == kind and run.info.experiment_id in experiments
        }


@dataclass
class _Kept:
    """What was read of a study, and what is needed to query the changes."""

    study: Study | None = None
    runs: pd.DataFrame = field(default_factory=lambda: table_of([]))  # as MLflow has them: all options are text
    stamp: Stamp = NEVER
    newest_end: int = 0  # milliseconds since 1970
    saved: float = float("-inf")  # when it was last copied, by the monotonic clock
    marks: dict[str, _Mark] = field(default_factory=dict)  # of all runs, damaged ones too
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)  # of runs that have ended

    def running(self) -> set[str]:
        """Return the runs that had not ended."""
        return {run for run, (_, end) in self.marks.items() if end is None}

    def needed(self) -> set[str]:
        """Return the runs that the store has, if it goes on from here: what ran, began last and ended last."""
        times = [self.runs[name] for name in ("began", "ended")]
        last = {str(self.runs.at[found.idxmax(), "run"]) for found in times if found.notna().any()}
        return self.running() | last

    def is_older(self, run: Run) -> bool:
        """Whether the run had ended later when it was read: the store is in an earlier state."""
        before, now = self.marks.get(run.info.run_id, (None, None))[1], _mark(run)[1]
        return before is not None and now is not None and now < before

    def is_at_rest(self, launches: tuple[Launch, ...]) -> bool:
        """Whether nothing can have changed: no launch is running or new, and all trials have ended."""
        is_running = any(launch.status == "RUNNING" for launch in launches)
        return self.study is not None and self.study.launches == launches and not is_running and not self.running()


class Store:
    """Reads the runs of a home; one instance serves all viewers."""

    def __init__(self, home: Path, fresh: float = FRESH, page: int = PAGE, worth_copying: int = WORTH_COPYING) -> None:
        """Begin with nothing read.

        Args:
            home: whose runs are read.
            fresh: seconds for which an answer of MLflow is reused.
            page: runs per query.
            worth_copying: least runs of a study that is copied to the user's cache.
        """
        own = Home(home).artifacts if own_server(Home(home)) is None else None
        self.reader = Reader(tracking_uri(Home(home)), fresh, page, artifacts=own, home=home)
        self._worth_copying = worth_copying
        self._seen = _Seen()
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._shares: dict[str, float] = {}  # the fraction read of studies that are read for the first time
        self._texts: dict[tuple[str, str], str] = {}
        self._lock, self._seeing = threading.Lock(), threading.Lock()

    def names(self) -> list[str]:
        """Return the names of all studies, newest first.

        Raises:
            StoreError: MLflow cannot be read.
        """
        return list(self._look().experiments)

    def study(self, name: str, progress: Progress = lambda share: None) -> Study | None:
        """Return a study as it is now, or None if there is none of this name.

        Args:
            name: of the study; any text that a viewer typed.
            progress: called with the fraction read, when the study is read for the first time.

        Raises:
            StoreError: MLflow cannot be read.
        """
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        while not lock.acquire(timeout=0.2):  # a second viewer waits, and gets what the first has read
            progress(self._shares.get(name, 0.0))
        try:
            kept = self._kept.get(name)
            if kept is None or not self.reader.is_fresh(kept.stamp):
                kept = self._refreshed(name, kept, progress)
                if kept is None:
                    self._kept.pop(name, None)
                    return None
                self._kept[name] = kept
            return kept.study
        finally:
            lock.release()

    def curves(self, study: Study, trials: Iterable[int]) -> dict[int, pd.DataFrame]:
        """Return the learning curves of trials, one row per epoch and one column per name in CURVES.

        Raises:
            StoreError: MLflow cannot be read.
        """
        known = set(study.trials["trial"])
        return {number: self._curve(study.name, study.row(number)) for number in trials if number in known}

    def text(self, run_id: str, path: str, keep: bool = False) -> str | None:
        """Return an artifact of a run as text, or None if it is missing, or outside the run.

        Args:
            run_id: of the run.
            path: of the artifact.
            keep: whether to cache it, because it never changes.

        Raises:
            StoreError: MLflow cannot be read.
        """
        if (run_id, path) in self._texts:
            return self._texts[run_id, path]
        text = self.reader.text(run_id, path)
        if keep and text is not None:
            self._texts[run_id, path] = text
        return text

    # ------------------------------------------------------------------ what is read

    def _look(self) -> _Seen:
        """Return what exists now, with the same few queries however many studies there are."""
        with self._seeing:
            if not self.reader.is_fresh(self._seen.stamp):
                stamp = self.reader.now()
                experiments = {experiment.name: experiment for experiment in self.reader.experiments()}
                ids = [experiment.experiment_id for experiment in experiments.values()]
                running = {run.info.run_id: run for run in self.reader.runs(ids, "attributes.status = 'RUNNING'")}
                seen = _Seen(stamp, experiments, self._seen.launches, running)
                self._seen = replace(seen, launches=self._launches(seen, ids))
            return self._seen

    def _launches(self, seen: _Seen, ids: list[str]) -> dict[str, dict[str, Run]]:
        """Return the runs of all launches: queries all those of new studies, and of others those that may have changed.

        Args:
            seen: what exists now, with the launches of the last query.
            ids: the experiments that exist.
        """
        known = {one: seen.launches[one] for one in ids if one in seen.launches}
        runs = list(self.reader.runs([one for one in ids if one not in known], _of(LAUNCH)))
        before = [run.info for launches in known.values() for run in launches.values()]
        since = _newest(info.end_time for info in before) - OVERLAP_SHARED
        ran = {info.run_id for info in before if info.status == "RUNNING"}
        runs += self.reader.changed(list(known), _of(LAUNCH), since, ran, seen.runs(LAUNCH, known)).values()
        found = {one: {run_id: run for run_id, run in known.get(one, {}).items() if run_id not in ran} for one in ids}
        for run in runs:
            found[run.info.experiment_id][run.info.run_id] = run
        return found

    def _refreshed(self, name: str, kept: _Kept | None, progress: Progress) -> _Kept | None:
        seen = self._look()
        experiment = seen.experiments.get(name)
        if experiment is None:
            return None
        version = kept.study.version if kept is not None and kept.study is not None else 0
        if kept is not None and (kept.study is None or kept.study.created != moment(experiment.creation_time)):
            kept = None  # it was deleted, and another one created under the same name
        place = copies.place_of(self.reader.uri, experiment)
        if kept is None and (copy := copies.load(place)) is not None:
            deleted = self.reader.runs([experiment.experiment_id], _of(TRIAL), ViewType.DELETED_ONLY)
            kept = _of_copy(name, experiment, copy[~copy["run"].isin([run.info.run_id for run in deleted])])
        found = map(_launch, seen.launches[experiment.experiment_id].values())
        launches = tuple(sorted(found, key=lambda one: one.began or EARLIEST))
        if kept is not None and kept.is_at_rest(launches):
            return replace(kept, stamp=seen.stamp)
        runs = None
        if kept is not None:
            shared = any("loop" in launch.tags for launch in launches)
            runs = self._changed(experiment, kept, shared, seen.runs(TRIAL, [experiment.experiment_id]))
        if kept is None or runs is None:
            kept, runs = _Kept(), list(self._all(experiment, progress))
        before, table = kept.study, merged(kept.runs, table_of(runs))
        changed = before is None or bool(runs) or before.launches != launches
        marks = kept.marks | {run.info.run_id: _mark(run) for run in runs}
        refreshed = replace(kept, runs=table, stamp=seen.stamp, marks=marks)
        for run in runs:
            refreshed.curves.pop(run.info.run_id, None)  # it has continued
        refreshed.newest_end = max(kept.newest_end, _newest(run.info.end_time for run in runs))
        if before is None or changed:
            trials, options = typed(table)
            refreshed.study = Study(
                name=name,
                experiment_id=experiment.experiment_id,
                data=printable(experiment.tags.get(DATA_TAG, "")),
                space=printable(experiment.tags.get(SPACE_TAG, "")),
                created=moment(experiment.creation_time),
                launches=launches,
                trials=trials,
                options=options,
                version=version + 1,
                identity=experiment.tags.get(STUDY_TAG),
            )
        if changed and len(table) >= self._worth_copying and seen.stamp.at - refreshed.saved > COPIED:
            copies.save(place, table)
            refreshed.saved = seen.stamp.at
        return refreshed

    def _all(self, experiment: Experiment, progress: Progress) -> Iterator[Run]:
        """Yield the runs of all trials."""
        newest = self.reader.newest(experiment.experiment_id, _of(TRIAL))
        expected = 1 + max(table_of(newest)["trial"], default=0)
        for count, run in enumerate(self.reader.runs([experiment.experiment_id], _of(TRIAL)), start=1):
            if count % self.reader.page == 0:
                self._shares[experiment.name] = min(1.0, count / expected)
                progress(self._shares[experiment.name])
            yield run

    def _changed(
        self, experiment: Experiment, kept: _Kept, shared: bool, running: Mapping[str, Run]
    ) -> list[Run] | None:
        """Return the runs of trials that have changed.

        None if the store does not go on from what was kept, because runs were deleted or a backup was restored.
        """
        since, needed = kept.newest_end - (OVERLAP_SHARED if shared else OVERLAP), kept.needed()
        found = self.reader.changed([experiment.experiment_id], _of(TRIAL), since, needed, running)
        if needed - found.keys() or any(map(kept.is_older, found.values())):
            return None
        return [run for run_id, run in found.items() if kept.marks.get(run_id) != _mark(run)]

    def _curve(self, name: str, trial: "pd.Series[Any]") -> pd.DataFrame:
        known = self._kept.get(name)  # another viewer may have removed it after it was deleted
        kept = {} if known is None else known.curves
        if trial["run"] not in kept:
            found = {curve: self.reader.history(trial["run"], curve) for curve in CURVES}
            table = pd.DataFrame(
                {curve: {step: bounded(curve, value) for step, value in found[curve].items()} for curve in CURVES},
                dtype=float,
            ).sort_index()
            table.index.name = "epoch"
            if trial["state"] == "running":
                return table
            kept[trial["run"]] = table
        return kept[trial["run"]]


def _of_copy(name: str, experiment: Experiment, copy: pd.DataFrame) -> _Kept:
    """Return the state of a copy, with all runs that had ended, also those that may continue."""
    study = Study(name, experiment.experiment_id, "", "", moment(experiment.creation_time), (), copy)
    ends = [None if pd.isna(end) else round(end.timestamp() * 1000) for end in copy["ended"]]
    marks = dict(zip(copy["run"], zip(copy["state"], ends, strict=True), strict=True))
    return _Kept(study, copy, NEVER, _newest(ends), time.monotonic(), marks)


def _newest(ends: Iterable[int | None]) -> int:
    """Return the latest of some ends, in milliseconds since 1970; one that is still to come was a wrong clock's."""
    now = 1000 * time.time()
    return max((end for end in ends if end is not None and moment(end) is not None and end <= now), default=0)


def _of(kind: str) -> str:
    """Return the filter for runs of a kind, in MLflow's syntax."""
    return f"tags.kind = '{kind}'"


def _mark(run: Run) -> _Mark:
    """Return a value that changes whenever the run does."""
    return run.data.tags.get("state"), run.info.end_time if run.info.status != "RUNNING" else None


def _launch(run: Run) -> Launch:
    info = run.info
    metrics = {name: value for name, value in run.data.metrics.items() if bounded(name, value) is not None}
    began, ended = moment(info.start_time), moment(info.end_time)
    return Launch(info.run_id, info.status, began, ended, run.data.params, metrics, run.data.tags)
