"""Shared by the verbs: common options, and printing to the terminal."""

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ...spaces.printable import printable_lines
from ..values.commands import DEFAULT_HOME, HOME_VARIABLE
from ..values.text import expanded

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

HomeOption = Annotated[
    Path, typer.Option(help="Folder of all studies.", envvar=HOME_VARIABLE, parser=expanded, metavar="PATH")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
HOME = DEFAULT_HOME
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study in the home.")]
WIDTH = 160  # columns without a terminal: tables in files and pipes are not folded to 80


@cache
def standard_error() -> TextIO:
    """Return standard error on a separate descriptor: descriptor 2 is held back while Keras is imported."""
    return os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")


def console(*, stderr: bool = False) -> "Console":
    """Return a console for standard output or standard error.

    It takes no text for markup, and each line of it is printable: names of files and classes may hold anything. What
    shall have a style is a rich Text, which is left as it is.
    """
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable_lines(text), **options)

    file = standard_error() if stderr else None
    made = Plain(file=file, markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def print_text(found: "RenderableType") -> None:
    """Print a table or a line on standard output."""
    console().print(found, soft_wrap=isinstance(found, str))


def print_json(found: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(found))
