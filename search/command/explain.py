"""`convsearch explain`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...spaces.errors import InputError
from ..values.text import expanded
from .terminal import HOME, HomeOption, JsonOption, console, print_json

if TYPE_CHECKING:
    from ...spaces.architecture import Architecture


def explain(
    what: Annotated[
        str,
        typer.Argument(metavar="FILE|STUDY[:TRIAL]", help="architecture.json, or a study's best or Nth trial."),
    ],
    as_json: JsonOption = False,
    home: HomeOption = HOME,
) -> None:
    """Show a network layer by layer, with the arithmetic filled in."""
    from ...spaces.drawing.text import draw_text
    from ..report.explain import explain as table
    from ..report.explain import explained
    from ..study.home import Home

    studies, file, called_a_file = Home(home), expanded(what), what.endswith(".json")
    is_study = what.partition(":")[0] in {study.name for study in studies.studies()}
    if (called_a_file and not is_study) or (file.is_file() and (called_a_file or not is_study)):
        architecture = _architecture_file(file)
    else:
        _, trial = studies.named_trial(what)
        architecture = trial.candidate.architecture
    if as_json:
        print_json(explained(architecture))
        return
    printed = console()
    printed.print(draw_text(architecture, printed.width))
    printed.print(table(architecture))


def _architecture_file(path: Path) -> "Architecture":
    from pydantic import ValidationError

    from ...spaces.architecture import Architecture, Candidate

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise InputError(f"{path}: this is not a network: it is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{path}: this is not valid JSON: {error}") from error
    try:
        if isinstance(data, dict) and "architecture" in data:
            return Candidate.model_validate(data).architecture
        found = Architecture.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f", not {first['input']!r:.80}"
        raise InputError(f"{path}: {key or 'the file'}: {message}{value}") from error
    return found
