"""`convsearch doctor`."""

import typer

from ...spaces.errors import WorkError
from .terminal import HOME, HomeOption, JsonOption, console, print_json, print_text


def doctor(as_json: JsonOption = False, home: HomeOption = HOME) -> None:
    """Report what this machine has, and try a tiny network on each device."""
    try:
        from ..doctor import diagnosis, report
        from ..study.home import Home
    except ImportError as error:
        raise WorkError(f"{error.name or error} is not installed: pip install convsearch") from error

    if not as_json:
        console(stderr=True).print("checking, and training a tiny network on each device ...")
    found = diagnosis.diagnose(Home(home))
    if as_json:
        print_json(report.as_json(found))
    else:
        print_text(report.report(found))
    if found.faults:
        raise typer.Exit(1)
