"""Tiny trials, one after another on each device and on all devices at once, to see what works on this machine."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ...spaces.architecture import Architecture, Candidate, Head, Layer, Recipe
from ...spaces.errors import InputError, WorkError
from ..data import Dataset, split
from ..executors.local import LocalExecutor
from ..executors.protocol import Broken, Lost, Returned
from ..executors.shares import NO_GPU, Share, shares
from ..executors.watch import Patience
from ..sources import open_data
from ..system.machine import Machine
from ..values.job import EpochReport, Job, Length, Outcome, Precision

PRECISIONS: tuple[Precision, ...] = ("float32", "mixed_bfloat16")
SILENCE = Patience(first=120.0)  # seconds; whole trials take a few
CORES_ALONE = "cores"  # the device without a GPU
TICK = 0.05  # seconds to wait for one device before polling the next


@dataclass(frozen=True)
class Tried:
    """A tiny trial: its duration in seconds, without the worker's start, or why it failed."""

    device: str
    precision: str
    seconds: float | None = None
    reason: str | None = None


def devices(machine: Machine) -> dict[str, Share]:
    """Return the devices to try: the CPU cores alone, and each GPU with its worker's default share."""
    cores = shares(replace(machine, gpus=()), 1)[0]
    gpus = shares(machine) if machine.gpus else []
    tried = {CORES_ALONE: replace(cores, device=NO_GPU) if gpus else cores}
    return tried | {f"GPU {share.gpu}": share for share in gpus}


@dataclass
class Tryout:
    """The trials on one device; those in `left`, by their number, have not ended."""

    device: str
    executor: LocalExecutor
    left: dict[int, str] = field(default_factory=lambda: dict(enumerate(PRECISIONS)))
    tried: list[Tried] = field(default_factory=list)

    def process_event(self) -> None:
        """Handle the next event of this device, if one comes soon."""
        try:
            event = self.executor.next_event(TICK)
        except WorkError as error:
            event = Broken(str(error).partition("; its log is")[0])  # the log is removed with the temporary folder
        match event:
            case EpochReport(number=number):
                self.executor.answer(number, True)
            case Outcome(number=number, ended="complete", seconds=seconds):
                self._ended(number, seconds=seconds.total - seconds.waiting)
            case Outcome() as outcome:
                self._ended(outcome.number, reason=outcome.error or outcome.ended)
            case Lost(number, _, reason) | Returned(number, _, reason):
                self._ended(number, reason=reason)
            case Broken(reason):
                for number in list(self.left):
                    self._ended(number, reason=reason)
            case _:
                pass

    def _ended(self, number: int, seconds: float | None = None, reason: str | None = None) -> None:
        self.tried.append(Tried(self.device, self.left.pop(number), seconds, reason))


def start_trials(tried: Mapping[str, Share], held: ExitStack) -> list[Tryout]:
    """Start the trials, one of each precision on each device; `held` ends those still running.

    Raises:
        WorkError: the temporary folder cannot be written to, or the digits cannot be read.
    """
    try:
        folder = Path(held.enter_context(TemporaryDirectory(prefix="convsearch-doctor-", ignore_cleanup_errors=True)))
        tryouts = []
        for device, share in tried.items():  # first, because workers take long to start
            executor = LocalExecutor(folder / device, [share], SILENCE)
            tryouts.append(Tryout(device, held.enter_context(closing(executor))))
        digits = open_data("digits", folder / "data")
        split(digits, seed=0).save(folder / "split.npz")
    except (OSError, ImportError, InputError) as error:
        raise WorkError(f"the tiny trials cannot be prepared: {error}") from error
    for tryout in tryouts:
        for number, precision in enumerate(PRECISIONS):
            tryout.executor.submit(_job(number, precision, digits, folder, tryout.device), alone=True)
    return tryouts


def wait_for_trials(tryouts: list[Tryout]) -> list[Tried]:
    """Wait until all have ended; return their results device by device."""
    while waiting := [tryout for tryout in tryouts if tryout.left]:
        for tryout in waiting:
            tryout.process_event()
    return [one for tryout in tryouts for one in tryout.tried]


def _job(number: int, precision: Precision, digits: Dataset, folder: Path, device: str) -> Job:
    return Job(
        number=number,
        candidate=Candidate(
            architecture=Architecture(
                input=digits.input,
                layers=(Layer(filters=8, batch_norm=True, pooling="max", pool_size=2, pool_stride=2),),
                head=Head(pooling="flatten"),
                classes=len(digits.classes),
            ),
            recipe=Recipe(optimizer="adam", learning_rate=0.01, schedule="constant", batch_size=64),
        ),
        data=str(digits.folder),
        split=str(folder / "split.npz"),
        length=Length(epochs=1, patience=1),
        seed=0,
        weights=str(folder / f"{device}-{number}.weights.h5"),
        precision=precision,
    )
