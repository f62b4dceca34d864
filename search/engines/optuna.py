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
STUDY = "study"  # the name inside the storage; the file's folder names the study
LOOKED_AT = 1000  # trials that a sampler looks at; of twice as many, the best and a random part of the others are left
HURRIED = 100  # the same, where many workers ask
MANY = 32  # workers, from which on a proposal has to be quick
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.FAIL,
}


class OptunaEngine:
    """Proposes by one of Optuna's samplers, out of a study in memory; `optuna_file.py` writes what others read.

    What the sampler and the pruner look at stays bounded: of many thousand trials, the best and a part of the others
    say as much, and all of them would take longer than a trial.
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
        known: int = 0,
        workers: int = 1,
    ) -> None:
        """Begin with an empty study; `learn` brings in what is known.

        Args:
            algorithm: one of ALGORITHMS.
            pruner: one of PRUNERS.
            epochs: the most that a trial may take; Hyperband's rungs lie below it.
            seed: of the sampler.
            proposals: what may be proposed.
            costs: so many objectives besides the accuracy are to be small.
            known: so many trials will be learnt; a study that goes on continues with other numbers than it began with.
            workers: so many trials run at a time.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.algorithm = algorithm
        self.proposals = proposals
        self._costs = costs
        self._pruner = _pruner(pruner, epochs)
        many = workers > MANY
        self._sampler = _sampler(algorithm, proposals, _later_seed(seed, known) if known else seed, many)
        self._looked_at = HURRIED if many else LOOKED_AT
        self._random = random.Random(seed)
        self._study = self._new_study()
        self._next = 0  # number of the next trial
        self._learnt_since = 0  # trials in the study that have ended
        self._running: dict[int, Trial] = {}
        self._reported: dict[int, int] = {}
        self._unpruned: set[int] = set()

    @property
    def study(self) -> optuna.Study:
        """What sampler and pruner look at."""
        return self._study

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None when the space is exhausted. Its trials never go on after their end."""
        if not new or self.proposals.exhausted():
            return None
        trial = self._study.ask()
        proposal = self._sampler.propose(self._study, trial, self._next)
        if proposal is None:  # the limits are so tight that nothing new was found
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        self._sampler.note(trial, proposal.values)
        self._running[self._next] = trial
        if not self.proposals.wished:
            self._unpruned.add(self._next)
        self._next += 1
        return proposal

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial is worth going on.

        What was enqueued is: the first guesses of a study are there to be compared with, and the deeper ones among
        them are slow to begin.
        """
        if self._costs:  # Optuna takes no reports and prunes nothing where there are several objectives
            return True
        trial = self._running[number]
        if epoch > self._reported.get(number, 0):  # else its worker was lost, and it is run again
            trial.report(value, epoch)
            self._reported[number] = epoch
        return number in self._unpruned or not trial.should_prune()

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial. A pruned one keeps its last reported value, as Optuna has it."""
        values = [value, *costs] if state == "complete" and value is not None else None
        self._study.tell(self._running.pop(number), values, STATES[state])
        self._reported.pop(number, None)
        self._unpruned.discard(number)
        self._forget()

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Take over a trial of the record; see the protocol."""
        trial = self._study.ask()
        self._sampler.note(trial, values)
        if state in ("complete", "pruned") and not costs:
            for epoch, value in enumerate(curve, start=1):
                trial.report(value, epoch)
                trial.should_prune()  # notes what it has reached on a rung, for the others to be compared with
        self._study.tell(trial, [max(curve), *costs] if state == "complete" else None, STATES[state])
        self._next = max(self._next, number + 1)
        self._forget()

    def expect(self, number: int) -> None:
        """Give the next trial this number: between the trials of this loop there may be those of others."""
        self._next = number

    def runs_elsewhere(self, number: int, values: Values) -> None:
        """Take in a trial that another loop runs: the sampler keeps away from it until its end is told."""
        trial = self._study.ask()
        self._sampler.note(trial, values)
        self._running[number] = trial
        self._next = max(self._next, number + 1)

    def knows(self, number: int) -> bool:
        """Whether the trial was learnt or proposed: nothing is kept from launch to launch but by the record."""
        return number < self._next

    def open_trials(self) -> dict[int, int]:
        """Return the trials that run now; from an earlier launch there are none."""
        return dict.fromkeys(sorted(self._running), 0)

    def again(self, number: int, values: Values) -> None:
        """Propose once more what a trial was interrupted in, as a new trial: Optuna's trials end for good."""
        self.proposals.enqueue(values)

    def may_go_on(self) -> set[int]:
        """Return nothing: a trial is pruned while it runs, or not at all."""
        return set()

    def close(self) -> None:
        """There is nothing to let go of."""

    def _new_study(self) -> optuna.Study:
        return optuna.create_study(
            study_name=STUDY,
            directions=["maximize", *["minimize"] * self._costs],
            sampler=self._sampler,
            pruner=self._pruner,
        )

    def _forget(self) -> None:
        """Keep the best trials and a random part of the others, once there are twice as many as are looked at."""
        self._learnt_since += 1
        if self._learnt_since <= 2 * self._looked_at:
            return
        known = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state in LEARNT_FROM]
        front = {trial.number for trial in self._study.best_trials} if self._costs else set()
        known.sort(key=lambda trial: (trial.number not in front, *_rank(trial)))
        best, rest = known[: self._looked_at // 2], known[self._looked_at // 2 :]
        chosen = best + self._random.sample(rest, min(len(rest), self._looked_at - len(best)))
        self._learnt_since = len(chosen)
        running = {number: frozen(self._study, trial) for number, trial in self._running.items()}
        self._study = self._new_study()
        self._study.add_trials(sorted(chosen, key=lambda trial: trial.number))
        for number, stored in running.items():
            self._study.add_trial(stored)
            self._running[number] = newest(self._study)


def _rank(trial: FrozenTrial) -> tuple[bool, float]:
    """Return by what trials are ordered, the best first: complete ones, by accuracy."""
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
            # What runs is taken for bad (constant liar), so that the next proposal is another one; of many that run,
            # chance sees to that.
            tpe = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=not many)
            return GroupedSampler(tpe, proposals, seed)
        case "nsga2":
            return FittedSampler(optuna.samplers.NSGAIISampler(seed=seed, population_size=20), proposals)
        case "gp":
            return FittedSampler(optuna.samplers.GPSampler(seed=seed), proposals)
        case "grid":
            return ExhaustiveSampler(optuna.samplers.RandomSampler(seed=seed), proposals)
    return FittedSampler(optuna.samplers.RandomSampler(seed=seed), proposals)


def _pruner(pruner: str, epochs: int) -> optuna.pruners.BasePruner:
    if pruner == "hyperband":
        # Before a quarter of its epochs, while the learning rate still rises, nothing is known of a network.
        return optuna.pruners.HyperbandPruner(max(1, epochs // 4), epochs, reduction_factor=3)
    if pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 4))
    return optuna.pruners.NopPruner()


def _later_seed(seed: int, known: int) -> int:
    return random.Random(f"{seed}/{known}").randrange(2**32)
