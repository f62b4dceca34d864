"""The loop: ask the engine, submit to the executor, take the next event, report, tell. It knows protocols only.

Engines never train and executors never choose; delivery and the progress view are listeners.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ...spaces.errors import WorkError
from ..engines.protocol import Engine
from ..executors.protocol import Broken, Event, Executor, Lost, Returned, Started
from ..executors.run_jobs import TICK
from ..study.folder import CHECKPOINT, FILES
from ..study.objectives import DEFAULT, costs, front
from ..study.record import Record
from ..study.trial import Trial, now
from ..training.checkpoint import saved_epochs
from ..values.commands import command
from ..values.job import EpochReport, Job, Outcome
from ..values.proposal import Proposal, State
from .budget import Budget

KEPT = 5  # the number of best trials whose weights are kept
HOPELESS = 5  # the number of failed trials, without any success, that ends a search


class Listener(Protocol):
    """Is notified of everything that happens to a study's trials."""

    def began(self, trial: Trial) -> None:
        """Take the start of a trial, or its resumption."""

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Take the report of an epoch."""

    def ended(self, trial: Trial) -> None:
        """Take the end of a trial."""

    def tick(self) -> None:
        """Do periodic work; called a few times a second."""


@dataclass
class Loop:
    """One search, with what it works on. `job` makes the job of a proposal; `weights` is the folder of weight files."""

    engine: Engine
    executor: Executor
    record: Record
    listeners: Sequence[Listener]
    budget: Budget
    job: Callable[[Proposal, Trial], Job]
    weights: Path
    running: dict[int, Trial] = field(default_factory=dict)
    proposals: dict[int, Proposal] = field(default_factory=dict)  # of the running trials
    waited: dict[int, float] = field(default_factory=dict)
    pruned: set[int] = field(default_factory=set)
    dry: bool = False  # whether the engine has nothing to propose until another trial ends
    interrupted: bool = False
    objectives: Sequence[str] = DEFAULT
    seconds_to_repeat: Callable[[], float] = lambda: 0.0  # predicts the time to train the best few again
    keep: int = KEPT
    always_kept: Collection[int] = ()  # trials whose weights are kept in any case
    last_tick: float = 0.0

    def run(self) -> None:
        """Run trials until the budget is used up, the space is exhausted, or the user stops the search.

        Raises:
            WorkError: the machine cannot run jobs any more, or all trials have failed.
        """
        self.budget.repeat_seconds = self.seconds_to_repeat()
        while True:
            if self._has_room():
                self._ask()
            if not self.running and not self._has_room() and (self.budget.over or not self.engine.waiting()):
                return
            if self.budget.over and not self.interrupted:
                self.interrupted = True
                for number in self.running:
                    self.executor.interrupt(number)
            # Events come before the next proposal, which takes time: a worker that has reported waits for its answer.
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
        proposal = self.engine.ask(new=self._may_begin_trial())
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
            case Returned(number, _, reason):
                self._end(self.running[number].lose("interrupted", reason, just_now=True))
            case Broken(reason):
                raise WorkError(reason)

    def _tick(self) -> None:
        if time.monotonic() - self.last_tick >= TICK:
            self.last_tick = time.monotonic()
            self.dry &= not self.engine.waiting()
            self.engine.tick()
            for listener in self.listeners:
                listener.tick()

    def abandon(self) -> None:
        """Record all running trials as interrupted, without waiting for their outcomes."""
        for trial in list(self.running.values()):
            if self.record.trials[trial.number].state == "running":  # Ctrl-C may come while an end is recorded
                reason = "the search was stopped while the trial ran"
                self._end(trial.lose("interrupted", reason, just_now=True))

    def _may_begin_trial(self) -> bool:
        return self.budget.allows(self.record.finished() + len(self.running))

    def _begin(self, proposal: Proposal) -> None:
        recorded = self.record.trials.get(proposal.number)
        trial = self._resumed(proposal, recorded) if recorded else Trial.begin(proposal)
        self.record.add(trial)
        self._submit(proposal, trial)
        for listener in self.listeners:
            listener.began(trial)

    def _submit(self, proposal: Proposal, trial: Trial) -> None:
        self.running[trial.number], self.proposals[trial.number] = trial, proposal
        self.executor.submit(self.job(proposal, trial))

    def _resumed(self, proposal: Proposal, recorded: Trial) -> Trial:
        """Return a trial that runs again: from its checkpoint, or from the start if it has none."""
        if recorded.epochs and self._has_checkpoint(recorded):
            return recorded.resume()
        kept = {"started_at": recorded.started_at, "resumed_at": now(), "lost": recorded.lost}
        return Trial.begin(proposal).model_copy(update=kept)

    def _lose(self, number: int, reason: str) -> None:
        """Run a trial again after its worker was lost; the second time it fails, as it may well be the cause."""
        trial = self.running[number].lose_worker(reason)
        self.pruned.discard(number)
        if len(trial.lost) > 1:
            why = f"its worker was lost twice: {trial.lost[-2]}; then {reason}"
            self._end(trial.lose("failed", why, just_now=True))
        elif self.interrupted:
            self._end(trial.lose("interrupted", reason, just_now=True))
        else:
            proposal = self.proposals[number]
            trial = self._resumed(proposal, trial)
            self.record.add(trial)
            self._submit(proposal, trial)

    def _report(self, report: EpochReport) -> None:
        assert report.val_accuracy is not None, "every epoch of a trial is validated"
        go_on = self.engine.report(report.number, report.epoch, report.val_accuracy)
        if not go_on and not self.interrupted:
            self.pruned.add(report.number)
        self.executor.answer(report.number, go_on and not self.interrupted)
        for listener in self.listeners:
            listener.epoch(self.running[report.number], report)

    def _state(self, outcome: Outcome) -> State:
        if outcome.ended == "stopped":
            return "pruned" if outcome.number in self.pruned else "interrupted"
        if outcome.ended == "complete" and self.proposals[outcome.number].epochs:
            return "pruned"  # at its rung, unless it is promoted
        return outcome.ended

    def _end(self, trial: Trial) -> None:
        self.record.add(trial)  # first of all: what is recorded is never lost
        del self.running[trial.number]
        del self.proposals[trial.number]
        self.dry = False
        self.budget.has_result |= trial.value is not None
        self.budget.repeat_seconds = self.seconds_to_repeat()
        self.engine.tell(trial.number, trial.state, trial.value, costs(trial, self.objectives))
        self._delete_other_weights()
        for listener in self.listeners:
            listener.ended(trial)
        if trial.state == "failed" and self.record.counts()["failed"] >= HOPELESS and not self.record.best():
            raise WorkError(
                f"the first {HOPELESS} trials all failed, the last with: {trial.error}; "
                f"`{command('show', self.record.folder.name, home=self.record.folder.parent)}` lists all reasons"
            )

    def _has_checkpoint(self, trial: Trial) -> bool:
        """Whether there is a checkpoint from which a trial can resume as recorded.

        After a kill between the worker's write of a checkpoint and the record's, the checkpoint is ahead.
        """
        return saved_epochs(self.weights / f"{trial.number}{CHECKPOINT}") == trial.epochs

    def _delete_other_weights(self) -> None:
        """Delete all weights and checkpoints except those of the best trials and of trials that may resume."""
        resumable = self.engine.resumable() | self.running.keys()
        resumable |= {trial.number for trial in self.record.in_state("interrupted") if self._has_checkpoint(trial)}
        best = self.record.best_here(self.keep)
        if len(self.objectives) > 1:  # any trial on the front may be exported
            best += front(self.record.trials.values(), self.objectives)
        kept = {trial.number for trial in best} | resumable | set(self.always_kept)
        for path in self.weights.iterdir():
            if (found := FILES.fullmatch(path.name)) is None:  # not ours
                continue
            if int(found[1]) not in (resumable if found[2] == CHECKPOINT else kept):
                path.unlink()
