"""Optuna as an engine: its samplers and pruners by ask, report and tell, on plain Optuna storage.

`FittedSampler` wraps one of Optuna's samplers: what the sampler wishes is brought to what may become a trial before
Optuna stores it, so that the sampler learns from, and `optuna-dashboard` shows, the values that networks really have.
"""

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ...spaces.dimension import Choice, Dimension, Options
from ...spaces.errors import InputError, WorkError
from ...spaces.space import Values
from .proposals import Proposals
from .protocol import Proposal, State

ALGORITHMS = ("tpe", "random", "nsga2", "grid", "gp")
PRUNERS = ("hyperband", "median", "none")
FILE = "optuna.db"
STUDY = "study"  # the name inside the storage; the file's folder names the study
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.FAIL,
}


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return Optuna's distribution of a dimension."""
    if isinstance(dimension, Options):
        return CategoricalDistribution(dimension.values)
    if dimension.whole:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


class FittedSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Samples whole proposals by another sampler, and hands them out value by value.

    The proposal is made in `before_trial`: the inner sampler's joint wish, completed one by one for the dimensions that
    it knows nothing of yet. After that, Optuna's own suggest calls only read from it.
    """

    def __init__(self, inner: optuna.samplers.BaseSampler, proposals: Proposals) -> None:
        self.inner = inner
        self.proposals = proposals
        self.distributions = {name: distribution(d) for name, d in proposals.space.dimensions.items()}
        self.proposal: Proposal | None = None

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the proposal of a trial that Optuna has just opened."""
        self.inner.before_trial(study, trial)
        found = self.proposals.next(trial.number, lambda: self._wish(study, trial))
        self.proposal = Proposal(trial.number, *found) if found else None

    def _wish(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        joint = self.inner.infer_relative_search_space(study, trial)
        values = dict(self.inner.sample_relative(study, trial, joint))
        for name, dist in self.distributions.items():
            if name not in values:
                values[name] = self.inner.sample_independent(study, trial, name, dist)
        return values

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Leave nothing for Optuna to sample jointly: the proposal holds it all."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample nothing jointly."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Choice:
        """Read one value from the proposal."""
        assert self.proposal is not None
        return self.proposal.values[param_name]

    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Pass a trial's end on to the inner sampler."""
        self.inner.after_trial(study, trial, state, values)


class ExhaustiveSampler(FittedSampler):
    """Wishes for every candidate of the space, one after the other."""

    def _wish(self, study: optuna.Study, trial: FrozenTrial) -> Values:
        return self.proposals.first_untried() or {}


class OptunaEngine:
    """Proposes by one of Optuna's samplers; stores in `optuna.db`, which `optuna-dashboard` opens."""

    name = "optuna"

    def __init__(
        self,
        folder: Path,
        algorithm: str,
        pruner: str,
        epochs: int,
        seed: int,
        proposals: Proposals,
        costs: int = 0,
    ) -> None:
        """Open the study in `folder`, or begin it.

        Args:
            folder: where the storage is.
            algorithm: one of ALGORITHMS.
            pruner: one of PRUNERS.
            epochs: the most that a trial may take; Hyperband's rungs lie below it.
            seed: of the sampler; a study that goes on continues with other numbers than it began with.
            proposals: what may be proposed.
            costs: so many objectives besides the accuracy are to be small.

        Raises:
            InputError: the storage is damaged, or another version of Optuna wrote it.
            WorkError: it cannot be made.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.algorithm = algorithm
        self.proposals = proposals
        self._path = folder / FILE
        self._costs = costs
        self._trials: dict[int, Trial] = {}
        self._unpruned: set[int] = set()
        was_there = self._path.exists()
        try:
            self.storage = optuna.storages.RDBStorage(f"sqlite:///{self._path}")
            self._study = optuna.create_study(
                storage=self.storage,
                study_name=STUDY,
                directions=["maximize", *["minimize"] * costs],
                pruner=_pruner(pruner, epochs),
                load_if_exists=True,
            )
            known = self._study.get_trials(deepcopy=False)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError, ValueError) as error:
            cause = str(error.__cause__ or error).splitlines()[0]
            if not was_there:
                raise WorkError(f"{self._path}: {cause}") from error
            raise InputError(
                f"{self._path}: Optuna's storage is damaged or of another version ({cause}); move it away, and "
                "--resume makes it anew from trials.jsonl"
            ) from error
        self._open = {trial.number for trial in known if trial.state == TrialState.RUNNING}
        kind = ExhaustiveSampler if algorithm == "grid" else FittedSampler
        self._sampler = kind(_sampler(algorithm, _later_seed(seed, len(known)) if known else seed), proposals)
        self._study.sampler = self._sampler

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None when the space is exhausted. Its trials never go on after their end."""
        if not new or self.proposals.exhausted():
            return None
        with self._stored():
            trial = self._study.ask()
            proposal = self._sampler.proposal
            if proposal is None:  # the limits are so tight that nothing new was found
                self._study.tell(trial, state=TrialState.FAIL)
                return None
            for name in proposal.values:
                trial._suggest(name, self._sampler.distributions[name])
            trial.set_user_attr("architecture", str(proposal.candidate.architecture))
            trial.set_user_attr("hash", proposal.candidate.hash)
        self._trials[trial.number] = trial
        self._open.add(trial.number)
        if not self.proposals.wished:
            self._unpruned.add(trial.number)
        return proposal

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial is worth going on.

        What was enqueued is: the first guesses of a study are there to be compared with, and the deeper ones among
        them are slow to begin.
        """
        if self._costs:  # Optuna takes no reports and prunes nothing where there are several objectives
            return True
        trial = self._trials[number]
        with self._stored():
            trial.report(value, epoch)
            return number in self._unpruned or not trial.should_prune()

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial. A pruned one keeps its last reported value, as Optuna has it."""
        with self._stored():
            if state == "interrupted":
                trial_id = self.storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
                self.storage.set_trial_user_attr(trial_id, "interrupted", True)
            values = [value, *costs] if state == "complete" and value is not None else None
            self._study.tell(number, values, STATES[state])
        self._trials.pop(number, None)
        self._open.discard(number)

    def open_trials(self) -> dict[int, int]:
        """Return the trials that were proposed and of which no end was told; all of them begin with the first epoch."""
        return dict.fromkeys(sorted(self._open), 0)

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Take over a trial that the storage does not have; see the protocol."""
        with self._stored():
            while (count := len(self._study.get_trials(deepcopy=False))) < number:  # numbers follow each other
                self._study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
            if count > number:
                raise ValueError(f"the storage has a trial {number} already")
            trained = STATES[state] in (TrialState.COMPLETE, TrialState.PRUNED)
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=STATES[state],
                    values=[max(curve), *costs] if state == "complete" else None,
                    params=values,
                    distributions={name: self._sampler.distributions[name] for name in values},
                    intermediate_values=dict(enumerate(curve, start=1)) if trained and not costs else {},
                )
            )

    def knows(self, number: int) -> bool:
        """Whether the storage has a trial of this number."""
        with self._stored():
            return number < len(self._study.get_trials(deepcopy=False))

    def again(self, number: int, values: Values) -> None:
        """Propose once more what a trial was interrupted in, as a new trial: Optuna's trials end for good."""
        if values:  # else there is nothing of it that could be tried once more
            self.proposals.enqueue(values)

    def may_go_on(self) -> set[int]:
        """Return nothing: a trial is pruned while it runs, or not at all."""
        return set()

    def close(self) -> None:
        """Let go of the storage."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """Turn what goes wrong with the storage (a full disk, a damaged file) into a WorkError."""
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ or error
            raise WorkError(f"{self._path}: {str(cause).splitlines()[0]}") from error


def require_installed(algorithm: str) -> None:
    """Raise an InputError for an algorithm whose packages are not installed."""
    if algorithm == "gp" and find_spec("torch") is None:
        raise InputError("the algorithm 'gp' needs PyTorch: pip install 'convsearch[gp]'")


def _sampler(algorithm: str, seed: int) -> optuna.samplers.BaseSampler:
    made: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        # Grouped: the dimensions of a fourth layer are learnt from the trials that have one.
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
        "grid": lambda: optuna.samplers.RandomSampler(seed=seed),  # not asked: see ExhaustiveSampler
        "gp": lambda: optuna.samplers.GPSampler(seed=seed),
    }
    return made[algorithm]()


def _pruner(pruner: str, epochs: int) -> optuna.pruners.BasePruner:
    if pruner == "hyperband":
        # Before a quarter of its epochs, while the learning rate still rises, nothing is known of a network.
        return optuna.pruners.HyperbandPruner(max(1, epochs // 4), epochs, reduction_factor=3)
    if pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 4))
    return optuna.pruners.NopPruner()


def _later_seed(seed: int, known: int) -> int:
    return random.Random(f"{seed}/{known}").randrange(2**32)
