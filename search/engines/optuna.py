"""Optuna as an engine: its samplers and pruners by ask, report and tell."""

import random
import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ...spaces.errors import InputError
from ...spaces.space import Values
from ..values.proposal import Proposal, State
from .optuna_internals import frozen, newest
from .proposals import Proposals
from .sampling import LEARNT_FROM, ExhaustiveSampler, FittedSampler, GroupedSampler

ALGORITHMS = ("tpe", "random", "nsga2", "grid", "gp")
PRUNERS = ("hyperband", "median", "none")
STUDY = "study"  # the name in memory, always the same: Hyperband chooses a trial's bracket by it and the trial's number
HISTORY = 1000  # trials a sampler learns from; once there are twice as many, the best and a sample of the rest stay
SHORT_HISTORY = 100  # the same with many workers
MANY = 32  # workers; with more of them, proposals have to be quick
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.FAIL,
}


class OptunaEngine:
    """Proposes by one of Optuna's samplers, with a study in memory; `optuna_file.py` writes what other programs read.

    The history that sampler and pruner work on is bounded: of many thousand trials, the best and a sample of the rest
    say as much, and to go through all of them would take longer than a trial.
    """

    name = "optuna"

    def __init__(
        self,
        algorithm: str,
        pruner: str,
        epochs: int,
        seed: int,
        proposals: Proposals,
        costs: int = 0,
        recorded: int = 0,
        workers: int = 1,
    ) -> None:
        """Begin with an empty study; `learn` adds earlier trials.

        Args:
            algorithm: one of ALGORITHMS.
            pruner: one of PRUNERS.
            epochs: the most that a trial may take; Hyperband's rungs lie below it.
            seed: of the sampler.
            proposals: what may be proposed.
            costs: the number of objectives, besides the accuracy, that are minimized.
            recorded: the number of trials that will be learnt; it goes into the sampler's seed, so that a resumed study
                does not repeat its first random numbers.
            workers: the number of trials that run at a time.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.algorithm = algorithm
        self.proposals = proposals
        self._costs = costs
        self._pruner = _pruner(pruner, epochs)
        many = workers > MANY
        self._sampler = _sampler(algorithm, proposals, _resumed_seed(seed, recorded) if recorded else seed, many)
        self._history = SHORT_HISTORY if many else HISTORY
        self._random = random.Random(seed)
        self._study = self._new_study()
        self._next = 0  # number of the next trial
        self._ended = 0  # trials in the study that have ended
        self._running: dict[int, Trial] = {}
        self._reported: dict[int, int] = {}
        self._unpruned: set[int] = set()

    @property
    def study(self) -> optuna.Study:
        """The study that sampler and pruner work on."""
        return self._study

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None when the space is exhausted. Trials never resume after their end."""
        if not new or self.proposals.exhausted():
            return None
        trial = self._study.ask()
        proposal = self._sampler.propose(self._study, trial, self._next)
        if proposal is None:  # the limits are so tight that nothing new was found
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        self._sampler.note(trial, proposal.values)
        self._running[self._next] = trial
        if not self.proposals.suggested:
            self._unpruned.add(self._next)
        self._next += 1
        return proposal

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial should continue.

        Enqueued trials are never pruned: the portfolio is there for comparison, and its deeper networks start slowly.
        """
        if self._costs:  # Optuna takes no reports and prunes nothing where there are several objectives
            return True
        trial = self._running[number]
        if epoch > self._reported.get(number, 0):  # else its worker was lost and the trial runs again
            trial.report(value, epoch)
            self._reported[number] = epoch
        return number in self._unpruned or not trial.should_prune()

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial. As usual in Optuna, a pruned one keeps its last reported value."""
        values = [value, *costs] if state == "complete" and value is not None else None
        self._study.tell(self._running.pop(number), values, STATES[state])
        self._reported.pop(number, None)
        self._unpruned.discard(number)
        self._trim_history()

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Add a trial of the record; see the protocol."""
        trial = self._study.ask()
        self._sampler.note(trial, values)
        if state in ("complete", "pruned") and not costs:
            for epoch, value in enumerate(curve, start=1):
                trial.report(value, epoch)
                trial.should_prune()  # stores its value at each rung, which other trials are compared with
        self._study.tell(trial, [max(curve), *costs] if state == "complete" else None, STATES[state])
        self._next = max(self._next, number + 1)
        self._trim_history()

    def expect(self, number: int) -> None:
        """Give the next trial this number: other loops may have taken the ones before."""
        self._next = number

    def runs_elsewhere(self, number: int, values: Values) -> None:
        """Add a trial that another loop runs: the sampler avoids its candidate until the trial ends."""
        trial = self._study.ask()
        self._sampler.note(trial, values)
        self._running[number] = trial
        self._next = max(self._next, number + 1)

    def knows(self, number: int) -> bool:
        """Whether the trial was learnt or proposed in this launch: between launches, only the record is kept."""
        return number < self._next

    def open_trials(self) -> dict[int, int]:
        """Return the trials that run now; none are left from an earlier launch."""
        return dict.fromkeys(sorted(self._running), 0)

    def requeue(self, number: int, values: Values) -> None:
        """Propose an interrupted trial's candidate again, as a new trial: Optuna cannot reopen one."""
        self.proposals.enqueue(values)

    def resumable(self) -> set[int]:
        """Return nothing: a trial is pruned while it runs, or not at all."""
        return set()

    def waiting(self) -> bool:
        """Return False: no other loop searches this study."""
        return False

    def tick(self) -> None:
        """Do nothing: there is no periodic work."""

    def close(self) -> None:
        """Do nothing: the study is in memory."""

    def _new_study(self) -> optuna.Study:
        return optuna.create_study(
            study_name=STUDY,
            directions=["maximize", *["minimize"] * self._costs],
            sampler=self._sampler,
            pruner=self._pruner,
        )

    def _trim_history(self) -> None:
        """Drop all but the best trials and a random sample of the rest, once the history is twice its size."""
        self._ended += 1
        if self._ended <= 2 * self._history:
            return
        ended = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state in LEARNT_FROM]
        front = {trial.number for trial in self._study.best_trials} if self._costs else set()
        ended.sort(key=lambda trial: (trial.number not in front, *_rank(trial)))
        best, rest = ended[: self._history // 2], ended[self._history // 2 :]
        chosen = best + self._random.sample(rest, min(len(rest), self._history - len(best)))
        self._ended = len(chosen)
        running = {number: frozen(self._study, trial) for number, trial in self._running.items()}
        self._study = self._new_study()
        self._study.add_trials(sorted(chosen, key=lambda trial: trial.number))
        for number, stored in running.items():
            self._study.add_trial(stored)
            self._running[number] = newest(self._study)


def _rank(trial: FrozenTrial) -> tuple[bool, float]:
    """Return the key that sorts trials from best to worst: complete ones first, by accuracy."""
    if trial.state == TrialState.COMPLETE:
        return False, -trial.values[0]
    return True, -max(trial.intermediate_values.values(), default=0.0)


def require_installed(algorithm: str) -> None:
    """Raise an InputError for an algorithm whose packages are not installed."""
    if algorithm == "gp" and find_spec("torch") is None:
        raise InputError("the algorithm 'gp' needs PyTorch: pip install 'convsearch[gp]'")


def _sampler(algorithm: str, proposals: Proposals, seed: int, many: bool) -> FittedSampler:
    match algorithm:
        case "tpe":
            # Constant liar: running trials count as bad, so that the next proposal is a different one. With many of
            # them, chance is enough.
            tpe = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=not many)
            return GroupedSampler(tpe, proposals, seed)
        case "nsga2":
            return FittedSampler(optuna.samplers.NSGAIISampler(seed=seed, population_size=20), proposals)
        case "gp":
            return FittedSampler(optuna.samplers.GPSampler(seed=seed), proposals)
        case "grid":
            return ExhaustiveSampler(optuna.samplers.RandomSampler(seed=seed), proposals)
        case "random":
            return FittedSampler(optuna.samplers.RandomSampler(seed=seed), proposals)
    raise ValueError(algorithm)


def _pruner(pruner: str, epochs: int) -> optuna.pruners.BasePruner:
    if pruner == "hyperband":
        # In the first quarter of the epochs, while the learning rate still rises, the accuracy says little.
        return optuna.pruners.HyperbandPruner(max(1, epochs // 4), epochs, reduction_factor=3)
    if pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 4))
    return optuna.pruners.NopPruner()


def _resumed_seed(seed: int, recorded: int) -> int:
    return random.Random(f"{seed}/{recorded}").randrange(2**32)
