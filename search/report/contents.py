"""What lies in a home: for people and as JSON."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..study.contents import Contents
from ..study.home import Home
from ..values.commands import command
from ..values.words import size


def contents_table(home: Home, contents: Contents) -> RenderableType:
    """Return what lies in a home as tables, and what can be deleted of it."""
    studies, arrays = Table(), Table()
    for name in ("study", "size", "data", ""):
        studies.add_column(name, justify="right" if name == "size" else "left")
    for one in contents.studies:
        data = one.settings.data.folder if one.settings else "cannot be read"
        studies.add_row(one.folder.name, size(one.bytes), data, "running" if one.running else "")
    for name in ("data", "size", "used by"):
        arrays.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for found in contents.arrays:
        arrays.add_row(
            found.path.name, size(found.bytes), ", ".join(found.studies) or ("a run" if found.running else "no study")
        )
    lines = [f"mlflow.db {size(contents.store)}, artifacts {size(contents.artifacts)}"]
    if contents.deleted or contents.left:
        lines.append(f"left by killed commands: {size(contents.left_bytes)}; `clean` with a study or --data removes it")
    if any(not found.studies and not found.running for found in contents.arrays) or contents.deleted or contents.left:
        lines.append(command("clean", "--data", home=home.path))
    if contents.studies:
        lines.append(command("clean", "STUDY", home=home.path))
    tables = [table for table in (studies, arrays) if table.row_count]
    return Group(*tables, *map(Text, lines))


def contents_json(home: Home, contents: Contents) -> dict[str, Any]:
    """Return the same for scripts; sizes are in bytes, the data of a study that cannot be read is null."""
    return {
        "home": str(home.path),
        "studies": [
            {
                "study": one.folder.name,
                "bytes": one.bytes,
                "data": one.settings.data.folder if one.settings else None,
                "running": one.running,
            }
            for one in contents.studies
        ],
        "data": [{"data": a.path.name, "bytes": a.bytes, "studies": list(a.studies)} for a in contents.arrays],
        "mlflow_bytes": contents.store,
        "artifacts_bytes": contents.artifacts,
        "left_bytes": contents.left_bytes,
    }
