"""`convsearch studies` lists them all, `convsearch show` one of them, `convsearch compare` several side by side."""

from typing import Annotated

import typer

from ..values.commands import command
from .terminal import HOME, HomeOption, JsonOption, StudyArgument, print_json, print_text


def studies(home: HomeOption = HOME) -> None:
    """List all studies."""
    from ..report.study import study_table
    from ..study.home import Home

    found = Home(home)
    if not found.studies():
        print_text(f"no study in {home} yet: `{command('run', home=home)}` creates one")
        return
    print_text(study_table(found))


def show(study: StudyArgument, as_json: JsonOption = False, home: HomeOption = HOME) -> None:
    """Show a study: its best trials, what they have in common, its test."""
    from ..study.home import Home

    folder = Home(home).existing(study)
    if as_json:
        from ..report.as_json import as_json as document

        print_json(document(folder))
    else:
        from ..report.study import show as table

        print_text(table(folder))


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
