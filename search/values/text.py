"""Parses what people type: sizes such as `32x32x3`, and `NAME=VALUE`."""

import re
from collections.abc import Iterable
from pathlib import Path

from ...spaces.errors import InputError

LEAST_MEMORY = 500 * 10**6  # bytes with which a worker can train a small network at all
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


def memory_size(text: str) -> int:
    """Return the bytes of a size such as `2GB` or `1.5 GiB`; GB are 10 ** 9 bytes, GiB 2 ** 30.

    Raises:
        InputError: it is none, or less than a worker needs to start.
    """
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        raise InputError(f"--memory {text}: write a number and its unit, as in 2GB or 512MB") from error
    if size < LEAST_MEMORY:
        raise InputError(f"--memory {text}: a worker needs {LEAST_MEMORY // 10**6} MB to start, and more to train")
    return size


def expanded(text: str) -> Path:
    """Return a path as it was typed, with `~` and `~user` for the home folders, also where no shell has seen them.

    It stays as it is where there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
