"""KerasTuner's oracles, made to store only what can be built.

An oracle's suggestion is turned into a valid candidate before the oracle stores it, so that it learns from the values
that networks really have.

Hyperband (Li et al., 2018) trains many candidates for few epochs and promotes the best third of them, rung by rung;
each continues from its checkpoint.
"""

import json
import math
import random
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial as KerasTunerTrial
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle
from pydantic import BaseModel, ConfigDict, Field

from ...spaces.space import Values
from ..system.files import write_text
from ..values.bounds import Count, Finite, Share
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


class _Stored(BaseModel):
    """What is taken from a file of the storage; all else in it the oracle was made with."""

    model_config = ConfigDict(strict=True)


class _Observation(_Stored):
    value: Annotated[list[Share], Field(min_length=1)]
    step: Count


class _Curve(_Stored):
    direction: Literal["max"]
    observations: Annotated[list[_Observation], Field(min_length=1)]


class _Metrics(_Stored):
    metrics: dict[str, _Curve]


class _Values(_Stored):
    values: dict[str, str | bool | int | Finite]


class _StoredTrial(_Stored):
    trial_id: str
    hyperparameters: _Values
    metrics: _Metrics
    score: Share | None
    best_step: Count | None
    status: Literal["RUNNING", "COMPLETED", "FAILED"]
    message: str | None


class _Place(_Stored):
    past_id: str | None
    id: str


class _Bracket(_Stored):
    bracket_num: Count
    rounds: list[list[_Place]]


class _StoredState(_Stored):
    start_order: list[str]
    end_order: list[str]
    run_times: dict[str, Count]
    seed_state: Count
    tried_so_far: list[str]
    id_to_hash: dict[str, str | None]
    brackets: list[_Bracket] = []
    current_bracket: Count = 0
    current_iteration: Count = 0


class _Fitted:
    """Makes an oracle of KerasTuner store valid candidates, and nothing else."""

    proposals: Proposals
    new = True  # whether new candidates may be proposed
    trials: dict[str, Any]
    hyperparameters: keras_tuner.HyperParameters
    start_order: list[str]
    get_state: Callable[[], dict[str, Any]]
    set_state: Callable[[dict[str, Any]], None]
    _directory: str
    _seed_state: int

    def save(self) -> None:
        """Write the oracle's state, atomically: KerasTuner's own method would leave half a file after a kill."""
        write_text(Path(self._directory, FOLDER, STATE), json.dumps(self.get_state()))

    def _save_trial(self, trial: KerasTunerTrial) -> None:
        folder = Path(self._directory, FOLDER, f"trial_{trial.trial_id}")
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "trial.json", json.dumps(trial.get_state()))

    def reload(self) -> None:
        """Load the search from its files: KerasTuner's own method would take whatever is in them.

        Raises:
            OSError: a file is missing or cannot be read.
            ValueError, KeyError, StopIteration: the storage is damaged.
        """
        folder = Path(self._directory, FOLDER)
        for file in sorted(folder.glob("trial_*/trial.json")):
            stored = _StoredTrial.model_validate_json(file.read_bytes())
            if file.parent.name != f"trial_{stored.trial_id}":
                raise ValueError(f"{file}: it is of trial {stored.trial_id}")
            if stored.status == "COMPLETED" and stored.score is None:
                raise ValueError(f"{file}: completed without a score")
            values = self._checked(stored.hyperparameters.values)
            if stored.status != "FAILED":  # those that `learn` makes for others have no values
                self.proposals.space.fit(self.decoded(values))
            made = {"hyperparameters": self.hyperparameters.get_config() | {"values": values}}
            self.trials[stored.trial_id] = KerasTunerTrial.from_state(stored.model_dump() | made)
        state = _StoredState.model_validate_json((folder / STATE).read_bytes())
        self._check(state)
        made = self.get_state()
        self.set_state(made | {name: value for name, value in state.model_dump().items() if name in made})
        for trial_id in self.trials.keys() - set(self.start_order):
            del self.trials[trial_id]  # a kill came before it was proposed

    def _checked(self, values: Values) -> Values:
        """Return stored values as they are stored: numbers within their ranges."""
        dimensions = self.proposals.space.dimensions
        return values | {name: encoded(dimensions[name], value) for name, value in self.decoded(values).items()}

    def _check(self, state: _StoredState) -> None:
        """Raise a ValueError if a state does not fit together, or not to the trials."""
        started = set(state.start_order)
        named = set(state.end_order)
        if len(started) < len(state.start_order) or not started | named <= self.trials.keys() or not named <= started:
            raise ValueError("start_order and end_order do not name the trials that there are, each once")
        for trial_id in self.trials.keys() - started:  # else the id of a later trial would be given again
            if trial_id.isdecimal() and int(trial_id) < len(started):
                raise ValueError(f"trial {trial_id} is not in start_order")

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

    def waiting(self) -> set[str]:
        """Return the ids of the trials that may be promoted to another rung."""
        return set()

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
        if self.proposals.can_run(candidate, values[EPOCHS] - values[INITIAL_EPOCH]):
            return response
        for bracket in self._brackets:  # it keeps waiting
            for rung in bracket["rounds"]:
                rung[:] = [trial for trial in rung if trial["id"] != trial_id]
        return {"status": TrialStatus.STOPPED, "values": None}

    def _checked(self, values: Values) -> Values:
        if {EPOCHS, INITIAL_EPOCH} & values.keys():
            begin, end = values.get(INITIAL_EPOCH), values.get(EPOCHS)
            if not (type(begin) is int and type(end) is int and 0 <= begin < end <= self.max_epochs):
                raise ValueError(f"epochs from {begin} to {end} of {self.max_epochs}")
        return super()._checked(values)

    def _check(self, state: _StoredState) -> None:
        super()._check(state)
        most = self._get_num_brackets()
        sizes = [(bracket.bracket_num, len(bracket.rounds)) for bracket in state.brackets]
        if state.current_bracket >= most or any(number >= most or rungs != number + 1 for number, rungs in sizes):
            raise ValueError(f"brackets {sizes} of {most}")
        places = [place for bracket in state.brackets for rung in bracket.rounds for place in rung]
        if not {name for place in places for name in (place.id, place.past_id)} <= {None, *state.start_order}:
            raise ValueError("a rung has a trial that is not in start_order")

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


def oracle(algorithm: str, epochs: int, seed: int, proposals: Proposals, folder: Path) -> Any:
    """Return a new oracle.

    Args:
        algorithm: `hyperband`, `bayesian`, `random` or `grid`.
        epochs: the most that a trial may take; Hyperband's rungs lie below it.
        seed: of the oracle.
        proposals: what may be proposed.
        folder: where the study is; the oracle's own FOLDER in it is created.
    """
    common = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "seed": seed + 1,  # it takes 0 for "any"
        "hyperparameters": hyperparameters(proposals.space),
        "tune_new_entries": False,
        "allow_new_entries": False,
        "max_consecutive_failed_trials": ENDLESS,  # the loop decides when failures end a search
    }
    if algorithm == "hyperband":
        made: Any = _Hyperband(max_epochs=epochs, factor=FACTOR, hyperband_iterations=ENDLESS, **common)
    elif algorithm == "bayesian":
        # KerasTuner's own default, thrice the number of dimensions, is more trials than most searches have.
        made = _Bayesian(max_trials=ENDLESS, num_initial_points=INITIAL_POINTS, **common)
    else:
        made = (_Grid if algorithm == "grid" else _Random)(max_trials=ENDLESS, **common)
    made.proposals = proposals
    made.verbose = 0
    made._set_project_dir(str(folder), FOLDER)
    return made
