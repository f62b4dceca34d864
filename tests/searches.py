"""Searches by the parts of `convsearch run`, in the test's own process: where neither command nor MLflow matters."""

import io
from contextlib import ExitStack
from typing import Any

from rich.console import Console

from convsearch.search.executors.protocol import Executor
from convsearch.search.launch.contract import new_contract
from convsearch.search.launch.options import Options
from convsearch.search.launch.preparation import prepare
from convsearch.search.launch.wiring import engine_for
from convsearch.search.loop.budget import Budget
from convsearch.search.loop.jobs import job_of_trial
from convsearch.search.loop.loop import Loop
from convsearch.search.loop.prepared import Prepared
from convsearch.search.study.home import Home


def prepared(home: Home, **options: Any) -> Prepared:
    """A new study, `mine`, in a home."""
    wanted = Options(home=home.path, **options)
    contract = new_contract(home, home.study("mine"), wanted)
    with ExitStack() as held:
        found = prepare(home, contract, Budget(None, None), Console(file=io.StringIO()), held)
    assert found is not None
    return found


def search(study: Prepared, executor: Executor, budget: Budget) -> None:
    """Run trials until the budget is spent."""
    engine = engine_for(study, budget)
    weights = study.folder.weights(0).parent
    Loop(engine, executor, study.record, [], budget, lambda *job: job_of_trial(study, *job), weights).run()
    engine.close()
