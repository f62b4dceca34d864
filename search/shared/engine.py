"""A study that several loops work on at once: an OptunaEngine in memory that learns from what all of them have done.

The database assigns numbers and keeps finished trials. A loop proposes under a lock, once it knows everything that has
begun elsewhere. Its record still comes first: what the database cannot take at the moment is written later.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ...spaces.errors import WorkError
from ...spaces.space import Values
from ..engines.optuna import STATES, OptunaEngine
from ..engines.sampling import distribution
from ..study.objectives import costs as costs_of
from ..study.record import Record
from ..study.trial import Trial
from ..values.commands import resume_command
from ..values.proposal import Proposal, State
from .database import LOST, Database, GivenUpError, Heartbeat, is_lost
from .optuna_trial import frozen
from .retry import Pace, Retry

log = logging.getLogger(__name__)


class SharedEngine:
    """Optuna's engine for one of the loops that share a study.

    It proposes under a lock, after it has learnt what began and ended elsewhere, so that numbers are unique, nothing is
    trained twice, and all loops together keep to the number of trials. A trial whose loop has sent no heartbeat for the
    grace of its pace is given up by the loop that notices it, and its candidate is proposed again.
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
        """Learn from the trials in the database.

        Args:
            inner: makes the proposals; it must not have learnt anything yet.
            database: the study, which must exist.
            loop: the name of this loop.
            record: of this loop; finished trials of other loops are added to it.
            objectives: of the study.
            trials: returns how many trials there may be in all; None is no limit.
            pace: intervals and waits other than the default.

        Raises:
            WorkError: the database cannot be reached.
        """
        self.algorithm = inner.algorithm
        self.database = database
        self.loop = loop
        self.pace = pace or Pace()
        self.retry = Retry(resume_command(record.folder), self.pace)
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
        self._orphaned: dict[int, Values] = {}  # what an earlier launch of this loop left running
        self._elsewhere: dict[int, str] = {}  # what runs elsewhere, and the loop that it runs in
        self._ended: set[int] = set()
        self._given_up: set[int] = set()  # of our own, by another loop
        self._unsent: list[int] = []  # trials whose end is in the record, but not in the database yet
        self._last_heartbeat = time.monotonic()
        self._dry_since: float | None = None  # when there was first nothing to propose, by the database's clock
        self._unconfirmed = False  # whether some loop may be dead, so that its trials would have to be proposed again
        self._next_ask = 0.0
        self._pull()

    # ------------------------------------------------------------------ the protocol

    def ask(self, new: bool = True) -> Proposal | None:
        """Return the next proposal, or None where there is none, or the database is unreachable; see `waiting`."""
        if not new or time.monotonic() < self._next_ask:
            return None
        return self.retry.attempt(self._ask)

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the value of a trial's epoch; return whether the trial should continue."""
        return self._inner.report(number, epoch, value) and number not in self._given_up

    def tell(self, number: int, state: State, value: float | None, costs: Sequence[float] = ()) -> None:
        """Take the end of a trial that the record has; it is written to the database now or when that is back."""
        recorded = self._record.trials.get(number)
        orphaned = self._orphaned.pop(number, None)
        if orphaned is not None:
            self._replay_epochs(number, recorded)
        self._inner.tell(number, state, value, costs)
        self._own.discard(number)
        self._ended.add(number)
        if state == "interrupted":
            self._lose(number)
            if recorded is None and orphaned is not None:  # it was stored, but never began
                self.requeue(number, orphaned)
        self._next_ask, self._dry_since = 0.0, None  # only heartbeats from now on count
        self._unsent.append(number)
        self.retry.attempt(self._send)

    def open_trials(self) -> dict[int, int]:
        """Return the trials of this loop that run now, or did when an earlier launch of it ended."""
        return dict.fromkeys(sorted(self._own | self._orphaned.keys()), 0)

    def learn(
        self, number: int, values: Values, state: State, curve: Sequence[float], costs: Sequence[float] = ()
    ) -> None:
        """Refuse a trial that the database does not have.

        Raises:
            WorkError: always; the database has lost trials.
        """
        raise WorkError(
            f"trial {number} of this loop's record is not in the database, which has {self._count} trials: it was "
            "reset to an earlier state. Restore it, or start a new study"
        )

    def knows(self, number: int) -> bool:
        """Whether the database has a trial of this number."""
        return number < self._count

    def requeue(self, number: int, values: Values) -> None:
        """Propose an interrupted trial's candidate again, unless another loop does so first."""
        if values:
            self._inner.requeue(number, values)

    def resumable(self) -> set[int]:
        """Return nothing: a trial is pruned while it runs, or not at all."""
        return set()

    def close(self) -> None:
        """Do nothing: whoever opened the database closes it."""

    def tick(self) -> None:
        """Send a heartbeat, a few times a minute."""
        if self._own and time.monotonic() - self._last_heartbeat > self.pace.interval:
            self.retry.attempt(self._send_heartbeat)
        if self._unsent:
            self.retry.attempt(self._send)

    # ------------------------------------------------------------------ what is shared

    def waiting(self) -> bool:
        """Whether a proposal may still come, although nothing runs here.

        It may while the database is unreachable, or while a loop that runs trials has yet to prove that it is alive.
        """
        return self._unconfirmed or self.retry.down or bool(self._unsent)

    def running_elsewhere(self) -> dict[int, str]:
        """Bring the database and this loop up to date, and return what runs elsewhere, with the loop of each.

        Raises:
            WorkError: the database has been unreachable for too long.
        """
        return self.retry.until_done(self._synchronized)

    def _synchronized(self) -> dict[int, str]:
        with self.database.locked(self.database.name):
            self._send()
            self._pull()
            heartbeats = self.database.heartbeats()
        return {
            number: loop
            for number, loop in self._elsewhere.items()
            if number in heartbeats and heartbeats[number].age <= self.pace.alive
        }

    def _ask(self) -> Proposal | None:
        with self.database.locked(self.database.name):
            self._send()
            self._pull()
            for number in list(self._orphaned):  # stored, but the database's answer never arrived
                self.tell(number, "interrupted", None)
            heartbeats = self.database.heartbeats()
            if self._give_up(heartbeats):
                self._pull()
            proposal = self._propose()
            if proposal is None:
                self._check_liveness(heartbeats)
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
            self._inner.requeue(proposal.number, proposal.values)
            raise
        if number != proposal.number:
            raise WorkError(
                f"trial {proposal.number} became number {number} in the database: another program is adding trials"
            )
        self._count = number + 1
        self._own.add(number)
        self._taken[number] = proposal.candidate.hash
        self._dry_since, self._unconfirmed = None, False
        return proposal

    def _check_liveness(self, heartbeats: Mapping[int, Heartbeat]) -> None:
        """Find out whether all trials elsewhere have had a heartbeat since there was first nothing to propose."""
        if self._dry_since is None:
            self._dry_since = self.database.clock()
        latest = [heartbeats[number].at for number in self._elsewhere if number in heartbeats]
        self._unconfirmed = any(at is None or at <= self._dry_since for at in latest)
        self._next_ask = time.monotonic() + self.pace.poll

    # ------------------------------------------------------------------ reading from the database

    def _pull(self) -> None:
        """Learn what has begun and ended elsewhere since the last time."""
        trials = self.database.trials()
        self._count = len(trials)
        for trial in trials:
            if trial.number in self._ended:
                continue
            self._refuse_a_strangers(trial)
            if trial.state.is_finished():
                self._take_end(trial)
            elif trial.number not in self._own and trial.number not in self._taken:
                self._take_begin(trial)

    def _refuse_a_strangers(self, trial: FrozenTrial) -> None:
        """Raise a WorkError if no loop has added a trial: it has no candidate that could be learnt from or tried."""
        if "loop" not in trial.user_attrs:
            raise WorkError(
                f"trial {trial.number} of the study '{self.database.name}' in the database has no candidate: another "
                "program is adding trials. Let it use a study of its own, and start a new one here with "
                f"--warm-start {self.database.name}"
            )

    def _take_begin(self, trial: FrozenTrial) -> None:
        self._inner.runs_elsewhere(trial.number, trial.params)
        self._taken[trial.number] = trial.user_attrs["hash"]
        self._tried.add(trial.user_attrs["hash"])
        if trial.user_attrs["loop"] == self.loop:
            self._orphaned[trial.number] = trial.params
        else:
            self._elsewhere[trial.number] = trial.user_attrs["loop"]

    def _take_end(self, trial: FrozenTrial) -> None:
        number = trial.number
        if number in self._own:  # its own end is still to come
            self._given_up.add(number)
            return
        self._ended.add(number)
        lost, text = is_lost(trial), trial.user_attrs.get("trial")
        stored = None if text is None else Trial.model_validate_json(text)
        state: State = "interrupted" if lost or stored is None else stored.state
        curve = () if lost or stored is None else stored.val_accuracy
        costs = () if lost or stored is None else costs_of(stored, self._objectives)
        was_running = self._elsewhere.pop(number, None) is not None or self._orphaned.pop(number, None) is not None
        if was_running:
            if not lost:
                self._replay_epochs(number, stored)
            self._inner.tell(number, state, None if stored is None else stored.value, costs)
        else:
            self._inner.learn(number, trial.params, state, curve, costs)
        if lost:
            self._taken.setdefault(number, trial.user_attrs.get("hash", ""))
            self._lose(number)
            self.requeue(number, trial.params)
        elif stored is not None:
            self._taken[number] = stored.hash
            self._tried.add(stored.hash)
        self._update_record(number, stored, lost)

    def _update_record(self, number: int, stored: Trial | None, lost: bool) -> None:
        """Bring the record's trial in line with the database."""
        recorded = self._record.trials.get(number)
        if recorded is None and stored is not None:
            mine = stored.loop == self.loop
            self._record.add(stored.model_copy(update={"loop": None if mine else stored.loop}))
        elif recorded is not None and lost:
            self._mark_given_up(recorded)

    def _replay_epochs(self, number: int, trial: Trial | None) -> None:
        """Report to the inner engine the epochs of a finished trial that did not run here."""
        if trial is not None and trial.state in ("complete", "pruned"):
            for epoch, value in enumerate(trial.val_accuracy, start=1):
                self._inner.report(number, epoch, value)

    def _lose(self, number: int) -> None:
        """Allow the candidate of a lost trial to be proposed again, unless another trial has it by now."""
        candidate = self._taken.pop(number, None)
        if candidate is not None and candidate not in self._taken.values():
            self._tried.discard(candidate)

    def _give_up(self, heartbeats: Mapping[int, Heartbeat]) -> bool:
        """Declare the trials of silent loops lost; return whether there were any."""
        if self.retry.in_grace:
            return False
        found = False
        for number, heartbeat in heartbeats.items():
            if number not in self._elsewhere:
                continue
            if heartbeat.at is None:  # its loop died after it had stored the trial, before the first heartbeat
                self.database.heartbeat([number])
            elif heartbeat.age > self.pace.grace:
                self._declare_lost(number, heartbeat.age)
                found = True
        return found

    def _declare_lost(self, number: int, silent: float) -> None:
        loop = self._elsewhere[number]
        trial = next(trial for trial in self.database.trials() if trial.number == number)
        reason = f"no heartbeat from {loop}, where it ran, for {silent:.0f} s"
        log.warning(f"trial {number}: {reason}; its candidate is tried again")
        candidate = self._inner.proposals.space.candidate(trial.params)
        lost = Trial.begin(Proposal(number, trial.params, candidate)).lose("interrupted", reason)
        with suppress(GivenUpError):  # it has ended in the meantime
            self.database.end(number, self._for_the_database(lost, loop))

    # ------------------------------------------------------------------ writing to the database

    def _send(self) -> bool:
        """Write the ends of trials that only the record has."""
        while self._unsent:
            number = self._unsent[0]
            recorded = self._record.trials.get(number)
            if recorded is None:  # it never began
                ended = create_trial(state=TrialState.FAIL, user_attrs={LOST: True})
            else:
                ended = self._for_the_database(recorded)
            try:
                self.database.end(number, ended)
            except GivenUpError:
                assert recorded is not None, "a trial that never began can only fail"
                self._mark_given_up(recorded)
                self._lose(number)
            self._unsent.pop(0)
        return True

    def _for_the_database(self, trial: Trial, ran_in: str | None = None) -> FrozenTrial:
        """Return a trial as the other loops read it; `ran_in` names the loop that ran it, if that is not this one."""
        made = frozen(trial, STATES[trial.state], self._distributions, self._objectives)
        made.set_user_attr("loop", ran_in or self.loop)
        made.set_user_attr("trial", trial.model_copy(update={"loop": self.loop}).model_dump_json())
        return made

    def _mark_given_up(self, recorded: Trial) -> None:
        """Note in the record that another loop gave a trial up: its candidate is tried again elsewhere."""
        if recorded.state != "interrupted":
            reason = "another loop gave it up, because this one had sent no heartbeats"
            self._record.add(recorded.lose("interrupted", reason))

    def _send_heartbeat(self) -> bool:
        self.database.heartbeat(sorted(self._own))
        self._last_heartbeat = time.monotonic()
        return True
