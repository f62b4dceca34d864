"""labels.txt: the names of the classes, one on each line, in the order of the model's outputs."""

from collections.abc import Iterable
from pathlib import Path

from ...spaces.errors import InputError
from ...spaces.printable import printable


def write_labels(path: Path, classes: Iterable[str]) -> None:
    r"""Write the labels. Only "\n" ends a line; whatever else some program takes for a line break is escaped."""
    path.write_bytes("".join(printable(name) + "\n" for name in classes).encode("utf-8"))


def read_labels(path: Path, outputs: int) -> list[str]:
    """Return the labels as they are written, escapes included, for a model of so many outputs.

    Raises:
        InputError: the file cannot be read, or has another number of labels.
    """
    try:
        text = path.read_bytes().decode("utf-8")  # as bytes: read_text would take "\r" for a line break too
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the labels cannot be read: {error}") from error
    labels = text.removesuffix("\n").split("\n")
    if len(labels) != outputs:
        raise InputError(f"{path}: {len(labels)} labels, but the model has {outputs} outputs; one label a line")
    return labels
