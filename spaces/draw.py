"""An architecture drawn as the volumes that flow through it, for a terminal (`draw_text`) and as SVG (`draw_svg`).

Both draw the same stages: the input, what each filter and pool makes of it, and the vectors of the head. The figures
come from `Architecture.steps`; nothing is computed here but places on the page.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .architecture import Architecture
from .arithmetic import Padding, Step, Volume
from .svg import BLUE, GREEN, GREY, INK, ORANGE, PALE_INK, PURPLE, SIZE, Picture, text_width

# ---------------------------------------------------------------------- what is drawn


class Stage(NamedTuple):
    """One volume, and the operation that made it.

    `role` is input, conv, mix (a 1 x 1 convolution behind another), pool, head or dense. `step` is None for the input.
    `notes` is what happens to each value afterwards, in order: normalisation, activation, dropout.
    """

    role: str
    volume: Volume
    step: Step | None = None
    notes: tuple[str, ...] = ()

    @property
    def vector(self) -> bool:
        """Whether the stage belongs to the head, where nothing is left of height and width."""
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


def _noted(stage: Stage, note: str) -> Stage:
    return stage._replace(notes=(*stage.notes, note))


# ---------------------------------------------------------------------- for a terminal

LEAST_WIDTH = 40
WIDEST_BLOCK = 16
BETWEEN_LABELS = 2
_SHORT = {"average": "avg", "global_average": "global avg", "global_max": "global max"}


class _Block(NamedTuple):
    """A stage as characters: the block, its label, and the words over and under the arrow that leads to it."""

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
    rows = round(math.log2(math.sqrt(volume.height * volume.width))) + 1
    columns = min(round(math.log2(volume.depth)) + 1, WIDEST_BLOCK)
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


# ---------------------------------------------------------------------- as SVG

MARGIN = 24.0
SMALL = 11.0
SIDE_SCALE, LONGEST_SIDE = 24.0, 150.0  # pixels for a side of 1, and at most for the longest side
DEPTH_SCALE, LONGEST_DEPTH = 5.0, 130.0
BAR_SCALE, LONGEST_BAR, BAR_WIDTH = 12.0, 150.0, 9.0
ARROW_SPACE, LINE, LABEL_DROP = 9.0, 15.0, 18.0
LEAST = 3.0  # pixels, so that nothing vanishes
BEHIND = (0.42, 0.34)  # how far right and up a width of one pixel goes in the oblique projection
_COLOURS = {"input": GREY, "conv": BLUE, "mix": GREEN, "pool": ORANGE, "head": PURPLE, "dense": PURPLE}


class _Scale(NamedTuple):
    """Pixels for the square roots of sides, depths and lengths of vectors."""

    side: float
    depth: float
    bar: float

    def box(self, stage: Stage) -> tuple[float, float, float, float]:
        """Return width and height of a stage's front, and how far right and up its back is."""
        volume = stage.volume
        if stage.vector:
            return BAR_WIDTH, max(LEAST, self.bar * math.sqrt(volume.depth)), 5.0, 4.0
        width = max(LEAST, self.side * math.sqrt(volume.width))
        height = max(LEAST, self.side * math.sqrt(volume.height))
        depth = max(LEAST, self.depth * math.sqrt(volume.depth))
        return depth, height, BEHIND[0] * width, BEHIND[1] * width


class _Cell(NamedTuple):
    """A stage on the page: its box, the width of its column, and the words of the arrow that leads to it."""

    stage: Stage
    box: tuple[float, float, float, float]
    label: str
    over: list[str]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole box."""
        width, height, right, up = self.box
        return width + right, height + up

    @property
    def width(self) -> float:
        """The width that box and label need."""
        return max(self.size[0], text_width(self.label, SIZE, bold=True))

    @property
    def arrow(self) -> float:
        """The width that the arrow and its words need."""
        if self.stage.step is None:
            return 0
        words = [text_width(self.over[0], SIZE, bold=True)]
        words += [text_width(line, SMALL) for line in (*self.over[1:], *self.stage.notes)]
        return max(words) + 2 * ARROW_SPACE


def draw_svg(architecture: Architecture) -> str:
    """Return the architecture as the text of an SVG file: volumes as boxes, vectors as bars, operations between them.

    A box is as high as the volume, as deep into the page as the volume is wide, and as wide as the volume is deep in
    channels, each on a square-root scale that the caption names. The picture grows to the right with the layers.
    """
    found = stages(architecture)
    scale = _scale(found)
    cells = [_Cell(stage, scale.box(stage), _label(stage), _operation(stage)) for stage in found]
    caption = (
        f"{architecture.parameters:,} parameters, {architecture.macs:,} multiply-accumulates and "
        f"{architecture.activation_bytes / 1e6:.3g} MB of activations for one image."
    )
    scales = "Square-root scales: one for height and width, one for depth, one for the vectors (bars) of the head."
    title = str(architecture)
    width = 2 * MARGIN + sum(cell.arrow + cell.width for cell in cells)
    needed = [text_width(title, SIZE + 2, bold=True), text_width(caption, SMALL), text_width(scales, SMALL)]
    indent = max(0.0, max(needed) + 2 * MARGIN - width) / 2
    half = max(max(cell.size[1] / 2, _words_height(cell)) for cell in cells)
    middle = MARGIN + 40 + half
    page = Picture(
        width + 2 * indent,
        middle + half + 100,
        f"Convolutional network {title}",
        "; ".join(_told(cell) for cell in cells),
    )
    page.text(MARGIN, MARGIN + 14, title, SIZE + 2, anchor="start", bold=True)
    x, end, before = MARGIN + indent, 0.0, cells[0]
    for cell in cells:
        begin = x + cell.arrow + (cell.width - cell.size[0]) / 2
        if cell.stage.step is not None:
            page.arrow((end + 5, middle), (begin - 5, middle), PALE_INK)
            _words(page, cell, _words_place(before, cell, (end + begin) / 2, x + cell.arrow / 2), middle)
        _volume(page, cell, begin, middle)
        x += cell.arrow + cell.width
        end, before = begin + cell.size[0], cell
    page.text(MARGIN, page.height - MARGIN - 18, caption, SMALL, PALE_INK, "start")
    page.text(MARGIN, page.height - MARGIN, scales, SMALL, PALE_INK, "start")
    return page.svg()


def _scale(found: list[Stage]) -> _Scale:
    volumes = [stage.volume for stage in found if not stage.vector]
    vectors = [stage.volume for stage in found if stage.vector]
    return _Scale(
        min(SIDE_SCALE, LONGEST_SIDE / math.sqrt(max(max(v.height, v.width) for v in volumes))),
        min(DEPTH_SCALE, LONGEST_DEPTH / math.sqrt(max(v.depth for v in volumes))),
        min(BAR_SCALE, LONGEST_BAR / math.sqrt(max(v.depth for v in vectors))),
    )


def _label(stage: Stage) -> str:
    return str(stage.volume.depth) if stage.vector else " × ".join(map(str, stage.volume))


def _operation(stage: Stage) -> list[str]:
    """Return the words over an arrow: the operation first, its stride and padding after it."""
    step = stage.step
    if step is None:
        return []
    if not step.is_filter:
        return ["dense"] if stage.role == "dense" else step.name.split("_")
    name = f"{step.kind} {step.kernel_size} × {step.kernel_size}"
    if stage.role != "conv":
        return [name, f"S = {step.stride}"]
    padding = f"P = {step.padding}" if isinstance(step.padding, int) else f"P {step.padding}"
    return [name, f"S = {step.stride}, {padding}"]


def _told(cell: _Cell) -> str:
    """Return a stage in words, for the description."""
    if cell.stage.step is None:
        return f"input {cell.label}"
    return f"{', '.join([' '.join(cell.over), *cell.stage.notes])}: {cell.label}"


def _words_height(cell: _Cell) -> float:
    return LINE * max(len(cell.over), len(cell.stage.notes)) + 4


def _words_place(before: _Cell, cell: _Cell, arrow: float, gap: float) -> float:
    """Return where words stand: at the middle of the arrow, or of the gap between labels that they would run into."""
    lowest = 16 + LINE * (len(cell.stage.notes) - 1) + 3
    highest_label = min(before.size[1], cell.size[1]) / 2 + LABEL_DROP - SIZE
    return arrow if lowest < highest_label else gap


def _words(page: Picture, cell: _Cell, x: float, middle: float) -> None:
    """Write what stands over and under an arrow."""
    for i, line in enumerate(reversed(cell.over)):
        first = i == len(cell.over) - 1 or cell.stage.vector
        page.text(x, middle - 7 - LINE * i, line, SIZE if first else SMALL, INK if first else PALE_INK, bold=first)
    for i, line in enumerate(cell.stage.notes):
        page.text(x, middle + 16 + LINE * i, line, SMALL, PALE_INK)


def _volume(page: Picture, cell: _Cell, x: float, middle: float) -> None:
    """Draw a stage's box with its label beneath."""
    width, height, right, up = cell.box
    top = middle - (height + up) / 2
    page.box(x, top + up, width, height, (right, up), _COLOURS[cell.stage.role])
    centre, below = x + cell.size[0] / 2, top + up + height
    page.text(centre, below + LABEL_DROP, cell.label, bold=True)
