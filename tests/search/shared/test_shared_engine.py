"""Several loops on one study in a real PostgreSQL: one row of numbers, nothing twice and nothing lost, whoever goes."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from postgres import PASSWORD, Server
from samples import write_result
from searches import prepared
from sqlalchemy import create_engine, text
from terminal import wait_until

from convsearch.search.engines.optuna import OptunaEngine
from convsearch.search.engines.proposals import Proposals
from convsearch.search.loop.recovery import settle
from convsearch.search.shared.database import Database
from convsearch.search.shared.engine import SharedEngine
from convsearch.search.shared.retry import Pace
from convsearch.search.study.home import Home
from convsearch.search.study.objectives import DEFAULT
from convsearch.search.study.record import FILE, Record
from convsearch.search.study.shared import Shared
from convsearch.search.study.trial import Trial
from convsearch.search.system.addresses import checked_storage, optuna_url
from convsearch.search.values.job import Outcome, Seconds
from convsearch.search.values.proposal import Proposal, State
from convsearch.search.winner.turn import turn_of
from convsearch.spaces.arithmetic import Volume
from convsearch.spaces.definition import load, parse
from convsearch.spaces.errors import InputError, WorkError
from convsearch.spaces.space import SearchSpace

SHARED = Shared(study={"created_at": "now"}, space="layers: [1]", split="hash")
SPACE = SearchSpace(load("tiny"), Volume(8, 8, 1), 10)
FIVE = SearchSpace(
    parse("layers: [1]\neach_layer: {filters: [4, 5, 6, 7, 8]}\nrecipe: {learning_rate: 0.01, batch_size: 8}", "five"),
    Volume(8, 8, 1),
    10,
)
NAMES = (f"study-{number}" for number in count())


@dataclass
class Loop:
    """A loop without workers: what it proposes it ends as it is told to."""

    name: str
    engine: SharedEngine
    inner: OptunaEngine
    record: Record

    def ask(self) -> Proposal:
        proposal = self.engine.ask()
        assert proposal is not None
        self.record.add(Trial.begin(proposal))
        return proposal

    def end(self, number: int, state: State = "complete", values: tuple[float, ...] = (0.25, 0.5)) -> None:
        outcome = Outcome(
            number=number,
            ended="complete",
            value=max(values),
            best_epoch=len(values),
            epochs=len(values),
            val_accuracy=values,
            seconds=Seconds(training=1.0),
        )
        self.record.add(self.record.trials[number].end(state, outcome, 0.0))
        self.engine.tell(number, state, max(values))


Join = Callable[..., Loop]


@pytest.fixture
def name() -> str:
    return next(NAMES)


@pytest.fixture(scope="module")
def address(postgres: Server) -> str:
    return postgres.make("engines")


@pytest.fixture
def pace() -> Pace:
    """Of all loops; quicker than usual."""
    return Pace(poll=0.0, first_wait=0.1, longest_wait=0.5)


@pytest.fixture
def join(address: str, name: str, pace: Pace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Join]:
    """Has a loop join the study, or come back to it with the record that it had."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    opened: list[Database] = []

    def joined(loop: str, trials: int | None = None, space: SearchSpace = SPACE, algorithm: str = "random") -> Loop:
        database = Database(checked_storage(address), name)
        opened.append(database)
        database.make(SHARED, ["maximize"])
        (folder := tmp_path / loop).mkdir(exist_ok=True)
        record = Record(folder)
        tried = [trial.hash for trial in record.trials.values() if trial.state not in ("interrupted", "running")]
        proposals = Proposals(space, 0, tried, exhaustive=algorithm == "grid")
        inner = OptunaEngine(algorithm, "none", 2, database.join(loop), proposals)
        engine = SharedEngine(inner, database, loop, record, DEFAULT, lambda: trials, pace)
        settle(record, engine, DEFAULT)
        return Loop(loop, engine, inner, record)

    yield joined
    for database in opened:
        database.close()


def states(loop: Loop) -> list[TrialState]:
    return [trial.state for trial in loop.engine.database.trials()]


# ---------------------------------------------------------------------- one study


def test_two_loops_number_their_trials_in_one_row_and_propose_nothing_twice(join: Join) -> None:
    one, two = join("one"), join("two")
    proposals = [loop.ask() for _ in range(5) for loop in (one, two)]
    assert [proposal.number for proposal in proposals] == list(range(10))
    assert len({proposal.candidate.hash for proposal in proposals}) == 10
    assert one.engine.open_trials().keys() == {0, 2, 4, 6, 8}


def test_four_loops_that_ask_at_once_keep_to_the_number_of_trials_in_all(join: Join) -> None:
    loops = [join(f"loop{number}", trials=30) for number in range(4)]

    def work(loop: Loop) -> list[Proposal]:
        mine = []
        while (proposal := loop.engine.ask()) is not None:
            loop.record.add(Trial.begin(proposal))
            loop.end(proposal.number)
            mine.append(proposal)
        return mine

    with ThreadPoolExecutor(len(loops)) as threads:
        found = [proposal for mine in threads.map(work, loops) for proposal in mine]
    assert sorted(proposal.number for proposal in found) == list(range(30))
    assert len({proposal.candidate.hash for proposal in found}) == 30
    assert states(loops[0]) == [TrialState.COMPLETE] * 30
    for loop in loops:
        assert loop.engine.running_elsewhere() == {}
        assert loop.record.finished() == 30


def test_a_grid_is_walked_through_once_by_all_loops_together(join: Join) -> None:
    loops = [join("one", None, FIVE, "grid"), join("two", None, FIVE, "grid")]
    found = []
    for loop in (loops[0], loops[1], loops[1], loops[0], loops[1]):
        found.append(proposal := loop.ask())
        loop.end(proposal.number)
    assert {proposal.values["layer1.filters"] for proposal in found} == {4, 5, 6, 7, 8}
    assert [loop.engine.ask() for loop in loops] == [None, None]


def test_what_runs_elsewhere_is_known_to_run_and_what_ended_there_is_learnt_and_recorded(join: Join) -> None:
    one, two = join("one"), join("two")
    done, running = one.ask(), one.ask()
    one.end(done.number, values=(0.25, 0.75))
    mine = two.ask()
    assert mine.number == 2
    learnt = two.inner.study.get_trials(deepcopy=False)
    assert [(trial.state, trial.value, trial.params) for trial in learnt] == [
        (TrialState.COMPLETE, 0.75, done.values),
        (TrialState.RUNNING, None, running.values),
        (TrialState.RUNNING, None, mine.values),
    ]
    assert learnt[0].intermediate_values == {1: 0.25, 2: 0.75}
    assert two.record.trials[0] == one.record.trials[0].model_copy(update={"loop": "one"})
    assert one.record.trials[0].loop is None
    one.end(running.number, "pruned", (0.1,))
    two.end(mine.number)
    assert two.engine.running_elsewhere() == {}
    assert two.inner.study.get_trials(deepcopy=False)[1].state == TrialState.PRUNED
    assert [trial.loop for _, trial in sorted(two.record.trials.items())] == ["one", "one", None]


def test_optuna_itself_finds_the_study_with_values_and_curves(join: Join, address: str, name: str) -> None:
    one = join("one")
    one.ask()
    one.end(0, values=(0.5, 0.25))
    one.ask()
    ended, running = optuna.load_study(study_name=name, storage=optuna_url(checked_storage(address))).trials
    assert (ended.state, ended.value, ended.intermediate_values) == (TrialState.COMPLETE, 0.5, {1: 0.5, 2: 0.25})
    assert ended.params == one.record.trials[0].values
    assert (running.state, running.user_attrs["loop"]) == (TrialState.RUNNING, "one")


def test_an_interrupted_candidate_is_proposed_again_by_whoever_asks_next_and_once_only(join: Join) -> None:
    one, two, three = join("one"), join("two"), join("three")
    stopped = one.ask()
    one.record.add(one.record.trials[0].lose("interrupted", "Ctrl-C", just_now=True))
    one.engine.tell(0, "interrupted", None)
    again, other = two.ask(), three.ask()
    assert (again.number, again.candidate) == (1, stopped.candidate)
    assert other.candidate != stopped.candidate


# ---------------------------------------------------------------------- a loop that goes away


def let_it_be_silent(other: Loop, number: int, pace: Pace) -> None:
    """Let a trial's heartbeat become too old, by the clock that decides it: the database's."""
    pace.grace = 0.5
    wait_until(lambda: other.engine.database.heartbeats()[number].age > pace.grace, "its heartbeat was too old")


def test_a_loop_that_is_silent_is_given_up_and_its_candidate_tried_again(
    join: Join, pace: Pace, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = join("one"), join("two")
    lost = one.ask()
    let_it_be_silent(two, 0, pace)
    again = two.ask()
    assert (again.number, again.candidate) == (1, lost.candidate)
    assert states(two) == [TrialState.FAIL, TrialState.RUNNING]
    assert two.record.trials[0].state == "interrupted"
    (note,) = caplog.messages
    assert re.fullmatch(r"trial 0: no heartbeat from one, where it ran, for \d+ s; its candidate is tried again", note)
    # The silent one comes back: its trial is not worth going on, and what came of it does not count twice.
    pace.grace = 60
    assert one.ask().number == 2
    assert not one.engine.report(0, 1, 0.5)
    one.end(0)
    assert one.record.trials[0].state == "interrupted"
    two.end(1)
    assert one.engine.running_elsewhere() == {}
    assert one.record.finished() == 1


def test_a_loop_renews_the_heartbeat_of_its_running_trials_once_an_interval(join: Join, pace: Pace) -> None:
    pace.interval = 3600.0
    one, two = join("one"), join("two")
    one.ask()
    begun = two.engine.database.heartbeats()[0].at
    one.engine.tick()
    assert two.engine.database.heartbeats()[0].at == begun
    pace.interval = 0.0
    one.engine.tick()
    assert two.engine.database.heartbeats()[0].at > begun
    assert two.ask().number == 1
    assert states(two) == [TrialState.RUNNING, TrialState.RUNNING]


def test_who_has_nothing_to_do_waits_for_a_heartbeat_of_the_others_and_no_longer(join: Join, pace: Pace) -> None:
    one, two = join("one", trials=1), join("two", trials=1)
    one.ask()
    assert two.engine.ask() is None
    assert two.engine.waiting()
    pace.interval = 0.0
    one.engine.tick()
    assert two.engine.ask() is None
    assert not two.engine.waiting()
    assert two.engine.running_elsewhere() == {0: "one"}
    one.end(0)
    assert two.engine.running_elsewhere() == {}
    assert one.engine.ask() is None
    assert not one.engine.waiting()


def test_a_loop_whose_last_heartbeat_came_late_is_given_up_by_who_ends_a_trial_afterwards(
    join: Join, pace: Pace
) -> None:
    one, two = join("one", trials=2), join("two", trials=2)
    left, mine = one.ask(), two.ask()
    assert two.engine.ask() is None
    pace.interval = 0.0
    one.engine.tick()  # and then it is killed
    two.end(mine.number)
    assert two.engine.ask() is None
    assert two.engine.waiting()
    let_it_be_silent(two, left.number, pace)
    assert two.ask().candidate == left.candidate


def test_a_trial_that_was_given_up_and_then_fails_is_interrupted_for_all(join: Join, pace: Pace) -> None:
    one, two = join("one"), join("two")
    one.ask()
    let_it_be_silent(two, 0, pace)
    two.ask()
    pace.grace = 60
    one.end(0, "failed")
    assert one.engine.running_elsewhere() == {1: "two"}
    assert one.record.trials[0].state == two.record.trials[0].state == "interrupted"


def test_a_loop_that_comes_back_tells_what_it_knows_of_the_trials_it_left(join: Join, tmp_path: Path) -> None:
    one, two = join("one"), join("two")
    for _ in range(3):
        one.ask()
    # It was killed when the first had just been recorded, while the second ran, and before the third began.
    ended = one.record.trials[0].end(
        "complete", Outcome(number=0, ended="complete", value=0.5, epochs=1, val_accuracy=(0.5,)), 0.0
    )
    one.record.add(ended)
    lines = (tmp_path / "one" / FILE).read_text().splitlines(keepends=True)
    (tmp_path / "one" / FILE).write_text("".join([*lines[:2], lines[3]]))
    _, second, third = (trial.candidate for trial in one.record.trials.values())

    back = join("one")
    assert states(back) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL]
    assert back.engine.open_trials() == {}
    assert two.engine.running_elsewhere() == {}
    assert two.record.trials[0].value == 0.5
    assert [back.ask().candidate, two.ask().candidate] == [third, second]


@pytest.mark.parametrize("cut", [False, True])
def test_a_winner_is_left_to_another_loop_only_where_its_training_was_cut(
    join: Join, tmp_path: Path, cut: bool
) -> None:
    study = prepared(Home(tmp_path / "home"), space="tiny")
    with turn_of(study, join("first").engine) as mine:
        assert mine
        write_result(study.folder, cut=cut)
    with turn_of(study, join("second").engine) as theirs:
        assert theirs == cut


def test_a_trial_that_was_stored_though_no_answer_came_is_closed_and_tried_again(join: Join) -> None:
    one, the_same = join("one"), join("one")
    stored = the_same.ask()
    again = one.ask()
    assert (again.number, again.candidate) == (1, stored.candidate)
    assert states(one) == [TrialState.FAIL, TrialState.RUNNING]
    assert list(one.record.trials) == [1]


def test_a_record_that_knows_more_than_the_database_is_not_guessed_at(join: Join) -> None:
    one = join("one")
    one.ask()
    one.end(0)
    one.record.add(one.record.trials[0].model_copy(update={"number": 7}))
    with pytest.raises(WorkError, match="trial 7 of this loop's record is not in the database, which has 1 trials"):
        join("one")


# ---------------------------------------------------------------------- a database that is not as it was


def test_a_study_that_somebody_deletes_ends_the_search_with_a_word_of_it(join: Join, address: str, name: str) -> None:
    one = join("one")
    one.ask()
    optuna.delete_study(study_name=name, storage=optuna_url(checked_storage(address)))
    with pytest.raises(WorkError, match=f"the study '{name}' no longer exists: it was deleted"):
        one.engine.ask()


def test_tables_of_another_version_of_optuna_are_refused_with_what_it_says(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    storage = checked_storage(postgres.make("versions"))
    Database(storage, "any").close()
    engine = create_engine(optuna_url(storage))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9.9.9.a'"))
    engine.dispose()
    with pytest.raises(WorkError, match=r"database 'versions' on .*: Optuna \S+ cannot use the tables: .*version"):
        Database(storage, "any")


def test_a_database_that_refuses_a_user_keeps_no_connection_of_it(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    address = postgres.make("of others")
    postgres.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")  # who may create nothing
    with pytest.raises(WorkError, match="permission denied for database of others") as refused:
        Database(checked_storage(postgres.url("of others", user="guest")), "any")
    engine = create_engine(optuna_url(checked_storage(address)), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        count = text("SELECT count(*) FROM pg_stat_activity WHERE usename = 'guest'")
        wait_until(lambda: connection.execute(count).scalar() == 0, f"all was closed after: {refused}")
    engine.dispose()


# ---------------------------------------------------------------------- a database that goes away


def test_while_the_database_is_away_what_ends_is_kept_and_told_when_it_is_back(
    join: Join, postgres: Server, pace: Pace, caplog: pytest.LogCaptureFixture
) -> None:
    pace.first_wait = pace.longest_wait = 0.0  # a call that is due is tried at once
    one, two = join("one"), join("two")
    one.ask()
    two.ask()
    postgres.stop()
    try:
        assert one.engine.ask() is None
        assert one.engine.waiting()
        one.end(0)
        one.engine.tick()
        assert one.engine.ask() is None
    finally:
        postgres.start()
    (note,) = caplog.messages
    assert note.startswith("database 'engines' on 127.0.0.1:")
    assert "Running trials continue; results are written when the database is back" in note
    assert PASSWORD not in note
    wait_until(lambda: one.engine.tick() or not one.engine.waiting(), "it was back")
    assert caplog.messages[1:] == ["the database is back"]
    # However long it was: the other loop could not be heard, and is not given up.
    silent = one.engine.database.heartbeats()[1]
    assert silent.age < one.engine.database.clock() - silent.at  # it counts from the server's start
    assert one.ask().number == 2
    assert states(one) == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]
    two.end(1)
    wait_until(lambda: two.engine.tick() or not two.engine.waiting(), "the other one was back too")
    assert states(one)[1] == TrialState.COMPLETE


@pytest.mark.parametrize("state", [TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL])
def test_a_trial_that_another_program_adds_ends_the_search_with_its_number(
    join: Join, address: str, name: str, state: TrialState
) -> None:
    one = join("one")
    one.end(one.ask().number)
    study = optuna.load_study(study_name=name, storage=optuna_url(checked_storage(address)))
    study.add_trial(optuna.trial.create_trial(state=state, value=0.5 if state == TrialState.COMPLETE else None))
    expected = f"trial 1 of the study '{name}' in the database .*: another program is adding trials"
    with pytest.raises(WorkError, match=expected):
        one.engine.ask()
    with pytest.raises(WorkError, match=expected):  # nor can a loop join the study, or come back to it
        join("one")


def test_a_database_that_stays_away_ends_the_search_with_how_to_go_on(
    join: Join, postgres: Server, pace: Pace, tmp_path: Path
) -> None:
    one = join("one")
    one.ask()
    pace.patience = 0.3
    postgres.stop()
    try:
        one.end(0)
        how = f"`convsearch run --study one --resume --home {tmp_path}` continues when it is back"
        with pytest.raises(WorkError, match=how):
            one.engine.running_elsewhere()
    finally:
        postgres.start()
    assert one.record.trials[0].state == "complete"
    back = join("one")
    assert states(back) == [TrialState.COMPLETE]


@pytest.mark.parametrize("text", ["60s", "nan", "inf", "-5", "0", ""])
def test_a_grace_that_is_no_number_of_seconds_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSEARCH_GRACE", text)
    with pytest.raises(InputError, match=rf"CONVSEARCH_GRACE={text}: a number of seconds above 0"):
        Pace()
