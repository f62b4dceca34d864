"""KerasTuner as an engine: its oracles, driven by create, update and end of a trial, on KerasTuner's own storage.

An oracle's suggestion is turned into a valid candidate before the oracle stores it, so that it learns from the values
that networks really have. KerasTuner's tuners are not used: they train in the loop's own process.

Hyperband (Li et al., 2018) trains many candidates for few epochs and promotes the best third of them, rung by rung;
each continues from its checkpoint.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial as KerasTunerTrial
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle

from ...spaces.errors import InputError, WorkError
from ...spaces.space import Values
from ..system.files import write_text
from ..values.proposal import Proposal, State
from .hyperparameters import decoded, encoded, hyperparameters
from .proposals import Proposals

FOLDER, STATE = "keras_tuner", "oracle.json"
OBJECTIVE = "val_accuracy"
FACTOR = 3  # of Hyperband: one in so many is promoted, to so many times the epochs
ENDLESS = 10**9
INITIAL_POINTS = 10  # random trials before the Gaussian process has a say
SCORED = 500  # random candidates that it scores, and as many variations of the best trial
RESUMES = "tuner/trial_id"  # in the values of a trial of Hyperband: the trial that it resumes
EPOCHS, INITIAL_EPOCH = "tuner/epochs", "tuner/initial_epoch"


class _Fitted:
    """Makes an oracle of KerasTuner store valid candidates, and nothing else."""

    proposals: Proposals
    new = True  # whether new candidates may be proposed
    trials: dict[str, Any]
    hyperparameters: keras_tuner.HyperParameters
    get_state: Callable[[], dict[str, Any]]
    _directory: str
    _seed_state: int

    def save(self) -> None:
        """Write the oracle's state, atomically: KerasTuner's own method would leave half a file after a kill."""
        write_text(Path(self._directory, FOLDER, STATE), json.dumps(self.get_state()))

    def _save_trial(self, trial: KerasTunerTrial) -> None:
        folder = Path(self._directory, FOLDER, f"trial_{trial.trial_id}")
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "trial.json", json.dumps(trial.get_state()))

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return what to try next, in KerasTuner's form."""
        response: dict[str, Any] = super().populate_space(trial_id)  # type: ignore[misc]
        if response["status"] == TrialStatus.RUNNING and response["values"] is None:
            return {"status": TrialStatus.STOPPED, "values": None}
        return response

    def propose(self, suggest: Callable[[], Values]) -> Values | None:
        """Return the values of a new proposal as KerasTuner stores them, or None if there is none."""
        found = self.proposals.next(len(self.trials), suggest) if self.new else None
        if found is None:
            return None
        dimensions = self.proposals.space.dimensions
        return {name: encoded(dimensions[name], value) for name, value in found[0].items()}

    def suggest(self) -> Values:
        """Return random values, each drawn by KerasTuner."""
        values: Values = {}
        for hp in self.hyperparameters.space:
            values[hp.name] = hp.random_sample(self._seed_state)
            self._seed_state += 1
        return self.decoded(values)

    def decoded(self, values: Values) -> Values:
        """Return stored values as the space has them, without the entries that KerasTuner adds for itself."""
        dimensions = self.proposals.space.dimensions
        return {name: decoded(dimensions[name], value) for name, value in values.items() if name in dimensions}

    def _random_values(self) -> Values | None:
        return self.propose(self.suggest)


class _Random(_Fitted, RandomSearchOracle):  # type: ignore[misc]
    """KerasTuner's random search."""


class _Hyperband(_Fitted, HyperbandOracle):  # type: ignore[misc]
    """KerasTuner's Hyperband."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        response = super().populate_space(trial_id)
        if response["status"] == TrialStatus.STOPPED and not self.ongoing_trials:
            response = self._promote_from_incomplete_rung(trial_id) or response
        values = response.get("values")
        if values is None or RESUMES not in values:
            return response
        candidate = self.proposals.space.candidate(self.proposals.space.fit(self.decoded(values)))
        if self.proposals.affordable(candidate, values[EPOCHS] - values[INITIAL_EPOCH]):
            return response
        for bracket in self._brackets:  # it keeps waiting
            for rung in bracket["rounds"]:
                rung[:] = [trial for trial in rung if trial["id"] != trial_id]
        return {"status": TrialStatus.STOPPED, "values": None}

    def _promote_from_incomplete_rung(self, trial_id: str) -> dict[str, Any] | None:
        """Promote the best trial of a rung that no new trial will fill: one in FACTOR of those that are there."""
        for bracket in self._brackets:
            for number, (rung, above) in enumerate(pairwise(bracket["rounds"])):
                promoted = {trial["past_id"] for trial in above}
                waiting = [self.trials[trial["id"]] for trial in rung if trial["id"] not in promoted]
                waiting = [trial for trial in waiting if trial.status == TrialStatus.COMPLETED]
                if not waiting or len(above) >= math.ceil(len(rung) / FACTOR):
                    continue
                best = max(waiting, key=lambda trial: trial.score)
                above.append({"past_id": best.trial_id, "id": trial_id})
                promotion = {
                    RESUMES: best.trial_id,
                    INITIAL_EPOCH: self._get_epochs(bracket["bracket_num"], number),
                    EPOCHS: self._get_epochs(bracket["bracket_num"], number + 1),
                    "tuner/bracket": bracket["bracket_num"],
                    "tuner/round": number + 1,
                }
                return {"status": TrialStatus.RUNNING, "values": best.hyperparameters.values | promotion}
        return None

    def _random_trial(self, trial_id: str, bracket: Any) -> dict[str, Any]:
        self.proposals.epochs = self._get_epochs(bracket["bracket_num"], 0)
        response: dict[str, Any] = super()._random_trial(trial_id, bracket)
        return response

    def waiting(self) -> set[str]:
        """Return the ids of the trials that may be promoted to the next rung of their bracket."""
        found = set()
        for bracket in self._brackets:
            for rung, above in pairwise(bracket["rounds"]):
                found |= {trial["id"] for trial in rung} - {trial["past_id"] for trial in above}
        return found


class _Bayesian(_Fitted, BayesianOptimizationOracle):  # type: ignore[misc]
    """KerasTuner's Gaussian process, evaluated at candidates that can be built.

    KerasTuner searches a unit cube for the most promising point by gradients, which takes five seconds and more in 37
    dimensions and rarely ends at a valid network. Here the process scores about a thousand valid candidates at once.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        completed = [trial for trial in self.trials.values() if trial.status == TrialStatus.COMPLETED]
        if len(completed) < INITIAL_POINTS:
            return super().populate_space(trial_id)
        self.gpr.fit(*self._vectorize_trials())
        best = self.decoded(max(completed, key=lambda trial: trial.score).hyperparameters.values)
        space, source = self.proposals.space, random.Random(f"{self.seed}/{len(self.trials)}")
        candidates = [space.fit(self.suggest()) for _ in range(SCORED)]
        candidates += islice(space.variations(space.fit({**self.suggest(), **best}), source), SCORED)
        mean, deviation = self.gpr.predict(np.array([self._vector(values) for values in candidates]), return_std=True)
        order = iter(np.argsort(mean - self.beta * deviation))  # the process predicts a loss
        values = self.propose(lambda: candidates[next(order)])
        return {"status": TrialStatus.RUNNING if values else TrialStatus.STOPPED, "values": values}

    def _vector(self, values: Values) -> list[float]:
        """Return a candidate's point in the unit cube, as KerasTuner computes it for trials."""
        dimensions = self.proposals.space.dimensions
        return [
            hp.value_to_prob(encoded(dimensions[hp.name], values[hp.name]) if hp.name in values else hp.default)
            for hp in self._nonfixed_space()
        ]


class _Grid(_Fitted, keras_tuner.Oracle):  # type: ignore[misc]
    """Every candidate, in the space's own order. KerasTuner's own grid search loses its position on reload."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        values = self.propose(lambda: self.proposals.first_untried() or {}) if self.proposals.first_untried() else None
        return {"status": TrialStatus.RUNNING if values else TrialStatus.STOPPED, "values": values}


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
        self._oracle = _oracle(algorithm, epochs, seed, hyperparameters(proposals.space))
        self._oracle.proposals = proposals
        self._oracle.verbose = 0
        self._oracle._set_project_dir(str(folder), FOLDER)
        self._requeued: list[str] = []  # ids of trials that the loop has requeued
        files = list(self._path.glob("trial_*/trial.json"))
        if len(files) > 1 or (self._path / STATE).exists():  # else a kill came before anything was proposed
            self._reload(files)

    def _reload(self, files: Sequence[Path]) -> None:
        try:
            for file in (self._path / STATE, *files):
                file.read_bytes()  # for a plain OSError: KerasTuner reads through TensorFlow, which raises its own kind
            self._oracle.reload()
            self._oracle._retry_queue = []
            for trial_id in self._oracle.trials.keys() - set(self._oracle.start_order):
                del self._oracle.trials[trial_id]  # a kill came before it was proposed
            for trial_id in self._oracle.start_order:
                trial = self._oracle.trials[trial_id]
                self._oracle.decoded(trial.hyperparameters.values)
                self._note(trial)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
            cause = error.__cause__ or error
            raise InputError(
                f"{self._path}: KerasTuner's storage is damaged or of another version "
                f"({type(cause).__name__}: {cause}); move it away, and --resume rebuilds it from trials.jsonl"
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
            if allowed and self.proposals.affordable(self._proposal(trial).candidate, epochs):
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
        waiting = self._oracle.waiting() if isinstance(self._oracle, _Hyperband) else set()
        return {self._numbers[trial_id] for trial_id in waiting | set(self._requeued)}

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


def _oracle(algorithm: str, epochs: int, seed: int, hps: keras_tuner.HyperParameters) -> Any:
    common = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "seed": seed + 1,  # it takes 0 for "any"
        "hyperparameters": hps,
        "tune_new_entries": False,
        "allow_new_entries": False,
        "max_consecutive_failed_trials": ENDLESS,  # the loop decides when failures end a search
    }
    if algorithm == "hyperband":
        return _Hyperband(max_epochs=epochs, factor=FACTOR, hyperband_iterations=ENDLESS, **common)
    if algorithm == "bayesian":
        # KerasTuner's own default, thrice the number of dimensions, is more trials than most searches have.
        return _Bayesian(max_trials=ENDLESS, num_initial_points=INITIAL_POINTS, **common)
    return (_Grid if algorithm == "grid" else _Random)(max_trials=ENDLESS, **common)
