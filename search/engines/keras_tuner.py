"""KerasTuner as an engine: one of its oracles, driven by create, update and end of a trial, on its own storage.

KerasTuner's tuners are not used: they train in the loop's own process.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_tuner.engine.trial import Trial as KerasTunerTrial
from keras_tuner.engine.trial import TrialStatus

from ...spaces.errors import InputError, WorkError
from ...spaces.space import Values
from ..values.proposal import Proposal, State
from .hyperparameters import encoded
from .oracles import EPOCHS, FOLDER, INITIAL_EPOCH, OBJECTIVE, RESUMES, STATE, oracle
from .proposals import Proposals


class KerasTunerEngine:
    """Proposes by one of KerasTuner's oracles, stored in `keras_tuner/` as KerasTuner does."""

    name = "keras-tuner"

    def __init__(self, folder: Path, algorithm: str, epochs: int, seed: int, proposals: Proposals) -> None:
        """Open the search in `folder`, or begin it.

        Args:
            folder: where the storage is.
            algorithm: `hyperband`, `bayesian`, `random` or `grid`.
            epochs: the most that a trial may take; Hyperband's rungs lie below it.
            seed: of the oracle.
            proposals: what may be proposed.

        Raises:
            InputError: the storage is damaged.
        """
        self.algorithm = algorithm
        self.proposals = proposals
        self._epochs = epochs
        self._path = folder / FOLDER
        self._requests = 0
        self._numbers: dict[str, int] = {}  # KerasTuner counts a resumed trial as another one; we do not
        self._ids: dict[int, str] = {}  # the last of the trials that resumed each other
        self._oracle = oracle(algorithm, epochs, seed, proposals, folder)
        self._requeued: list[str] = []  # ids of trials that the loop has requeued
        files = list(self._path.glob("trial_*/trial.json"))
        if len(files) > 1 or (self._path / STATE).exists():  # else a kill came before anything was proposed
            self._reload()

    def _reload(self) -> None:
        try:
            self._oracle.reload()
            for trial_id in self._oracle.start_order:
                self._note(self._oracle.trials[trial_id])
        except (OSError, ValueError, KeyError, StopIteration) as error:
            raise InputError(
                f"{self._path}: KerasTuner's storage is damaged or of another version "
                f"({type(error).__name__}: {error}); move it away, and --resume rebuilds it from trials.jsonl"
            ) from error

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal: a new candidate, or a trial that is promoted from its rung."""
        self._oracle._retry_queue = self._affordable_requeued(new)
        if self.algorithm != "hyperband" and not self._oracle._retry_queue and (not new or self.proposals.exhausted()):
            return None
        self._oracle.new = new and not self.proposals.exhausted()
        self._requests += 1
        with self._stored():
            trial = self._oracle.create_trial(f"loop-{self._requests}")
        if trial.status != TrialStatus.RUNNING:
            return None
        if trial.trial_id in self._requeued:
            self._requeued.remove(trial.trial_id)
        proposal = self._proposal(trial)
        self.proposals.tried.add(proposal.candidate.hash)
        return proposal

    def _proposal(self, trial: Any) -> Proposal:
        stored = trial.hyperparameters.values
        # What has no meaning in this candidate was dropped by the fit; KerasTuner puts its default there.
        values = self.proposals.space.fit(self._oracle.decoded(stored))
        candidate = self.proposals.space.candidate(values)
        epochs = stored.get(EPOCHS)
        return Proposal(self._note(trial), values, candidate, None if epochs == self._epochs else epochs)

    def _affordable_requeued(self, new: bool) -> list[str]:
        """Return the first requeued trial for which there is time, as KerasTuner's retry queue."""
        for trial_id in self._requeued:
            trial = self._oracle.trials[trial_id]
            stored = trial.hyperparameters.values
            epochs = stored[EPOCHS] - stored[INITIAL_EPOCH] if EPOCHS in stored else None
            allowed = new or RESUMES in stored
            if allowed and self.proposals.can_run(self._proposal(trial).candidate, epochs):
                return [trial_id]
        return []

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch. A trial always continues to the end of its rung."""
        with self._stored():
            self._oracle.update_trial(self._current(number).trial_id, {OBJECTIVE: value}, step=epoch)
        return True

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial; for KerasTuner an interrupted one stays open, to be retried."""
        trial = self._current(number)
        for tuner, ongoing in list(self._oracle.ongoing_trials.items()):
            if state == "interrupted" and ongoing.trial_id == trial.trial_id:
                del self._oracle.ongoing_trials[tuner]
        if state == "interrupted":
            return
        with self._stored():
            if state != "failed" and not trial.metrics.exists(OBJECTIVE):
                self._oracle.update_trial(trial.trial_id, {OBJECTIVE: value})
            trial.status = TrialStatus.FAILED if state == "failed" else TrialStatus.COMPLETED
            self._oracle.end_trial(trial)

    def open_trials(self) -> dict[int, int]:
        """Return the trials that were proposed and have not ended, each with the epoch from which it continues."""
        running = [trial for trial in self._oracle.trials.values() if trial.status == TrialStatus.RUNNING]
        found = {self._numbers[t.trial_id]: t.hyperparameters.values.get(INITIAL_EPOCH, 0) for t in running}
        return dict(sorted(found.items()))

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Add a trial that the storage does not have; see the protocol.

        Hyperband begins new brackets: the trial's value counts, but the trial is not promoted.
        """
        oracle, dimensions = self._oracle, self.proposals.space.dimensions
        with self._stored():
            for missing in range(len(self._ids), number + 1):
                learnt = values if missing == number else {}
                hps = oracle.hyperparameters.copy()
                hps.values = {name: encoded(dimensions[name], value) for name, value in learnt.items()}
                trial = KerasTunerTrial(hps, trial_id=f"learnt-{missing:06d}", status=TrialStatus.FAILED)
                if missing == number and state in ("complete", "pruned"):
                    trial.metrics.register(OBJECTIVE, direction="max")
                    for epoch, value in enumerate(curve, start=1):
                        trial.metrics.update(OBJECTIVE, value, step=epoch)
                    trial.score, trial.status = max(curve), TrialStatus.COMPLETED
                oracle.trials[trial.trial_id] = trial
                oracle.start_order.append(trial.trial_id)
                oracle.end_order.append(trial.trial_id)
                oracle._save_trial(trial)
                self._note(trial)
            oracle.save()

    def knows(self, number: int) -> bool:
        """Whether the storage has a trial of this number."""
        return number in self._ids

    def requeue(self, number: int, values: Values) -> None:
        """Propose an interrupted trial's candidate again, under its own number."""
        self._requeued.append(self._current(number).trial_id)

    def resumable(self) -> set[int]:
        """Return the trials that wait at a rung, and those that were interrupted."""
        waiting = self._oracle.waiting()
        return {self._numbers[trial_id] for trial_id in waiting | set(self._requeued)}

    def waiting(self) -> bool:
        """Return False: no other loop searches this study."""
        return False

    def tick(self) -> None:
        """Do nothing: there is no periodic work."""

    def close(self) -> None:
        """Do nothing: each change was written to its file at once."""

    def _note(self, trial: Any) -> int:
        """Return our number of a trial of KerasTuner: a new one, unless it resumes another trial."""
        before = trial.hyperparameters.values.get(RESUMES)
        if trial.trial_id not in self._numbers:
            self._numbers[trial.trial_id] = self._numbers[before] if before else len(self._ids)
        number = self._numbers[trial.trial_id]
        self._ids[number] = trial.trial_id
        return number

    def _current(self, number: int) -> Any:
        return self._oracle.trials[self._ids[number]]

    @contextmanager
    def _stored(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WorkError(f"{self._path}: {error.strerror or error}") from error
