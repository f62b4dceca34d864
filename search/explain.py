"""`convsearch explain` and `check`: an architecture layer by layer, and a space by its candidates, for a terminal."""

import random
import statistics
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..spaces.architecture import Architecture
from ..spaces.arithmetic import Step, doubled_padding
from ..spaces.draw import draw_text
from ..spaces.space import SearchSpace

SAMPLE = 1000  # random candidates behind the spread
EXAMPLES = 3


def formula(size: int, step: Step) -> str:
    """Return O = (W - K + 2P) / S + 1 with a step's numbers, for one side of its volume.

    >>> from convsearch.spaces.arithmetic import Step, Volume
    >>> formula(32, Step("conv1", "conv", Volume(32, 32, 3), Volume(16, 16, 8), 3, 2, 1))
    '(32 - 3 + 2) / 2 + 1 = 16'
    """
    zeros = doubled_padding(step.kernel_size, step.padding)
    reach = size - step.kernel_size + zeros
    # A remainder is pixels at the edge that no filter reads.
    shown = f"({size} - {step.kernel_size} + {zeros}) / {step.stride} + 1"
    exact = reach % step.stride == 0
    return f"{shown} = {reach // step.stride + 1}" + ("" if exact else f" (remainder {reach % step.stride})")


def explain(architecture: Architecture) -> RenderableType:
    """Return the network as a table: volumes, the formula filled in, receptive field, parameters, MACs and shares."""
    table = Table(
        title=str(architecture),
        caption="O = (W - K + 2P) / S + 1, rounded down; for same padding 2P = K - 1",
        title_justify="left",
        caption_justify="left",
    )
    for name, right in (
        ("layer", False),
        ("in", False),
        ("out", False),
        ("O = (W - K + 2P) / S + 1", False),
        ("sees", True),
        ("parameters", True),
        ("share", True),
        ("MACs", True),
        ("share", True),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for step in architecture.steps:
        table.add_row(
            step.name,
            str(step.before),
            str(step.after),
            _formulas(step),
            str(step.receptive_field),
            f"{step.parameters:,}" if step.parameters else "",
            _share(step.parameters, architecture.parameters),
            f"{step.macs:,}" if step.macs else "",
            _share(step.macs, architecture.macs),
        )
    table.add_section()
    table.add_row(
        "all",
        str(architecture.input),
        str(architecture.classes),
        f"{architecture.activation_bytes / 1e6:.3g} MB of activations an image",
        "",
        f"{architecture.parameters:,}",
        "",
        f"{architecture.macs:,}",
        "",
    )
    return table


def _formulas(step: Step) -> str:
    if not step.is_filter:
        return ""
    found = [formula(step.before.height, step)]
    if step.before.width != step.before.height:
        found.append(formula(step.before.width, step))
    return "\n".join(found)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part and whole else ""


def explained(architecture: Architecture) -> dict[str, Any]:
    """Return the same as `explain` for `--json`."""
    return {
        "architecture": str(architecture),
        "steps": [
            step._asdict()
            | {"formula": _formulas(step).split("\n") if step.is_filter else None}
            | {"before": list(step.before), "after": list(step.after)}
            for step in architecture.steps
        ],
        "parameters": architecture.parameters,
        "macs": architecture.macs,
        "activation_bytes": architecture.activation_bytes,
    }


def checked(space: SearchSpace, seed: int = 0) -> dict[str, Any]:
    """Return what `check` shows, for `--json`: sizes, the spread among random candidates, examples."""
    source = random.Random(seed)
    candidates = [space.candidate(space.draw(source)) for _ in range(SAMPLE)]
    kept = [c.architecture for c in candidates if space.excess(c) is None]
    limited = bool(space.definition.limits.model_dump(exclude_none=True))
    figures: dict[str, list[float]] = {
        "parameters": [a.parameters for a in kept],
        "macs": [a.macs for a in kept],
        "activation_mb": [a.activation_bytes / 1e6 for a in kept],
    }
    return {
        "input": list(space.input),
        "dimensions": len(space.dimensions),
        "continuous": space.continuous,
        "architectures": space.architectures,
        # With limits the count is of what fits the input; some of it is over a limit.
        "architectures_are": "at most" if limited else "exactly",
        "recipes": space.recipes,
        "within_limits": len(kept) / SAMPLE,
        "spread": {name: _spread(values) for name, values in figures.items()} if kept else {},
        "examples": [str(a) for a in kept[:EXAMPLES]],
        "_drawn": kept[:EXAMPLES],
    }


def _spread(values: list[float]) -> dict[str, float]:
    tenths = statistics.quantiles(values, n=20) if len(values) > 1 else values * 19
    return {
        "least": min(values),
        "5 %": tenths[0],
        "median": tenths[9],
        "95 %": tenths[18],
        "most": max(values),
    }


def check(found: dict[str, Any], width: int) -> RenderableType:
    """Return what `checked` found as text, a table and three drawings."""
    bound = "exactly" if found["architectures_are"] == "exactly" else "at most"
    lines = [
        f"sound: it can be built on {'x'.join(map(str, found['input']))}",
        f"{found['dimensions']} dimensions; {bound} {_count(found['architectures'])} architectures"
        + (" (before the limits)" if bound == "at most" else "")
        + f" with {_count(found['recipes'])} recipe{'s' if found['recipes'] > 1 else ''} each",
    ]
    if found["continuous"]:
        lines.append(f"continuous, counted as one value: {', '.join(found['continuous'])}")
    lines.append(f"{found['within_limits']:.0%} of {SAMPLE:,} random candidates keep the limits")
    table = Table(title="spread among those", title_justify="left")
    table.add_column("")
    for column in ("least", "5 %", "median", "95 %", "most"):
        table.add_column(column, justify="right")
    for name, spread in found["spread"].items():
        table.add_row(name, *(f"{v:,.3f}" if name == "activation_mb" else f"{v:,.0f}" for v in spread.values()))
    drawings = [Text(f"\n{a}\n{draw_text(a, width)}") for a in found["_drawn"]]
    return Group(Text("\n".join(lines)), table, *drawings)


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**9 else f"{number:.2e}"
