"""Brings record and engine in line after a launch was killed, and has the lost candidates proposed again.

The record is always written first, except for a proposal, which the engine stores before the trial is recorded. So a
kill may leave an engine that has missed the end of a trial, or one with a proposal that never became a trial.
"""

from collections.abc import Sequence

from ..engines.protocol import Engine
from ..study.objectives import costs
from ..study.record import Record


def settle(record: Record, engine: Engine, objectives: Sequence[str]) -> None:
    """Leave no trial running in either, tell the engine what it missed, and requeue interrupted trials."""
    for trial in list(record.trials.values()):
        if trial.state == "running":
            record.add(trial.lose("interrupted", "the search was ended while the trial ran"))
    for number, trial in sorted(record.trials.items()):
        if not engine.knows(number):  # it has no storage of its own, or that was moved away
            engine.learn(number, trial.values, trial.state, trial.val_accuracy, costs(trial, objectives))
    for number, begin in engine.open_trials().items():
        recorded = record.trials.get(number)
        if recorded is None or (begin and recorded.state == "pruned" and recorded.epochs <= begin):  # never begun
            engine.tell(number, "interrupted", None)
            engine.requeue(number, {})
        else:
            engine.tell(number, recorded.state, recorded.value, costs(recorded, objectives))
    done = {trial.hash for trial in record.trials.values() if trial.state != "interrupted"}
    interrupted = {t.hash: t for t in record.trials.values() if t.state == "interrupted" and t.hash not in done}
    for trial in interrupted.values():
        engine.requeue(trial.number, trial.values)
