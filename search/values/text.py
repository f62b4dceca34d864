"""Parses what people type: sizes such as `32x32x3`, and `NAME=VALUE`."""

import re
from collections.abc import Iterable
from pathlib import Path

from ...spaces.errors import InputError

NUMBER = re.compile(r"[0-9]{1,9}")


def numbers(text: str, count: int) -> tuple[int, ...] | None:
    """Return the whole numbers of a text such as `32x32x3`, or None unless there are exactly `count`.

    >>> numbers("32x32x3", 3), numbers("32x32", 3)
    ((32, 32, 3), None)
    """
    parts = re.split(r"[x×]", text.strip().lower())
    return tuple(map(int, parts)) if len(parts) == count and all(map(NUMBER.fullmatch, parts)) else None


def answers(given: Iterable[str]) -> dict[str, str]:
    """Return the values that `--set NAME=VALUE` gives to dimensions.

    Raises:
        InputError: one does not have that form.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set {text}: write NAME=VALUE, as in --set learning_rate=0.001")
        found[name.strip()] = value.strip()
    return found


def expanded(text: str) -> Path:
    """Return a path as it was typed, with `~` and `~user` for the home folders, also where no shell has seen them.

    It stays as it is where there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
