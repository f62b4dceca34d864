"""Damage for files: edits of the tree in a JSON or YAML text, of the arrays in an `.npz`, and of bytes.

A draw is a list of edits. Where in the file an edit falls is a number, taken modulo what the file has: so the same
edits fit every file, and hypothesis can shorten the list until only what does the harm is left.
"""

import copy
import io
import json
import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import yaml
from hypothesis import strategies as st

TYPES = ("f2", "f4", "f8", "u1", "i1", "i8", "u8", "?", "c8", "U3", "S2", ">i4")
DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]
RAW = (
    *('!!int ""', '!!float "x"', '!!bool "x"', "!!timestamp x", "2026-99-99", "!!binary é", "!!set [a]", "!!omap a"),
    *("*a", "&a [*a]", "!!python/object:os.x", "9" * 5000, "1e" + "9" * 400, "-", "? ", "%TAG ! x"),
)
"""Values that are not YAML, or that PyYAML cannot make anything of."""
STRANGE: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], {"": None}, DEEP, [None] * 40),
    *(0, 1, -1, 2, 3, 255, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400),
    *(0.0, -0.0, 0.5, -0.5, 1e-320, 1e308, math.inf, -math.inf, math.nan),
    *("", "0", "-1", "nan", "1e999", "x" * 300, "a\u2028b", "\x00", "\ud800", "[/red]", "../..", "/", "{"),
    *("2026-11-30", "0001-01-01T00:00:00", "1_000", "0x1F", "010", "1:30", "²", "true", "null", "same", "none"),
    *("64x96", "8×8", "0x5", "5x0", "4096X4097", "8x", "x8", "8x8x8", "99999999999x9"),
    *(f"raw-{number}." for number in range(len(RAW))),  # written as they are by `as_yaml`
)
BYTES = (
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b"\x85", b"}"),
    *(b"[" * 2000, b'{"a":' * 2000, b"9" * 5000),
)
CUTS = ("cut", "insert", "flip", "double", "drop")


class Edit(NamedTuple):
    """One edit: what is done, where, and with what; each number is taken modulo what there is to choose from."""

    what: int
    where: int
    value: int


EDITS = st.lists(
    st.builds(Edit, st.integers(0, 999), st.integers(0, 9999), st.integers(0, 999)), min_size=1, max_size=4
)

_PLAIN = st.sampled_from(STRANGE).map(lambda value: yaml.safe_dump(value).removesuffix("...\n").strip())
_NUMBER = st.floats(1e-9, 9).map(str) | st.integers(0, 99).map(str)
VALUES = st.one_of(
    _PLAIN,
    st.lists(_PLAIN, max_size=4).map(lambda values: f"[{', '.join(values)}]"),
    st.builds("{{min: {}, max: {}}}".format, _NUMBER, _NUMBER),
    st.builds("{{min: {}, max: {}, step: {}}}".format, _NUMBER, _NUMBER, _NUMBER),
    st.builds("{{min: {}, max: {}, log: {}, step: {}}}".format, _PLAIN, _PLAIN, _PLAIN, _PLAIN),
    st.sampled_from(("[" * 5000, "{a: " * 5000, "- " * 5000, "9" * 5000, "1e" + "9" * 400)),
    st.sampled_from(RAW),
    st.text(max_size=20),
)
"""Texts of one value, as YAML."""


def edited_bytes(content: bytes, edits: list[Edit]) -> bytes:
    """Return a file's bytes with pieces cut, flipped, repeated or inserted."""
    for edit in edits:
        at = edit.where * len(content) // 10_000
        end = min(len(content), at + 1 + edit.value)
        match CUTS[edit.what % len(CUTS)]:
            case "cut":
                content = content[:at]
            case "insert":
                content = content[:at] + BYTES[edit.value % len(BYTES)] + content[at:]
            case "flip":
                flipped = bytes(byte ^ (1 << edit.value % 8) for byte in content[at : at + 1])
                content = content[:at] + flipped + content[at + 1 :]
            case "double":
                content = content[:end] + content[at:]
            case "drop":
                content = content[:at] + content[end:]
    return content


def edited_tree(tree: Any, edits: list[Edit]) -> Any:
    """Return plain data with values replaced, scaled, removed, repeated, moved, or keys renamed."""
    tree = {"": copy.deepcopy(tree)}
    for edit in edits:
        places = list(_places(tree))
        holder, key = places[edit.where % len(places)]
        value = holder[key]
        match edit.what % 7:
            case 0 | 1:
                holder[key] = copy.deepcopy(STRANGE[edit.value % len(STRANGE)])
            case 2:
                other, name = places[edit.value % len(places)]
                holder[key] = copy.deepcopy(other[name])
            case 3:
                holder[key] = _near(value, edit.value)
            case 4 if holder is not tree:
                del holder[key]
            case 5 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(value))
            case 5 if holder is not tree:
                holder[str(STRANGE[edit.value % len(STRANGE)])] = holder.pop(key)
            case _ if isinstance(value, dict):
                value[str(STRANGE[edit.value % len(STRANGE)])] = 1
            case _ if isinstance(value, list):
                value.reverse()
            case _:
                holder[key] = [value]
    return tree[""]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place in a tree as what holds it and the key or index there; the whole is the first."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(pairs):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _near(value: Any, choice: int) -> Any:
    """Return a value close to another, such as one that is off by one or has its type changed."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        near = (value + 1, value - 1, -value, value * 1000, value / 7 if abs(value) < 1e300 else 0, str(value)[:99])
        return near[choice % len(near)]
    if isinstance(value, str):
        return (value + "x", value[:-1], value.upper(), f" {value}", value * 50)[choice % 5]
    return str(value)


def as_json(tree: Any) -> bytes:
    """Return a tree as JSON, with NaN and lone surrogates as Python writes them."""
    return json.dumps(tree).encode()


def as_yaml(tree: Any) -> bytes:
    """Return a tree as YAML, with aliases where parts repeat, and with values that no dump would write."""
    text = yaml.safe_dump(tree, sort_keys=False)
    for number, raw in enumerate(RAW):
        text = text.replace(f"raw-{number}.", raw)
    return text.encode("utf-8", "surrogatepass")


def edited_arrays(content: bytes, edits: list[Edit]) -> bytes:
    """Return an `.npz` whose arrays have other types, shapes or values, are missing or have other names."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    for edit in edits:
        if not arrays:
            break
        name = sorted(arrays)[edit.where % len(arrays)]
        array = arrays[name]
        match edit.what % 9:
            case 0:
                arrays[name] = _cast(array, TYPES[edit.value % len(TYPES)])
            case 1:
                arrays[name] = np.atleast_1d(array)[: edit.value % 4]
            case 2:
                arrays[name] = array[..., np.newaxis]
            case 3:
                arrays[name] = array.T
            case 4:
                arrays[name] = np.array(array.ravel()[0] if array.size else 0)
            case 5:
                del arrays[name]
            case 6:
                arrays[f"x_{edit.value}"] = arrays.pop(name)
            case 7:
                strange = (np.nan, np.inf, -1.0, 1e300, 0.5, -(2.0**63))[edit.value % 6]
                arrays[name] = np.full(array.shape, strange)
            case 8:
                arrays[name] = np.zeros((*array.shape[: edit.value % 3], 0, *array.shape[1:]), array.dtype)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def _cast(array: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return array.astype(kind)
        except (ValueError, OverflowError):  # letters for numbers, or too many of them
            return np.zeros(array.shape, kind)
