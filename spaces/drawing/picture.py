"""An architecture drawn as SVG: volumes as boxes, vectors as bars, and between them the operations that make them."""

import math
from collections.abc import Collection
from typing import NamedTuple

from ..architecture import Architecture
from .svg import BLUE, GREEN, GREY, INK, ORANGE, PALE_INK, PURPLE, SIZE, Picture, text_width
from .text import Stage, stages

MARGIN = 24.0
SMALL = 11.0
SIDE_SCALE, LONGEST_SIDE = 24.0, 150.0  # pixels for a side of 1, and at most for the longest side
DEPTH_SCALE, LONGEST_DEPTH = 5.0, 130.0
BAR_SCALE, LONGEST_BAR, BAR_WIDTH = 12.0, 150.0, 9.0
ARROW_SPACE, LINE, LABEL_DROP = 9.0, 15.0, 18.0
MIN_SIZE = 3.0  # pixels, so that nothing vanishes
BEHIND = (0.42, 0.34)  # how far right and up a width of one pixel goes in the oblique projection
MARK = "#fef3c7"
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
            return BAR_WIDTH, max(MIN_SIZE, self.bar * math.sqrt(volume.depth)), 5.0, 4.0
        width = max(MIN_SIZE, self.side * math.sqrt(volume.width))
        height = max(MIN_SIZE, self.side * math.sqrt(volume.height))
        depth = max(MIN_SIZE, self.depth * math.sqrt(volume.depth))
        return depth, height, BEHIND[0] * width, BEHIND[1] * width


class _Cell(NamedTuple):
    """A stage on the page: its box, the width of its column, and the labels of the arrow that leads to it."""

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
    """Return the architecture as the text of an SVG file; see `picture`."""
    return picture(architecture).svg()


def picture(architecture: Architecture, marked: Collection[int] = ()) -> Picture:
    """Return the architecture as a picture: volumes as boxes, vectors as bars, operations between them.

    A box is as high as the volume, as deep into the page as the volume is wide, and as wide as the volume is deep in
    channels, each on a square-root scale that the caption names. The picture grows to the right with the layers.

    Args:
        architecture: what is drawn.
        marked: the stages to highlight, counted from the input.
    """
    found = stages(architecture)
    scale = _scale(found)
    cells = [_Cell(stage, scale.box(stage), _label(stage), _operation(stage)) for stage in found]
    caption = (
        f"{architecture.parameters:,} parameters, {architecture.macs:,} multiply-accumulates and "
        f"{_memory(architecture.activation_bytes)} of activations for one image."
    )
    scales = (
        "Height × width × depth, on square-root scales: one for height and width, one for depth, "
        "one for the vectors (bars) of the head."
    )
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
        "; ".join(_description(cell) for cell in cells),
    )
    page.text(MARGIN, MARGIN + 14, title, SIZE + 2, anchor="start", bold=True)
    x, end, before = MARGIN + indent, 0.0, cells[0]
    for place, cell in enumerate(cells):
        if place in marked:
            over, under = 22 + LINE * len(cell.over), 22 + LINE * max(1, len(cell.stage.notes))
            up, down = max(cell.size[1] / 2 + 8, over), max(cell.size[1] / 2 + LABEL_DROP + 8, under)
            page.rect(x, middle - up, cell.arrow + cell.width, up + down, MARK, radius=6)
        begin = x + cell.arrow + (cell.width - cell.size[0]) / 2
        if cell.stage.step is not None:
            page.arrow((end + 5, middle), (begin - 5, middle), PALE_INK)
            _words(page, cell, _words_place(before, cell, (end + begin) / 2, x + cell.arrow / 2), middle)
        _volume(page, cell, begin, middle)
        x += cell.arrow + cell.width
        end, before = begin + cell.size[0], cell
    page.text(MARGIN, page.height - MARGIN - 18, caption, SMALL, PALE_INK, "start")
    page.text(MARGIN, page.height - MARGIN, scales, SMALL, PALE_INK, "start")
    return page


def _scale(found: list[Stage]) -> _Scale:
    volumes = [stage.volume for stage in found if not stage.vector]
    vectors = [stage.volume for stage in found if stage.vector]
    return _Scale(
        min(SIDE_SCALE, LONGEST_SIDE / math.sqrt(max(max(v.height, v.width) for v in volumes))),
        min(DEPTH_SCALE, LONGEST_DEPTH / math.sqrt(max(v.depth for v in volumes))),
        min(BAR_SCALE, LONGEST_BAR / math.sqrt(max(v.depth for v in vectors))),
    )


def _memory(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 1e6 else f"{size / 1e3:.3g} kB"


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


def _description(cell: _Cell) -> str:
    """Return a stage in words, for the description of the SVG."""
    if cell.stage.step is None:
        return f"input {cell.label}"
    return f"{', '.join([' '.join(cell.over), *cell.stage.notes])}: {cell.label}"


def _words_height(cell: _Cell) -> float:
    return LINE * max(len(cell.over), len(cell.stage.notes)) + 4


def _words_place(before: _Cell, cell: _Cell, arrow: float, gap: float) -> float:
    """Return where to centre the text: on the arrow, or on the gap between labels that it would overlap."""
    lowest = 16 + LINE * (len(cell.stage.notes) - 1) + 3
    highest_label = min(before.size[1], cell.size[1]) / 2 + LABEL_DROP - SIZE
    return arrow if lowest < highest_label else gap


def _words(page: Picture, cell: _Cell, x: float, middle: float) -> None:
    """Write the text over and under an arrow."""
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
