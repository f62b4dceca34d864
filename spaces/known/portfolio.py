"""The first proposals of a study: known good networks, fitted to the input and the space (`portfolio.yaml`).

They give a search a baseline to beat, and an engine something to learn from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ..definition import INPUT
from ..dimension import Choice, Dimension, Options
from ..space import SearchSpace, Values

NARROWER = (1, 2, 4, 8)  # divisors of the filters; the first that keeps the network within the limits is used
STEPS = 10  # steps an epoch has at least; the entry's batch size is reduced for that
COMMON = "common"


@dataclass(frozen=True)
class Guess:
    """An entry of the portfolio in a space: its fitted values, or why the space does not allow it."""

    name: str
    values: Values | None
    reason: str = ""


@cache
def entries() -> dict[str, dict[str, Any]]:
    """Return `portfolio.yaml`: the entries in their order, and under COMMON what they share."""
    text = files(__package__).joinpath("portfolio.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    common = found.pop(COMMON)
    return {name: common | entry for name, entry in found.items()} | {COMMON: common}


def portfolio(space: SearchSpace, images: int, size: str | None = None) -> Iterator[Guess]:
    """Yield each entry in its order, as this space has it.

    Args:
        space: bound to the images.
        images: how many there are to train on.
        size: that at which they are taken; by default the smallest of the space.
    """
    for name, entry in entries().items():
        if name == COMMON:
            continue
        count, allowed = len(entry["layers"]), space.all_dimensions["layers"].values or ()
        if count not in allowed:
            depths = f"{min(allowed)} to {max(allowed)}" if len(allowed) > 1 else str(allowed[0])
            yield Guess(name, None, f"it has {count} layers, the space allows {depths}")
            continue
        values = fitted(space, entry, images, size)
        yield Guess(name, values, "" if values else "it exceeds the limits even with an eighth of its filters")


def guesses(space: SearchSpace, images: int, size: str | None = None) -> Iterator[Values]:
    """Yield the fitted values of those entries that the space allows; the arguments are those of `portfolio`."""
    for guess in portfolio(space, images, size):
        if guess.values is not None:
            yield guess.values


def fitted(space: SearchSpace, entry: Mapping[str, Any], images: int, size: str | None = None) -> Values | None:
    """Return the values of an entry in a space, with as many of its filters as the limits allow, or None."""
    ours = {"batch_size": min(entry["batch_size"], max(1, images // STEPS))} | ({INPUT: size} if size else {})
    pools = any(
        key.endswith(".pooling") and not key.startswith("head.") and dimension.values != ("none",)
        for key, dimension in space.all_dimensions.items()
    )
    for divisor in NARROWER:
        preferred = _preferred({**entry, **ours}, divisor, pools)
        values = space.fit({key: _nearest(key, dimension, preferred) for key, dimension in space.dimensions.items()})
        if space.excess(space.candidate(values)) is None:
            return values
    return None


def _preferred(entry: Mapping[str, Any], divisor: int, pools: bool) -> dict[str, Choice]:
    """Return the preferred values, by a dimension's full name (`layer2.filters`) or by its key (`dropout`)."""
    preferred: dict[str, Choice] = {key: value for key, value in entry.items() if key != "layers"}
    preferred["layers"] = len(entry["layers"])
    for number, layer in enumerate(entry["layers"], start=1):
        filters, _, pool = str(layer).partition(" ")
        preferred[f"layer{number}.filters"] = max(1, int(filters) // divisor)
        # Where nothing is pooled, a stride makes the volume smaller.
        preferred[f"layer{number}.pooling"] = entry["pooling"] if pool and pools else "none"
        preferred[f"layer{number}.stride"] = 2 if pool and not pools else 1
    preferred["filters"] = preferred["layer1.filters"]
    preferred["stride"] = 1 if pools else 2
    return preferred


def _nearest(name: str, dimension: Dimension, preferred: dict[str, Choice]) -> Choice:
    """Return the value of a dimension that is nearest to the preferred one, or its first where none is preferred."""
    key = name.rpartition(".")[2].rstrip("0123456789")
    first = dimension.values[0] if isinstance(dimension, Options) else dimension.low
    try:
        return dimension.nearest(preferred.get(name, preferred.get(key, first)))
    except ValueError:  # a word that this space does not have
        return first
