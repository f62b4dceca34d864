"""How far a study is: whether it runs, and how long it will."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..search.progress import duration
from .store import Launch, Study


@dataclass(frozen=True)
class Progress:
    """`state` is running, finished, interrupted or empty; `told` says it with what is known of how far it is."""

    state: str
    told: str


def progress_of(study: Study, now: datetime | None = None) -> Progress:
    """Return how far a study is, by its launches: several may run at once, where loops share it."""
    if not study.launches:
        return Progress("empty", "no launch")
    running = [launch for launch in study.launches if launch.status == "RUNNING"]
    if running:
        return Progress("running", _how_far(study, running[-1], now or datetime.now(UTC)))
    if study.launches[-1].status == "FINISHED":
        return Progress("finished", "finished")
    return Progress("interrupted", "interrupted: convsearch run --resume goes on")


def _how_far(study: Study, launch: Launch, now: datetime) -> str:
    done = int((~study.trials["state"].isin(["running", "interrupted"])).sum()) if len(study.trials) else 0
    if (minutes := launch.params.get("minutes")) is not None:
        left = launch.began + timedelta(minutes=float(minutes)) - now
        return f"running: {done:,} trials, {duration(left.total_seconds())} left"
    if (trials := launch.params.get("trials")) is not None:
        ended = study.trials.dropna(subset=["ended"])
        since = ended[ended["ended"] >= launch.began]
        told = f"running: {done:,} of {int(trials):,} trials"
        if len(since):
            left = (now - launch.began) / len(since) * max(0, int(trials) - done)
            told += f", some {duration(left.total_seconds())} left"
        return told
    return f"running: {done:,} trials"
