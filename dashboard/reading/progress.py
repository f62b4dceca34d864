"""The progress of a study: whether it is running, and for how much longer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ...search.delivery.reach import own_server
from ...search.delivery.tracking import UNTIL_TAG
from ...search.study.folder import StudyFolder
from ...search.study.home import Home
from ...search.study.trial import FINISHED
from ...search.system.lock import is_held
from ...search.values.commands import resume_command
from ...search.values.words import duration
from .folders import study_folder
from .rows import NUMBER
from .study import EARLIEST, Launch, Study


@dataclass(frozen=True)
class Progress:
    """`state` is running, finished, interrupted or empty; `text` adds how far it is, as far as that is known."""

    state: str
    text: str


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
            return _interrupted(home, study)
        return Progress("running", _how_far(study, running[-1], now or datetime.now(UTC)))
    last = max(study.launches, key=lambda launch: launch.ended or launch.began or EARLIEST)
    return Progress("finished", "finished") if last.status == "FINISHED" else _interrupted(home, study)


def _interrupted(home: Path, study: Study) -> Progress:
    """Return how the study goes on: by the name of its folder, which MLflow's experiment need not have."""
    folder = study_folder(home, study.name, study.identity)
    how = "it can go on in the home that it ran in" if folder is None else f"{resume_command(folder.path)} continues it"
    return Progress("interrupted", f"interrupted: {how}")


def _folder(home: Path, study: Study) -> StudyFolder | None:
    """Return the study's folder, if the runs are those of this home."""
    if own_server(Home(home)) is not None:
        return None
    return study_folder(home, study.name, study.identity)


def _how_far(study: Study, launch: Launch, now: datetime) -> str:
    done = int(study.trials["state"].isin(FINISHED).sum())
    trials, until = _trials(launch), _until(launch)
    text = f"running: {done:,} trials" if trials is None else f"running: {done:,} of {trials:,} trials"
    left: list[float] = []  # seconds
    if until is not None:
        left.append((until - now).total_seconds())
    if trials is not None and done >= trials:
        left.append(0.0)
    elif trials is not None and launch.began is not None:
        ended = int((study.trials["ended"] >= launch.began).sum())
        if ended:
            left.append((now - launch.began).total_seconds() / ended * (trials - done))
    if not left:
        return text
    least = min(left)
    return f"{text}, finishing" if least <= 0 else f"{text}, about {duration(least)} left"


def _trials(launch: Launch) -> int | None:
    """Return the study's limit on trials; None if the launch has none, or it cannot be read."""
    found = launch.params.get("trials", "")
    return int(found) if NUMBER.fullmatch(found) else None


def _until(launch: Launch) -> datetime | None:
    """Return when the launch's time is up; None if it has no limit, or it cannot be read."""
    try:
        return datetime.fromisoformat(launch.tags[UNTIL_TAG]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        return None
