"""`convsearch predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..values.text import expanded
from .terminal import JsonOption, console, print_json, print_text

if TYPE_CHECKING:
    from rich.table import Table


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", parser=expanded, help="Folder of a bundle.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", parser=expanded, help="Image files.")],
    as_json: JsonOption = False,
) -> None:
    """Classify images with the model of a bundle."""
    from ..export.predictions import dim_note, predictions

    found = predictions(bundle, images)
    if note := dim_note(images):
        console(stderr=True).print(f"note: {note}", soft_wrap=True)
    if as_json:
        print_json(found)
    else:
        print_text(_table(found))


def _table(found: list[dict[str, Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from ...spaces.printable import printable

    table = Table()
    table.add_column("image", overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("confidence", justify="right")
    for row in found:
        table.add_row(Text(printable(row["image"])), Text(printable(row["label"])), f"{row['confidence']:.1%}")
    return table
