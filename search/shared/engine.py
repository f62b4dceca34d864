"""A study that several loops work on at once: an OptunaEngine in memory that learns from what all of them have done.

The database gives numbers and keeps what is finished; who proposes does so alone, knowing all that has begun elsewhere.
A loop's record still comes first: what the database cannot take at the moment is written when it is back.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ...spaces.errors import WorkError
from ...spaces.space import Values
from ..engines.optuna import STATES, OptunaEngine
from ..engines.sampling import distribution
from ..study.objectives import costs as costs_of
from ..study.record import Record
from ..study.trial import Trial
from ..values.job import EpochReport
from ..values.proposal import Proposal, State
from .database import GRACE, LOST, AwayError, Beat, Database, GivenUpError, is_lost
from .optuna_trial import frozen


@dataclass
class Pace:
    """Seconds between what a loop does with the database, and for which it waits.

    `poll` until it is asked again where there was nothing to propose; `first_wait`, then twice as long and at most
    `longest_wait`, until it is tried again where it is away, for `patience` in all. A loop gives a sign of life each
    `interval`, and its trials are lost `grace` after the last one.
    """

    poll: float = 1.0
    first_wait: float = 1.0
    longest_wait: float = 15.0
    patience: float = 300.0
    interval: float = GRACE / 6
    grace: float = GRACE

    @property
    def alive(self) -> float:
        """The age of a sign of life up to which a trial's loop is waited for."""
        return self.grace / 2


T = TypeVar("T")
log = logging.getLogger(__name__)


class SharedEngine:
    """Optuna's engine for one of the loops that share a study.

    It proposes under a lock, after it has learnt what began and ended elsewhere, so that numbers are unique, nothing is
    trained twice, and all loops together keep to the number of trials. A trial whose loop gives no sign of life for
    the grace of its pace is given up by whoever finds it, and its candidate is proposed again.
    """

    name = "optuna"

    def __init__(
        self,
        inner: OptunaEngine,
        database: Database,
        loop: str,
        record: Record,
        objectives: Sequence[str],
        trials: Callable[[], int | None],
        pace: Pace | None = None,
    ) -> None:
        """Learn what is there.

        Args:
            inner: proposes; nothing was learnt by it yet.
            database: the study, which is there.
            loop: the name of this one.
            record: of this loop; others' finished trials are added to it.
            objectives: of the study.
            trials: how many there may be in all.
            pace: how often and how long, where not as usual.

        Raises:
            WorkError: the database cannot be reached.
        """
        self.algorithm = inner.algorithm
        self.database = database
        self.loop = loop
        self.pace = pace or Pace()
        self._inner = inner
        self._tried = inner.proposals.tried
        self._record = record
        self._objectives = objectives
        self._trials = trials
        self._distributions: Mapping[str, BaseDistribution] = {
            name: distribution(dimension) for name, dimension in inner.proposals.space.dimensions.items()
        }
        self._count = 0  # of all trials in the database
        self._taken: dict[int, str] = {}  # the hash of each trial that runs or is finished, wherever
        self._own: set[int] = set()  # what runs here
        self._left: dict[int, Values] = {}  # what an earlier launch of this loop has left running
        self._elsewhere: dict[int, str] = {}  # what runs elsewhere, and the loop that it runs in
        self._ended: set[int] = set()
        self._given_up: set[int] = set()  # of our own, by another loop
        self._unwritten: list[int] = []  # trials whose end is in the record, but not in the database yet
        self._beaten = time.monotonic()
        self._in_vain: float | None = None  # when there was first nothing to propose, by the database's clock
        self._hopes = False  # whether it is not yet known that all that runs elsewhere is alive
        self._ask_at = 0.0
        self._away_since: float | None = None
        self._reach_at, self._wait = 0.0, self.pace.first_wait
        self._believe_at = 0.0  # from when on the silence of others says something
        self._pull()

    # ------------------------------------------------------------------ the protocol

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None where there is none, or the database cannot be reached; see `waiting`."""
        if not new or time.monotonic() < self._ask_at:
            return None
        return self._reach(self._ask)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial is worth going on."""
        return self._inner.report(number, epoch, value) and number not in self._given_up

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial that the record has; it is written to the database now or when that is back."""
        known = self._record.trials.get(number)
        left = self._left.pop(number, None)
        if left is not None:
            self._catch_up(number, known)
        self._inner.tell(number, state, value, costs)
        self._own.discard(number)
        self._ended.add(number)
        if state == "interrupted":
            self._lose(number)
            if known is None and left is not None:  # it was stored, but never began
                self.again(number, left)
        self._ask_at, self._in_vain = 0.0, None  # signs of life count from now on
        self._unwritten.append(number)
        self._reach(self._send)

    def open_trials(self) -> dict[int, int]:
        """Return the trials of this loop that run now, or did when an earlier launch of it ended."""
        return dict.fromkeys(sorted(self._own | self._left.keys()), 0)

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Refuse a trial that the database does not have.

        Raises:
            WorkError: always; the database is not what it was.
        """
        raise WorkError(
            f"trial {number} of this loop's record is not in the database, which has {self._count} trials: it was "
            "reset to an earlier state. Restore it, or start a new study"
        )

    def knows(self, number: int) -> bool:
        """Whether the database has a trial of this number."""
        return number < self._count

    def again(self, number: int, values: Values) -> None:
        """Propose once more what a trial was interrupted in, unless another loop does so first."""
        if values:
            self._inner.again(number, values)

    def may_go_on(self) -> set[int]:
        """Return nothing: a trial is pruned while it runs, or not at all."""
        return set()

    def close(self) -> None:
        """There is nothing to let go of: whoever opened the database closes it."""

    # ------------------------------------------------------------------ a listener of the study

    def began(self, trial: Trial) -> None:
        """It was stored when it was proposed."""

    def epoch(self, trial: Trial, report: EpochReport) -> None:
        """Epochs are stored together when the trial ends."""

    def ended(self, trial: Trial) -> None:
        """It was stored."""

    def tick(self) -> None:
        """Give a sign of life, a few times a minute."""
        if self._own and time.monotonic() - self._beaten > self.pace.interval:
            self._reach(self._beat)
        if self._unwritten:
            self._reach(self._send)

    # ------------------------------------------------------------------ what is shared

    def waiting(self) -> bool:
        """Whether a proposal may come though nothing runs here.

        The database is away, or something runs elsewhere, and it is not known yet whether that loop is alive.
        """
        return self._hopes or self._away_since is not None or bool(self._unwritten)

    def running_elsewhere(self) -> dict[int, str]:
        """Write what is not written yet, learn all there is, and return what runs elsewhere, with the loop of each.

        Raises:
            WorkError: the database is away for too long.
        """
        return self.retry(self._settled)

    def retry(self, work: Callable[[], T]) -> T:
        """Do something with the database, now or when it is back; WorkError where it is away for too long."""
        while True:
            found = self._reach(work)
            if found is not None:
                return found
            time.sleep(0.1)

    def _settled(self) -> dict[int, str]:
        with self.database.locked(self.database.name):
            self._send()
            self._pull()
            beats = self.database.beats()
        return {n: loop for n, loop in self._elsewhere.items() if n in beats and beats[n].age <= self.pace.alive}

    def _ask(self) -> Proposal | None:
        with self.database.locked(self.database.name):
            self._send()
            self._pull()
            for number in list(self._left):  # the answer when it was stored was lost
                self.tell(number, "interrupted", None)
            beats = self.database.beats()
            if self._give_up(beats):
                self._pull()
            proposal = self._propose()
            if proposal is None:
                self._hope(beats)
        return proposal

    def _propose(self) -> Proposal | None:
        limit = self._trials()
        if limit is not None and len(self._taken) >= limit:
            return None
        self._inner.expect(self._count)
        proposal = self._inner.ask()
        if proposal is None:
            return None
        trial = frozen(Trial.begin(proposal), TrialState.RUNNING, self._distributions, self._objectives)
        trial.set_user_attr("loop", self.loop)
        try:
            number = self.database.begin(trial)
        except WorkError:
            self._inner.tell(proposal.number, "interrupted", None)
            self._tried.discard(proposal.candidate.hash)
            self._inner.again(proposal.number, proposal.values)
            raise
        if number != proposal.number:
            raise WorkError(
                f"trial {proposal.number} became number {number} in the database: another program adds trials"
            )
        self._count = number + 1
        self._own.add(number)
        self._taken[number] = proposal.candidate.hash
        self._in_vain, self._hopes = None, False
        return proposal

    def _hope(self, beats: Mapping[int, Beat]) -> None:
        """Find out whether all that runs elsewhere has given a sign of life since there was nothing to propose."""
        if self._in_vain is None:
            self._in_vain = self.database.moment()
        moments = [beats[number].moment for number in self._elsewhere if number in beats]
        self._hopes = any(moment is None or moment <= self._in_vain for moment in moments)
        self._ask_at = time.monotonic() + self.pace.poll

    # ------------------------------------------------------------------ learning from the others

    def _pull(self) -> None:
        """Learn what has begun and ended elsewhere since."""
        trials = self.database.trials()
        self._count = len(trials)
        for trial in trials:
            if trial.number in self._ended:
                continue
            if trial.state.is_finished():
                self._take_end(trial)
            elif trial.number not in self._own and trial.number not in self._taken:
                self._take_begin(trial)

    def _take_begin(self, trial: FrozenTrial) -> None:
        self._inner.runs_elsewhere(trial.number, trial.params)
        self._taken[trial.number] = trial.user_attrs["hash"]
        self._tried.add(trial.user_attrs["hash"])
        if trial.user_attrs["loop"] == self.loop:
            self._left[trial.number] = trial.params
        else:
            self._elsewhere[trial.number] = trial.user_attrs["loop"]

    def _take_end(self, trial: FrozenTrial) -> None:
        number = trial.number
        if number in self._own:  # its end is stored when it comes
            self._given_up.add(number)
            return
        self._ended.add(number)
        lost, text = is_lost(trial), trial.user_attrs.get("trial")
        stored = None if text is None else Trial.model_validate_json(text)
        state: State = "interrupted" if lost or stored is None else stored.state
        curve = () if lost or stored is None else stored.val_accuracy
        costs = () if lost or stored is None else costs_of(stored, self._objectives)
        runs = self._elsewhere.pop(number, None) is not None or self._left.pop(number, None) is not None
        if runs:
            if not lost:
                self._catch_up(number, stored)
            self._inner.tell(number, state, None if stored is None else stored.value, costs)
        else:
            self._inner.learn(number, trial.params, state, curve, costs)
        if lost:
            self._taken.setdefault(number, trial.user_attrs.get("hash", ""))
            self._lose(number)
            self.again(number, trial.params)
        elif stored is not None:
            self._taken[number] = stored.hash
            self._tried.add(stored.hash)
        self._keep(number, stored, lost)

    def _keep(self, number: int, stored: Trial | None, lost: bool) -> None:
        """Have the record say of a trial what the database does."""
        known = self._record.trials.get(number)
        if known is None and stored is not None:
            mine = stored.loop == self.loop
            self._record.add(stored.model_copy(update={"loop": None if mine else stored.loop}))
        elif known is not None and lost:
            self._correct(known)

    def _catch_up(self, number: int, known: Trial | None) -> None:
        """Tell the inner engine the epochs of a trial that it has heard nothing of."""
        if known is not None and known.state in ("complete", "pruned"):
            for epoch, value in enumerate(known.val_accuracy, start=1):
                self._inner.report(number, epoch, value)

    def _lose(self, number: int) -> None:
        """Have the candidate of a trial proposed once more, unless it was since."""
        candidate = self._taken.pop(number, None)
        if candidate is not None and candidate not in self._taken.values():
            self._tried.discard(candidate)

    def _give_up(self, beats: Mapping[int, Beat]) -> bool:
        """Note of the trials of loops that are silent that they were lost; return whether there were any."""
        if time.monotonic() < self._believe_at:
            return False
        found = False
        for number, beat in beats.items():
            if number not in self._elsewhere:
                continue
            if beat.moment is None:  # its loop ended between the two
                self.database.beat([number])
            elif beat.age > self.pace.grace:
                self._declare_lost(number, beat.age)
                found = True
        return found

    def _declare_lost(self, number: int, silent: float) -> None:
        loop = self._elsewhere[number]
        trial = next(trial for trial in self.database.trials() if trial.number == number)
        reason = f"no heartbeat from {loop}, where it ran, for {silent:.0f} s"
        log.warning(f"trial {number}: {reason}; its candidate is tried again")
        candidate = self._inner.proposals.space.candidate(trial.params)
        lost = Trial.begin(Proposal(number, trial.params, candidate)).lose("interrupted", reason)
        with suppress(GivenUpError):  # it had ended in that very moment
            self.database.end(number, self._for_the_database(lost, loop))

    # ------------------------------------------------------------------ telling the others

    def _send(self) -> bool:
        """Write the ends of trials that are in the record only."""
        while self._unwritten:
            number = self._unwritten[0]
            known = self._record.trials.get(number)
            if known is None:  # it never began
                ended = create_trial(state=TrialState.FAIL, user_attrs={LOST: True})
            else:
                ended = self._for_the_database(known)
            try:
                self.database.end(number, ended)
            except GivenUpError:
                assert known is not None, "what never began has failed, and nothing else"
                self._correct(known)
                self._lose(number)
            self._unwritten.pop(0)
        return True

    def _for_the_database(self, trial: Trial, ran_in: str | None = None) -> FrozenTrial:
        """Return a trial that this loop answers for as the others read it; it ran here where nothing else is said."""
        made = frozen(trial, STATES[trial.state], self._distributions, self._objectives)
        made.set_user_attr("loop", ran_in or self.loop)
        made.set_user_attr("trial", trial.model_copy(update={"loop": self.loop}).model_dump_json())
        return made

    def _correct(self, known: Trial) -> None:
        """Have the record say that a trial was given up: its candidate is tried again elsewhere."""
        if known.state != "interrupted":
            reason = "another loop gave it up after missing heartbeats of this one"
            self._record.add(known.lose("interrupted", reason))

    def _beat(self) -> bool:
        self.database.beat(sorted(self._own))
        self._beaten = time.monotonic()
        return True

    def _reach(self, work: Callable[[], T]) -> T | None:
        """Do something with the database; where it is away, tell so once and return None, now and for some seconds."""
        if time.monotonic() < self._reach_at:
            return None
        try:
            found = work()
        except AwayError as error:
            self._miss(error)
            return None
        if self._away_since is not None:
            log.warning("the database is back")
            self._away_since, self._wait = None, self.pace.first_wait
            # The others were away too, perhaps: they have as long as anybody to be heard.
            self._believe_at = time.monotonic() + self.pace.grace
        return found

    def _miss(self, error: AwayError) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            log.warning(f"{error}. Running trials continue; results are written when the database is back")
        elif now - self._away_since > self.pace.patience:
            raise WorkError(
                f"{error}, for {(now - self._away_since) / 60:.0f} minutes. What is finished is kept: `convsearch run "
                f"--study {self.database.name} --resume` goes on when it is back"
            ) from error
        self._reach_at = now + self._wait
        self._wait = min(2 * self._wait, self.pace.longest_wait)
