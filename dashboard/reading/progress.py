"""The progress of a study: whether it is running, and for how much longer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ...search.delivery.reach import own_server
from ...search.delivery.tracking import UNTIL_TAG
from ...search.study.folder import StudyFolder
from ...search.study.home import Home
from ...search.system.lock import is_held
from ...search.values.words import duration
from .folders import study_folder
from .study import Launch, Study


@dataclass(frozen=True)
class Progress:
    """`state` is running, finished, interrupted or empty; `text` adds how far it is, as far as that is known."""

    state: str
    text: str


INTERRUPTED = Progress("interrupted", "interrupted: convsearch run --resume continues it")


def progress_of(study: Study, home: Path, now: datetime | None = None) -> Progress:
    """Return the progress of a study by its launches: several may run at once if loops share it.

    A launch that was killed stays RUNNING in MLflow until the next one; if the study is in this home, the lock on its
    folder tells whether its loop is alive.
    """
    if not study.launches:
        return Progress("empty", "no launch")
    running = [launch for launch in study.launches if launch.status == "RUNNING"]
    if running:
        folder = None if study.shared else _folder(home, study)
        if folder is not None and not is_held(folder.path):
            return INTERRUPTED
        return Progress("running", _how_far(study, running[-1], now or datetime.now(UTC)))
    last = max(study.launches, key=lambda launch: launch.ended or launch.began)
    return Progress("finished", "finished") if last.status == "FINISHED" else INTERRUPTED


def _folder(home: Path, study: Study) -> StudyFolder | None:
    """Return the study's folder, if the runs are those of this home."""
    if own_server(Home(home)) is not None:
        return None
    return study_folder(home, study.name, study.identity)


def _how_far(study: Study, launch: Launch, now: datetime) -> str:
    done = int((~study.trials["state"].isin(["running", "interrupted"])).sum()) if len(study.trials) else 0
    trials, until = _trials(launch), _until(launch)
    text = f"running: {done:,} trials" if trials is None else f"running: {done:,} of {trials:,} trials"
    left: list[timedelta] = []
    if until is not None:
        left.append(until - now)
    if trials is not None:
        ended = int((study.trials["ended"] >= launch.began).sum())
        if done >= trials:
            left.append(timedelta(0))
        elif ended:
            left.append((now - launch.began) / ended * (trials - done))
    if not left:
        return text
    least = min(left).total_seconds()
    return f"{text}, finishing" if least <= 0 else f"{text}, about {duration(least)} left"


def _trials(launch: Launch) -> int | None:
    """Return the study's limit on trials; None if the launch has none, or it cannot be read."""
    try:
        return int(launch.params["trials"])
    except (KeyError, ValueError):
        return None


def _until(launch: Launch) -> datetime | None:
    """Return when the launch's time is up; None if it has no limit, or it cannot be read."""
    try:
        return datetime.fromisoformat(launch.tags[UNTIL_TAG]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
