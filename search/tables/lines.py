"""The lines of a table that is text: UTF-8, or UTF-16 and UTF-32 where the file begins with their mark.

Other encodings are refused, not guessed at: Windows-1252 and its relatives give other letters for the same bytes, and a
wrong guess would stand in the names of classes for good.
"""

import codecs
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from ...spaces.errors import InputError
from ...spaces.printable import printable
from ..images.reading import is_of_the_machine

LONGEST = 2**20
"""Characters in a line; no table of labels has more, and whatever has none but one line must not fill the memory."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHOWN = 20  # characters before the one that cannot be read


def lines(path: Path, spec: str) -> Iterator[str]:
    """Yield the lines of a text file, with their ends as they are.

    Raises InputError where it cannot be opened or is no text, with the line and what to do.
    """
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as stream:
            for number in count(1):
                line = stream.readline(LONGEST)
                if not line:
                    return
                if len(line) == LONGEST and line[-1] not in "\r\n":
                    raise InputError(f"{spec}: line {number} has more than {LONGEST:,} characters: this is no table.")
                if "\0" in line:
                    raise InputError(
                        f"{spec}: line {number} holds a zero byte: this is no text, or UTF-16 without its mark. Save "
                        "the table as UTF-8."
                    )
                yield line
    except UnicodeDecodeError as error:
        raise _undecodable(path, spec, error) from error
    except OSError as error:
        if is_of_the_machine(error):
            raise
        raise InputError(f"{spec}: cannot be read ({error.strerror}).") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        beginning = stream.read(4)
    return next((encoding for mark, encoding in _MARKS if beginning.startswith(mark)), "utf-8")


def _undecodable(path: Path, spec: str, error: UnicodeDecodeError) -> InputError:
    """Return the error for text that is not in its encoding, with the line if that is UTF-8."""
    if error.encoding != "utf-8":
        return InputError(
            f"{spec}: damaged: it begins as {error.encoding}, but is not ({error.reason}). Save it again."
        )
    with path.open("rb") as stream:
        for number, line in enumerate(iter(partial(stream.readline, 4 * LONGEST), b""), 1):
            try:
                line.decode()
            except UnicodeDecodeError as wrong:
                shown = line[max(0, wrong.start - _SHOWN) : wrong.start + _SHOWN].decode("cp1252", "replace")
                return InputError(
                    f"{spec}: line {number} is not UTF-8: byte 0x{line[wrong.start]:02x}. In Windows-1252 it would be "
                    f"'{printable(shown.strip())}'; if that is right: `iconv -f cp1252 -t utf-8 {printable(path.name)} "
                    "> new.csv`, or 'CSV UTF-8' in a spreadsheet."
                )
    return InputError(f"{spec} changed while it was read. Try again when nothing writes to it any more.")
