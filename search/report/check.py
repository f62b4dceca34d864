"""`convsearch check`: how many candidates a space has, and what they cost."""

import random
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...spaces.architecture import Candidate
from ...spaces.drawing.text import draw_text
from ...spaces.memory.limit import Memory
from ...spaces.space import SearchSpace
from ..data.source import listed

SAMPLE = 1000  # random candidates behind the spread
EXAMPLES = 3


def checked(space: SearchSpace, memory: Memory, seed: int = 0) -> dict[str, Any]:
    """Return what `check` shows, for `--json`: sizes, the spread among random candidates, what fits, examples.

    `memory` is that of a worker, with which the space is not bound.
    """
    source = random.Random(seed)
    candidates = [space.candidate(space.draw(source)) for _ in range(SAMPLE)]
    within = [candidate for candidate in candidates if space.excess(candidate) is None]
    kept = [candidate.architecture for candidate in within]
    limited = bool(space.definition.limits.model_dump(exclude_none=True))
    figures: dict[str, list[float]] = {
        "parameters": [a.parameters for a in kept],
        "macs": [a.macs for a in kept],
        "activation_mb": [a.activation_bytes / 1e6 for a in kept],
        "training_mb": [memory.needed(candidate) / 1e6 for candidate in within],
    }
    return {
        "input": list(space.input),
        "input_sizes": list(space.sizes),
        "dimensions": len(space.dimensions),
        "continuous": space.continuous,
        "architectures": space.architectures,
        # The count ignores limits, so with limits it is an upper bound.
        "architectures_are": "at most" if limited else "exactly",
        "recipes": space.recipes,
        "within_limits": len(kept) / SAMPLE,
        "memory": _fitting(within, memory),
        "spread": {name: _spread(values) for name, values in figures.items()} if kept else {},
        "examples": [str(a) for a in kept[:EXAMPLES]],
        "_drawn": kept[:EXAMPLES],
    }


def _fitting(candidates: Sequence[Candidate], memory: Memory) -> dict[str, Any]:
    """Return which shares of candidates can be trained in a worker's memory: as they are, and in smaller batches."""
    as_they_are = [memory.holds(candidate) for candidate in candidates]
    batches = zip(candidates, map(memory.smaller_batch, candidates), map(memory.most_images, candidates), strict=True)
    smaller = [batch <= most and batch < candidate.recipe.batch_size for candidate, batch, most in batches]
    count = max(1, len(candidates))
    return {
        "gb": memory.limit / 1e9,
        "as_they_are": sum(as_they_are) / count,
        "in_smaller_batches": sum(smaller) / count,
    }


def _spread(values: list[float]) -> dict[str, float]:
    twentieths = statistics.quantiles(values, n=20) if len(values) > 1 else values * 19
    return {
        "least": min(values),
        "5 %": twentieths[0],
        "median": twentieths[9],
        "95 %": twentieths[18],
        "most": max(values),
    }


def check(found: dict[str, Any], width: int) -> RenderableType:
    """Return what `checked` found as text, a table and three drawings."""
    bound = "exactly" if found["architectures_are"] == "exactly" else "at most"
    lines = [
        f"valid: it can be built on {_input(found)}",
        f"{found['dimensions']} dimensions; {bound} {_count(found['architectures'])} architectures"
        + (" (before the limits)" if bound == "at most" else "")
        + f" with {_count(found['recipes'])} recipe{'s' if found['recipes'] > 1 else ''} each",
    ]
    if found["continuous"]:
        lines.append(f"continuous, counted as one value: {', '.join(found['continuous'])}")
    lines.append(f"{found['within_limits']:.0%} of {SAMPLE:,} random candidates are within the limits")
    lines.append(_in_words(found["memory"]))
    table = Table(title="spread among those", title_justify="left")
    table.add_column("")
    for column in ("least", "5 %", "median", "95 %", "most"):
        table.add_column(column, justify="right")
    for name, spread in found["spread"].items():
        table.add_row(name, *(f"{v:,.3f}" if name == "activation_mb" else f"{v:,.0f}" for v in spread.values()))
    drawings = [Text(f"\n{a}\n{draw_text(a, width)}") for a in found["_drawn"]]
    return Group(Text("\n".join(lines)), table, *drawings)


def _input(found: dict[str, Any]) -> str:
    largest, sizes = "x".join(map(str, found["input"])), found["input_sizes"]
    return largest if len(sizes) == 1 else f"{largest}, at the sizes {listed(sizes, ', ', limit=8)}"


def _in_words(memory: dict[str, Any]) -> str:
    smaller = memory["in_smaller_batches"]
    more = f", and {smaller:.0%} in smaller batches" if smaller else ""
    left = 1 - memory["as_they_are"] - smaller
    rest = f"; {left:.0%} do not fit and would not be proposed" if left > 1e-9 else ""
    return f"{memory['as_they_are']:.0%} of those can be trained in the {memory['gb']:.3g} GB of a worker{more}{rest}"


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**9 else f"{number:.2e}"
