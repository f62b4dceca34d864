"""The announcement before a search: the data and what is unusual about them, the space, the budget."""

from collections.abc import Sequence
from itertools import islice

from rich.console import Console
from rich.text import Text

from ...spaces.known.portfolio import portfolio
from ...spaces.printable import printable
from ...spaces.space import SearchSpace
from ..data.source import listed
from ..executors.shares import Share, crowded
from ..loop.budget import Budget
from ..loop.cost import LARGE
from ..loop.prepared import Prepared
from ..sources.open import stands_here
from ..system.machine import Machine
from ..values.words import counted, duration

COUNTED = 10_000  # candidates that are looked at before a grid search, to count those within the limits


def worker_lines(shared: Sequence[Share], machine: Machine) -> list[str]:
    """Return lines that describe the workers, if there are several or a GPU, and any problem with their number."""
    lines = []
    if len(shared) > 1 or shared[0].gpu is not None:
        cores = sorted({len(share.cores) for share in shared})
        each = " or ".join(counted(count, "core") for count in cores)
        gpus = sorted({share.gpu for share in shared if share.gpu is not None})
        where = f" on GPU {', '.join(map(str, gpus))}" if gpus else ""
        memory = f"{shared[0].memory / 2**30:.1f} GB"
        lines.append(f"{counted(len(shared), 'worker')}{where}, each with {each} and {memory}")
    if warning := crowded(machine, len(shared)):
        lines.append(f"  note: {warning}")
    return lines


def announce(prepared: Prepared, budget: Budget, console: Console) -> None:
    """Print what is about to run, and what is unusual about the data."""
    study, data = prepared.study, prepared.study.data
    counts = prepared.dataset.class_counts()
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    names = listed([f"'{name}'" for name in data.classes], ", ", limit=5)
    balance = (
        f"{counts[least]:,} images each"
        if counts[least] == counts[most]
        else f"from {counts[least]:,} ('{least}') to {counts[most]:,} ('{most}') images"
    )
    console.print(
        Text.assemble(
            "study ",
            (study.name, "bold"),
            f" in {printable(str(prepared.folder.path.parent))}\n",
            f"data {data.name}: {study.input}, {len(data.classes)} classes ({names}) with {balance}; ",
            f"{data.train:,} train, {data.val:,} validation, {data.test:,} test",
        ),
        soft_wrap=True,
    )
    if prepared.database is not None:
        console.print(f"shared in {prepared.database.place}, as loop {study.loop}", soft_wrap=True)
    if stands_here(data.source):
        console.print(f"  note: this is not the ./{data.source} of the current folder", soft_wrap=True)
    for note in (*data.notes, *study.warm_notes):
        console.print(f"  note: {note}", soft_wrap=True)
    smallest = study.sizes[0]
    if smallest.pixels > LARGE:
        console.print(
            f"  note: images of {smallest} make trials slow; --image-size 64x64 makes them faster in proportion to the "
            "pixels",
            soft_wrap=True,
        )
    limits = [f"{budget.trials} trials"] if budget.trials else []
    limits += [] if budget.seconds is None else [duration(budget.seconds)]
    finished = prepared.record.finished()
    console.print(
        f"space {study.space}: {len(prepared.space.dimensions)} dimensions; {study.engine} {study.algorithm}, "
        + (f"pruner {study.pruner}, " if study.engine == "optuna" else "")
        + f"up to {study.epochs} epochs a trial; "
        + (" or ".join(limits) if limits else "until the space is exhausted")
        + (f"; {finished} trials are already finished" if finished else ""),
        soft_wrap=True,
    )
    if study.preference.several:
        console.print(f"objectives {', '.join(study.objectives)}; the winner is {study.preference}")
    if study.algorithm == "grid":
        _announce_grid(prepared.space, console)
        return
    if study.warm_start is not None and not finished:
        taken = counted(len(study.warm_values), "network")
        console.print(f"starts with the best of study {study.warm_start}: {taken}, fitted to this one")
    for guess in portfolio(prepared.space, data.train, prepared.study.first_size):
        if guess.values is None:
            console.print(f"  note: the portfolio's '{guess.name}' is skipped: {guess.reason}")


def _announce_grid(space: SearchSpace, console: Console) -> None:
    """Print how many candidates an exhaustive search has to try."""
    if not space.definition.limits.model_dump(exclude_none=True):
        console.print(f"the grid holds {space.architectures * space.recipes:,} candidates")
        return
    looked_at = list(islice(space.enumerate_all(), COUNTED))
    size = len(looked_at) - looked_at.count(None)
    more = "at least " if len(looked_at) == COUNTED else ""
    console.print(f"the grid holds {more}{size:,} candidates within the limits")
