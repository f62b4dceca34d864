"""`convsearch explain`: an architecture layer by layer, for a terminal."""

from typing import Any

from rich.console import RenderableType
from rich.table import Table

from ...spaces.architecture import Architecture
from ...spaces.arithmetic import Step, doubled_padding


def formula(size: int, step: Step) -> str:
    """Return O = (W - K + 2P) / S + 1 with a step's numbers, for one side of its volume.

    >>> from convsearch.spaces.arithmetic import Step, Volume
    >>> formula(32, Step("conv1", "conv", Volume(32, 32, 3), Volume(16, 16, 8), 3, 2, 1))
    '(32 - 3 + 2) / 2 + 1 = 16'
    """
    zeros = doubled_padding(step.kernel_size, step.padding)
    reach = size - step.kernel_size + zeros
    # The remainder counts pixels at the edge that no filter reads.
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
