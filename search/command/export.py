"""`convsearch export`."""

from pathlib import Path
from typing import Annotated

import typer

from ...spaces.errors import InputError
from ..values.text import expanded
from .terminal import HOME, HomeOption, print_text


def export(
    what: Annotated[str, typer.Argument(metavar="STUDY[:TRIAL]", help="The study's winner, or one of its trials.")],
    to: Annotated[Path, typer.Option(metavar="DIR", parser=expanded, help="New folder for the bundle.")],
    under: Annotated[
        str | None,
        typer.Option(
            metavar="MEASURE=NUMBER", help="With several objectives: the most accurate network within this limit."
        ),
    ] = None,
    home: HomeOption = HOME,
) -> None:
    """Write the winner of a study, or another of its best trials, as a bundle that works without Convsearch."""
    from ..export.of_trial import export_bundle, trial_under
    from ..study.home import Home

    folder, named = Home(home).named_trial(what)
    trial = named if ":" in what else None
    if under is not None:
        if trial is not None:
            raise InputError(f"--under {under}: '{what}' already names a trial; give only one of them")
        trial = trial_under(folder, under)
    difference = export_bundle(folder, trial, to)
    print_text(f"{to}: checked in a fresh process, largest difference {difference:.1g}")
