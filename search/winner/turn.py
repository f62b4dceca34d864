"""Which of the loops that share a study trains and exports the winner: the last one to end its search."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..engines.protocol import Engine
from ..loop.prepared import Prepared
from ..shared.engine import SharedEngine
from ..values.words import counted

log = logging.getLogger(__name__)


@contextmanager
def turn_of(prepared: Prepared, engine: Engine) -> Iterator[bool]:
    """Yield whether this loop should train and export the winner; no other loop does so while the block runs.

    A loop that does not share its study always should. Where another loop will, or has, the user learns which.
    """
    if not isinstance(engine, SharedEngine):
        yield True
        return
    if running := engine.running_elsewhere():
        loops = ", ".join(sorted(set(running.values())))
        log.info(
            "nothing is left to do here: %s still running elsewhere (%s). The last loop to end trains and exports the "
            "winner",
            counted(len(running), "trial"),
            loops,
        )
        yield False
        return
    database = engine.database
    with database.try_lock("winner") as held:
        note = engine.retry.until_done(lambda: database.winner() or {})
        study, finished = prepared.study, prepared.record.finished()
        done = (note.get("trials"), note.get("under")) == (finished, study.under) and not note.get("cut")
        done &= note.get("repeats", study.repeats) >= study.repeats
        if not held or (done and note["loop"] != engine.loop):
            who = f"{note['loop']} has exported" if held else "another loop trains and exports"
            log.info("nothing is left to do here: %s the winner of %s", who, counted(finished, "trial"))
            yield False
            return
        yield True
        result = prepared.folder.result()
        assert result is not None, "a loop whose turn it was has a result"
        made = {"trials": finished, "under": study.under, "repeats": study.repeats}
        made |= {"cut": result.cut, "loop": engine.loop}

        def note_winner() -> bool:
            database.note_winner(made)
            return True

        engine.retry.until_done(note_winner)
