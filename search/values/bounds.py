"""Types of stored numbers and moments: what is outside their bounds was damaged on its way."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A whole number that JSON's readers agree on."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A fraction, such as an accuracy."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


def _moment(text: str) -> str:
    datetime.fromisoformat(text).timestamp()  # which has bounds of its own
    return text


Moment = Annotated[str, AfterValidator(_moment)]
"""A time, ISO 8601."""
