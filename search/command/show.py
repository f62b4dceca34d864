"""`convsearch studies` lists them all, `convsearch show` one of them."""

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
