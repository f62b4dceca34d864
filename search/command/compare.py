"""`convsearch compare`."""

from typing import Annotated

import typer

from .terminal import HOME, HomeOption, JsonOption, print_json, print_text


def compare(
    studies: Annotated[list[str], typer.Argument(metavar="STUDY", help="Names of studies.")],
    as_json: JsonOption = False,
    home: HomeOption = HOME,
) -> None:
    """Compare studies side by side: accuracy over time, trials, the best networks and what they cost."""
    from ..report import compare as report
    from ..study.home import Home

    folders = [Home(home).existing(name) for name in studies]
    if as_json:
        print_json(report.as_json(folders))
    else:
        print_text(report.comparison(folders))
