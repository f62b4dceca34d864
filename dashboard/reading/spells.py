"""When trials ran: the spells of each, and the minutes of search by their ends."""

from typing import Annotated, Any

import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from ...search.study.trial import searched
from ...search.values.bounds import Share
from .rows import LAST

_Milliseconds = Annotated[int, Field(ge=0, lt=LAST)]  # since 1970
_TAG: TypeAdapter[list[tuple[_Milliseconds, _Milliseconds, Share | None]]] = TypeAdapter(
    list[tuple[_Milliseconds, _Milliseconds, Share | None]]
)


def spells_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the spells of trials that have ended, in the order of their ends.

    Args:
        trials: of a study, all of them; the columns that are read are `trial`, `began`, `ended`, `validation` and
            `spells`.

    Returns:
        a row for each spell: `trial`; `minutes`, of search by its end, as `convsearch compare` counts them; and the
        `validation` accuracy that the trial had reached by then, NaN where there is none or the trial has failed.
    """
    ended = trials.dropna(subset=["began", "ended"])
    columns = (ended[name] for name in ("trial", "began", "ended", "validation", "spells"))
    found = [
        (trial, begin, end, reached)
        for trial, first, last, value, tag in zip(*columns, strict=True)
        for begin, end, reached in _spells(first, last, value, tag)
    ]
    minutes = [seconds / 60 for seconds in searched([(begin, end) for _, begin, end, _ in found])]
    table = pd.DataFrame(
        {
            "trial": [trial for trial, *_ in found],
            "minutes": minutes,
            "validation": pd.Series([reached for *_, reached in found], dtype=float),
        }
    )
    return table.sort_values(["minutes", "validation"], ignore_index=True)


def _spells(
    began: pd.Timestamp, ended: pd.Timestamp, value: float, tag: Any
) -> list[tuple[float, float, float | None]]:
    """Return begin and end, in seconds since 1970, and the value of each spell of a trial.

    Without a tag, or with a damaged one, it is one spell from the trial's beginning to its end.
    """
    try:
        known = None if pd.isna(tag) else _TAG.validate_json(tag)
    except ValidationError:
        known = None
    if known is None:
        return [(began.timestamp(), ended.timestamp(), value)]
    # A failed trial has no value: what it reached before cannot be trusted.
    return [(begin / 1000, end / 1000, None if pd.isna(value) else reached) for begin, end, reached in known]
