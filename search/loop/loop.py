"""The loop: ask the engine, submit to the executor, take the next event, report, tell. It knows protocols only.

Engines never train, executors never choose, and whoever wants to know (tracking, the progress view) listens.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ...spaces.errors import WorkError
from ..engines.protocol import Engine
from ..executors.protocol import Broken, Event, Executor, Lost, Started
from ..executors.run_jobs import TICK
from ..study.folder import CHECKPOINT, FILES
from ..study.objectives import DEFAULT, costs, front
from ..study.record import Record
from ..study.trial import Trial, now
from ..training.checkpoint import saved_epochs
from ..values.job import EpochReport, Job, Outcome
from ..values.proposal import Proposal, State
from .budget import Budget

KEPT = 5  # the weights of so many of the best trials are kept
HOPELESS = 5  # so many failures before the first success end a search: the next would fail too


class Listener(Protocol):
    """Hears of everything that happens to a study's trials."""

    def began(self, trial: Trial) -> None:
        """Hear of a trial that begins, or goes on."""

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Hear of a finished epoch."""

    def ended(self, trial: Trial) -> None:
        """Hear of a trial's end."""

    def tick(self) -> None:
        """Be called a few times a second."""


@dataclass
class Loop:
    """What one search works with. `job` makes the job of a proposal, `weights` is the folder that they go to."""

    engine: Engine
    executor: Executor
    record: Record
    listeners: Sequence[Listener]
    budget: Budget
    job: Callable[[Proposal, Trial], Job]
    weights: Path
    running: dict[int, Trial] = field(default_factory=dict)
    proposals: dict[int, Proposal] = field(default_factory=dict)  # of what runs
    waited: dict[int, float] = field(default_factory=dict)
    pruned: set[int] = field(default_factory=set)
    dry: bool = False  # whether the engine has nothing to propose before another trial ends
    interrupted: bool = False
    objectives: Sequence[str] = DEFAULT
    seconds_to_repeat: Callable[[], float] = lambda: 0.0  # foretells what follows the search
    keep: int = KEPT
    kept_anyway: Collection[int] = ()  # trials whose weights are kept whatever comes
    ticked: float = 0.0
    waiting: Callable[[], bool] = lambda: False  # whether the engine may yet propose, though nothing ends here

    def run(self) -> None:
        """Run trials until the budget is spent, the space is exhausted or somebody says stop.

        Raises:
            WorkError: the machine cannot go on, or nothing but failures came of it.
        """
        self.budget.repeat_seconds = self.seconds_to_repeat()
        while True:
            if self._has_room():
                self._ask()
            if not self.running and not self._has_room() and (self.budget.over or not self.waiting()):
                return
            if self.budget.over and not self.interrupted:
                self.interrupted = True
                for number in self.running:
                    self.executor.interrupt(number)
            # All that has happened first: whoever has reported waits for an answer, and a proposal takes its time.
            patience = 0.0 if self._has_room() else TICK
            for _ in range(self.executor.slots + 1):
                if (event := self.executor.next_event(patience)) is None:
                    break
                self._take(event)
                patience = 0.0
            self._tick()

    def _has_room(self) -> bool:
        return not self.dry and not self.budget.over and len(self.running) < self.executor.slots

    def _ask(self) -> None:
        proposal = self.engine.ask(new=self._another())
        if proposal is None:
            self.dry = True
        else:
            self._begin(proposal)

    def _take(self, event: Event) -> None:
        match event:
            case Started(number, worker, waited):
                self.waited[number] = waited
                self.running[number] = self.running[number].model_copy(update={"worker": worker})
            case EpochReport() as report:
                self._report(report)
            case Outcome() as outcome:
                trial = self.running[outcome.number]
                waited = self.waited.pop(outcome.number, 0.0)
                self._end(trial.end(self._state(outcome), outcome, waited))
            case Lost(number, _, reason):
                self._lose(number, reason)
            case Broken(reason):
                raise WorkError(reason)

    def _tick(self) -> None:
        if time.monotonic() - self.ticked >= TICK:
            self.ticked = time.monotonic()
            self.dry &= not self.waiting()
            for listener in self.listeners:
                listener.tick()

    def abandon(self) -> None:
        """Note of all running trials that they were interrupted: they will not be waited for."""
        for trial in list(self.running.values()):
            if self.record.trials[trial.number].state == "running":  # Ctrl-C may come while an end is noted
                reason = "the search was stopped while the trial ran"
                self._end(trial.lose("interrupted", reason, just_now=True))

    def _another(self) -> bool:
        return self.budget.allows(self.record.finished() + len(self.running))

    def _begin(self, proposal: Proposal) -> None:
        known = self.record.trials.get(proposal.number)
        trial = self._where_it_was(proposal, known) if known else Trial.begin(proposal)
        self.record.add(trial)
        self._submit(proposal, trial)
        for listener in self.listeners:
            listener.began(trial)

    def _submit(self, proposal: Proposal, trial: Trial) -> None:
        self.running[trial.number], self.proposals[trial.number] = trial, proposal
        self.executor.submit(self.job(proposal, trial))

    def _where_it_was(self, proposal: Proposal, known: Trial) -> Trial:
        """Return a trial that is run again as it goes on, or as it begins anew where nothing of it is left."""
        if known.epochs and self._has_checkpoint(known):
            return known.goes_on()
        kept = {"started_at": known.started_at, "resumed_at": now(), "lost": known.lost}
        return Trial.begin(proposal).model_copy(update=kept)

    def _lose(self, number: int, reason: str) -> None:
        """Run a trial whose worker was lost once more; the second time it fails, for it may well be its own fault."""
        trial = self.running[number].lose_worker(reason)
        self.pruned.discard(number)
        if len(trial.lost) > 1:
            why = f"its worker was lost twice: {trial.lost[-2]}; then {reason}"
            self._end(trial.lose("failed", why, just_now=True))
        elif self.interrupted:
            self._end(trial.lose("interrupted", reason, just_now=True))
        else:
            proposal = self.proposals[number]
            trial = self._where_it_was(proposal, trial)
            self.record.add(trial)
            self._submit(proposal, trial)

    def _report(self, report: EpochReport) -> None:
        assert report.val_accuracy is not None, "every epoch of a trial is validated"
        worth_it = self.engine.report(report.number, report.epoch, report.val_accuracy)
        if not worth_it and not self.interrupted:
            self.pruned.add(report.number)
        self.executor.answer(report.number, worth_it and not self.interrupted)
        for listener in self.listeners:
            listener.epoch(self.running[report.number], report)

    def _state(self, outcome: Outcome) -> State:
        if outcome.ended == "stopped":
            return "pruned" if outcome.number in self.pruned else "interrupted"
        if outcome.ended == "complete" and self.proposals[outcome.number].epochs:
            return "pruned"  # unless it is proposed again
        return outcome.ended

    def _end(self, trial: Trial) -> None:
        self.record.add(trial)  # first of all: what stands there is never lost
        del self.running[trial.number]
        del self.proposals[trial.number]
        self.dry = False
        self.budget.has_result |= trial.value is not None
        self.budget.repeat_seconds = self.seconds_to_repeat()
        self.engine.tell(trial.number, trial.state, trial.value, costs(trial, self.objectives))
        self._keep_the_best()
        for listener in self.listeners:
            listener.ended(trial)
        if trial.state == "failed" and self.record.counts()["failed"] >= HOPELESS and not self.record.best():
            raise WorkError(
                f"the first {HOPELESS} trials all failed, the last one so: {trial.error}; "
                "the reasons of all stand in `convsearch show`"
            )

    def _has_checkpoint(self, trial: Trial) -> bool:
        """Whether there is what it takes to go on with a trial's training from where the record has it.

        A kill may have come between the worker's writing of a checkpoint and the record's: it is ahead then.
        """
        return saved_epochs(self.weights / f"{trial.number}{CHECKPOINT}") == trial.epochs

    def _keep_the_best(self) -> None:
        going_on = self.engine.may_go_on() | self.running.keys()
        going_on |= {trial.number for trial in self.record.in_state("interrupted") if self._has_checkpoint(trial)}
        best = self.record.best_here(self.keep)
        if len(self.objectives) > 1:  # any trial of the front may be exported
            best += front(self.record.trials.values(), self.objectives)
        kept = {trial.number for trial in best} | going_on | set(self.kept_anyway)
        for path in self.weights.iterdir():
            if (found := FILES.fullmatch(path.name)) is None:  # not ours
                continue
            if int(found[1]) not in (going_on if found[2] == CHECKPOINT else kept):
                path.unlink()
