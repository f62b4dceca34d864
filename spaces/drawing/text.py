"""An architecture drawn as the volumes that flow through it: its `stages`, which of them differ, and `draw_text`.

The stages are the input, the output of each filter and pool, and the vectors of the head; `picture.py` draws the same
stages. All figures come from `Architecture.steps`; only positions are computed here.
"""

import math
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import NamedTuple

from ..architecture import Architecture
from ..arithmetic import Padding, Step, Volume

# ---------------------------------------------------------------------- what is drawn


class Stage(NamedTuple):
    """One volume, and the operation that made it.

    `role` is input, conv, mix (a 1 x 1 convolution behind another), pool, head or dense. `step` is None for the input.
    `notes` are the elementwise operations that follow, in order: normalisation, activation, dropout.
    """

    role: str
    volume: Volume
    step: Step | None = None
    notes: tuple[str, ...] = ()

    @property
    def vector(self) -> bool:
        """Whether the stage belongs to the head, where height and width are 1."""
        return self.role in ("head", "dense")


def stages(architecture: Architecture) -> list[Stage]:
    """Return the volumes of an architecture in order, from the input to the classes."""
    found = [Stage("input", architecture.input)]
    rates = [layer.dropout for layer in architecture.layers if layer.dropout]
    rates += [architecture.head.dropout] * (len(architecture.head.units) + 1)
    for step in architecture.steps:
        if step.kind == "batch_norm":
            found[-1] = _noted(found[-1], "batch norm")
        elif step.kind == "activation":
            found[-1] = _noted(found[-1], step.name.partition("_")[2])
        elif step.kind == "dropout":
            found[-1] = _noted(found[-1], f"dropout {rates.pop(0):g}")
        elif step.kind == "conv":
            found.append(Stage("mix" if step.name.startswith("mix") else "conv", step.after, step))
        else:
            role = step.kind if step.kind in ("head", "dense") else "pool"
            found.append(Stage(role, step.after, step))
    found[-1] = _noted(found[-1], "softmax")
    return found


def differing(architectures: Sequence[Architecture]) -> list[frozenset[int]]:
    """Return, for each of several architectures, which of its stages some other one lacks.

    Stages are compared by their operation, with its filters and notes, whatever the volume. They are aligned so that
    as many as possible match (Ratcliff and Metzener, Pattern matching, Dr. Dobb's, 1988).
    """
    operations = [[_operation(stage) for stage in stages(architecture)] for architecture in architectures]
    lacking: list[set[int]] = [set() for _ in operations]
    # Each pair once, for both: in the other direction the alignment may differ.
    for (i, one), (j, other) in combinations(enumerate(operations), 2):
        shared = SequenceMatcher(a=one, b=other, autojunk=False).get_matching_blocks()
        lacking[i] |= set(range(len(one))) - {block.a + place for block in shared for place in range(block.size)}
        lacking[j] |= set(range(len(other))) - {block.b + place for block in shared for place in range(block.size)}
    return [frozenset(places) for places in lacking]


def _operation(stage: Stage) -> tuple[object, ...]:
    step = stage.step
    if step is None:
        return stage.role, stage.volume
    wide = None if stage.role in ("pool", "head") else step.after.depth
    return stage.role, step.kind, step.kernel_size, step.stride, step.padding, wide, stage.notes


def _noted(stage: Stage, note: str) -> Stage:
    return stage._replace(notes=(*stage.notes, note))


# ---------------------------------------------------------------------- for a terminal

LEAST_WIDTH = 40
WIDEST_BLOCK = 16
BETWEEN_LABELS = 2
_SHORT = {"average": "avg", "global_average": "global avg", "global_max": "global max"}


class _Block(NamedTuple):
    """A stage as characters: the block, its label, and the text over and under the arrow that leads to it."""

    rows: int
    columns: int
    label: str
    over: list[str]
    under: list[str]

    @property
    def arrow(self) -> int:
        """The number of columns that the arrow and its words need."""
        return max(map(len, [*self.over, *self.under, "-->"])) if self.over else 0


def draw_text(architecture: Architecture, width: int = 100) -> str:
    """Return the volumes as blocks of characters, at most `width` columns wide (40 or more), without colours.

    A block is one row lower where the side is half as long, and one column wider where the depth is twice as large.
    The side of a volume that is not square is that of a square with the same area. Over each arrow stands the filter
    or pool with its stride and padding, under it what is applied to each value.
    """
    strips: list[list[_Block]] = [[]]
    for stage in stages(architecture):
        block = _block(stage)
        if strips[-1] and _places([*strips[-1], block])[1] > max(width, LEAST_WIDTH):
            strips.append([])
        strips[-1].append(block)
    return "\n\n".join(_strip(strip) for strip in strips)


def _block(stage: Stage) -> _Block:
    volume, step = stage.volume, stage.step
    # An architecture from a file may have a volume without pixels; it is drawn as small as one pixel.
    rows = round(math.log2(max(volume.height * volume.width, 1)) / 2) + 1
    columns = min(round(math.log2(max(volume.depth, 1))) + 1, WIDEST_BLOCK)
    label = str(volume.depth) if stage.vector else str(volume)
    if step is None:
        return _Block(rows, columns, label, [], [])
    if step.is_filter:
        name = f"{_SHORT.get(step.kind, step.kind)} {step.kernel_size}x{step.kernel_size}"
        over = [name + (f" /{step.stride}" if step.stride > 1 else "")]
        if stage.role == "conv":
            over.append(_padding(step.padding))
    else:
        over = _SHORT.get(step.name, step.name if stage.role == "head" else "dense").split()
    return _Block(rows, columns, label, over, list(stage.notes))


def _padding(padding: Padding) -> str:
    return f"pad {padding}" if isinstance(padding, int) else padding


def _places(strip: Sequence[_Block]) -> tuple[list[int], int]:
    """Return the column at which each block of a strip begins, and the width of the whole."""
    places: list[int] = []
    for i, block in enumerate(strip):
        overhang = -_label_place(0, block)
        if i == 0:
            places.append(max(block.arrow + 1 if block.over else 0, overhang))
            continue
        before, place = strip[i - 1], places[-1]
        label_end = _label_place(place, before) + len(before.label)
        places.append(max(place + before.columns + block.arrow + 2, label_end + BETWEEN_LABELS + overhang))
    last = strip[-1]
    return places, max(places[-1] + last.columns, _label_place(places[-1], last) + len(last.label))


def _label_place(place: int, block: _Block) -> int:
    """Return where a label begins that is centred under its block."""
    return place + (block.columns - len(block.label)) // 2


def _strip(strip: Sequence[_Block]) -> str:
    """Return the lines of one strip, without spaces at their ends."""
    places, width = _places(strip)
    up = max(max(block.rows // 2, len(block.over)) for block in strip)
    down = max(max(block.rows // 2, len(block.under)) for block in strip)
    page = [[" "] * width for _ in range(up + 1 + down + 1)]

    def write(row: int, column: int, text: str) -> None:
        page[row][column : column + len(text)] = text

    end = 0
    for place, block in zip(places, strip, strict=True):
        half = block.rows // 2
        for row in range(up - half, up + half + 1):
            write(row, place, "█" * block.columns)
        if block.rows % 2 == 0:  # the rows at both ends are half as high
            write(up - half, place, "▄" * block.columns)
            write(up + half, place, "▀" * block.columns)
        write(len(page) - 1, _label_place(place, block), block.label)
        if block.over:
            start = end + 1 if end else 0
            room = place - 1 - start
            write(up, start, "─" * (room - 1) + "▶")
            for i, words in enumerate(block.over):
                write(up - len(block.over) + i, start, words.center(room).rstrip())
            for i, words in enumerate(block.under):
                write(up + 1 + i, start, words.center(room).rstrip())
        end = place + block.columns
    return "\n".join("".join(line).rstrip() for line in page)
