"""A model's text that came from outside."""

from typing import Annotated

from pydantic import BeforeValidator

from ...spaces.printable import printable

Printable = Annotated[str, BeforeValidator(lambda text: printable(text) if isinstance(text, str) else text)]
"""Made printable when a model is made of it: earlier versions stored it as it came."""
