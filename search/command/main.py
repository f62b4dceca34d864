"""The command and its verbs, each of which imports only what it needs; errors become one-line messages."""

import gc
import io
import os
import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from ...spaces.errors import InputError, WorkError
from ...spaces.printable import printable_lines
from ..system.addresses import discreet, settle_tracking
from .check import check
from .clean import clean
from .dashboard import dashboard
from .doctor import doctor
from .explain import explain
from .export import export
from .predict import predict
from .run import run
from .show import compare, show, studies
from .terminal import standard_error


class Verb(TyperCommand):
    """A verb that refuses empty values: what a shell makes of a variable that is not set is no choice of a default."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed after the verb; InputError where a value is empty."""
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        parameters: list[Any] = self.params
        for one in parameters:
            values = given.get(one.name)
            if "" in (values if isinstance(values, list | tuple) else [values]):
                name = max(one.opts, key=len) if one.param_type_name == "option" else one.metavar
                raise InputError(f"{name} '': empty, as a variable is that is not set; expected: {one.help}")
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="convsearch",
    help="Finds a convolutional network for your images and exports the best one as a model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verb in (run, studies, show, compare, check, explain, export, predict, dashboard, clean, doctor):
    app.command(name=verb.__name__, cls=Verb)(verb)


def main() -> None:
    """Run the command; exit code 0 for success, 1 for failed work, 2 for wrong input."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
    if isinstance(sys.stdout, io.TextIOWrapper):  # in whose encoding not all names may exist
        sys.stdout.reconfigure(errors="backslashreplace")
    end_with_a_message(app)


def end_with_a_message(program: Callable[[], object]) -> None:
    """Run a program; if it fails, print one message and exit with 2 for wrong input, 1 for failed work."""
    try:
        settle_tracking()
        program()
    except InputError as error:
        _fail(str(error), 2)
    except WorkError as error:
        _fail(str(error), 1)
    except OSError as error:
        # A full disk, a deleted folder: a problem of the machine, not a bug.
        _fail(f"{error.filename or 'the disk'}: {error.strerror or error}", 1)
    finally:
        gc.freeze()  # or the interpreter's last collection scans all of TensorFlow's objects: two seconds


def _fail(message: str, code: int) -> None:
    standard_error().write(f"convsearch: {printable_lines(discreet(message))}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
