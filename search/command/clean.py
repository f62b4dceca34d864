"""`convsearch clean`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ...spaces.errors import InputError, WorkError
from .terminal import HOME, HomeOption, JsonOption, print_json, print_text

if TYPE_CHECKING:
    from ..study.contents import Arrays
    from ..study.home import Home


def clean(
    studies: Annotated[list[str] | None, typer.Argument(metavar="[STUDY]...", help="Names of studies.")] = None,
    data: Annotated[bool, typer.Option("--data", help="Delete the decoded images that no study uses.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = HOME,
) -> None:
    """Show what lies in the home and how large it is; or delete studies, or decoded images that no study uses."""
    from ..study.home import Home

    place = Home(home)
    if not studies and not data:
        if dry_run or yes:
            raise InputError(f"{'--dry-run' if dry_run else '--yes'}: name what to delete: studies, or --data")
        _list(place, as_json)
        return
    from ..delivery.deletion import delete, planned

    plan = planned(place, studies or [], data)
    if not as_json:
        for line in plan.lines or [f"nothing to delete: no decoded images in {home} are without a study"]:
            print_text(line)
    kept: list[Arrays] = []
    if not dry_run and not plan.is_empty:
        if not yes:
            _ask()
        kept = delete(place, plan)
    if as_json:
        print_json({"deleted": not dry_run, **plan.facts, "kept": [one.path.name for one in kept]})
    elif not plan.is_empty:
        for one in kept:
            print_text(f"data {one.path.name} is kept: a study uses it by now")
        print_text("nothing was deleted: --dry-run" if dry_run else "deleted")


def _list(home: "Home", as_json: bool) -> None:
    from ..report.contents import contents_json, contents_table
    from ..study.contents import contents_of

    found = contents_of(home)
    if as_json:
        print_json(contents_json(home, found))
    else:
        print_text(contents_table(home, found))


def _ask() -> None:
    """Ask whether to delete; InputError where nobody can be asked, WorkError if the answer is no."""
    if not sys.stdin.isatty():
        raise InputError("clean: there is no terminal to ask in; --yes deletes without asking; nothing was deleted")
    if not typer.confirm("Delete this?", err=True):
        raise WorkError("nothing was deleted")
