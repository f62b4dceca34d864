"""Brings record and engine together where a launch was killed, and has what was lost proposed again.

The record comes first in everything but a proposal, which the engine stores before a trial is made of it. So a kill may
leave an engine that was not told of an end, or one that has proposed what never began.
"""

from collections.abc import Sequence

from ..engines.protocol import Engine
from ..study.objectives import costs
from ..study.record import Record


def settle(record: Record, engine: Engine, objectives: Sequence[str]) -> None:
    """Leave no trial running in either, tell the engine what it missed, and enqueue what was interrupted."""
    for trial in list(record.trials.values()):
        if trial.state == "running":
            record.add(trial.lose("interrupted", "the search was ended while the trial ran"))
    for number, trial in sorted(record.trials.items()):
        if not engine.knows(number):  # it keeps nothing itself, or its storage was moved away
            engine.learn(number, trial.values, trial.state, trial.val_accuracy, costs(trial, objectives))
    for number, begin in engine.open_trials().items():
        known = record.trials.get(number)
        if known is None or (begin and known.state == "pruned" and known.epochs <= begin):  # proposed, never begun
            engine.tell(number, "interrupted", None)
            engine.again(number, {})
        else:
            engine.tell(number, known.state, known.value, costs(known, objectives))
    done = {trial.hash for trial in record.trials.values() if trial.state != "interrupted"}
    again = {t.hash: t for t in record.trials.values() if t.state == "interrupted" and t.hash not in done}
    for trial in again.values():
        engine.again(trial.number, trial.values)
