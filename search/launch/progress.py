"""Progress for people: a live view on a terminal, plain lines elsewhere, all on standard error."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..loop.budget import Budget
from ..study.record import Record
from ..study.trial import Trial
from ..values.job import EpochReport
from ..values.words import counted, duration, sparkline

BAR = 40  # columns of a progress bar
SHOWN = 4  # running trials in the live view


class ProgressView:
    """Shows the progress of a study; a listener of the loop."""

    def __init__(self, console: Console, record: Record, budget: Budget, epochs: int) -> None:
        self._console = console
        self._record = record
        self._budget = budget
        self._epochs = epochs
        self._before = record.finished()  # of earlier launches
        self._began = time.monotonic()
        self._running: dict[int, tuple[Trial, EpochReport | None]] = {}
        self._best = next(iter(record.best()), None)
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the view while the block runs."""
        self._began = time.monotonic()
        if not self._console.is_terminal:
            yield
            return
        with Live(self._view(), console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None

    def began(self, trial: Trial) -> None:
        """Show a new trial."""
        self._running[trial.number] = (trial, None)

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Show an epoch."""
        self._running[trial.number] = (trial, report)

    def ended(self, trial: Trial) -> None:
        """Show a trial's end; without a terminal, print it as a line."""
        self._running.pop(trial.number, None)
        best = next(iter(self._record.best()), None)
        previous = None if self._best is None else (self._best.number, self._best.value)
        improved = best is not None and best.number == trial.number and (best.number, best.value) != previous
        self._best = best
        if self._live is None:
            self._console.print(self._line(trial, improved), soft_wrap=True)

    def tick(self) -> None:
        """Redraw."""
        if self._live is not None:
            self._live.update(self._view())

    def _line(self, trial: Trial, improved: bool) -> str:
        value = f"{trial.value:.1%}" if trial.value is not None else "-"
        line = (
            f"trial {trial.number}: {trial.state}, validation {value} after {counted(trial.epochs, 'epoch')} in "
            f"{duration(trial.seconds)}, {trial.candidate.architecture}"
        )
        if trial.error and trial.state == "failed":
            line += f": {trial.error}"
        return line + (" (best so far)" if improved else "")

    def _view(self) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        done, elapsed = self._record.finished(), time.monotonic() - self._began
        here = done - self._before
        share, left = self._share(done, elapsed)
        rate = f"{60 * here / elapsed:.1f} trials a minute" if here and elapsed else "the first trial is running"
        of = f" of {self._budget.trials}" if self._budget.trials else ""
        grid.add_row("search", ProgressBar(100, 100 * share, BAR))
        grid.add_row("", f"{done}{of} trials, {rate}, {left}")
        for trial, report in islice(self._running.values(), SHOWN):
            epoch = report.epoch if report else 0
            grid.add_row(f"trial {trial.number}", Text(str(trial.candidate.architecture)))
            reached = f", {report.reached}, loss {report.loss:.3f}" if report else ""
            if len(self._running) == 1:
                grid.add_row("", ProgressBar(self._epochs, epoch, BAR))
            grid.add_row("", f"epoch {epoch} of {self._epochs}{reached}")
        if len(self._running) > SHOWN:
            grid.add_row("", f"and {counted(len(self._running) - SHOWN, 'trial')} more")
        if self._best is not None and self._best.value is not None:
            best = Text(f"{self._best.value:.1%}", style="bold green")
            grid.add_row("best", Text.assemble(best, f"  {self._best.candidate.architecture}"))
        values = [t.value for t in sorted(self._record.trials.values(), key=lambda t: t.number) if t.value is not None]
        if len(values) > 1:
            grid.add_row("all", Text(sparkline(values), style="cyan"))
        hint = "Ctrl-C ends the search and exports the best so far"
        if self._budget.stopped:
            hint = "ending the running trial; Ctrl-C again stops at once"
        return Group(Panel(grid, title="Convsearch", subtitle=hint, border_style="blue"))

    def _share(self, done: int, elapsed: float) -> tuple[float, str]:
        """Return the fraction of the search that is done, and the time left in words."""
        shares, estimates = [0.0], []
        if self._budget.seconds is not None:
            seconds = self._budget.search_left
            shares.append(self._budget.elapsed / max(1.0, self._budget.elapsed + seconds))
            estimates.append(seconds)
        if self._budget.trials:
            shares.append(done / self._budget.trials)
            if here := done - self._before:
                estimates.append((self._budget.trials - done) * elapsed / here)
        left = f"about {duration(min(estimates))} left" if estimates else f"{duration(elapsed)} so far"
        return min(1.0, max(shares)), left
