"""Draws the pictures of docs/arithmetic.md: `python docs/pictures.py` writes them, the same on every machine.

Each picture is a function that returns SVG, listed by its file's name in `PICTURES`. Every number in them is computed,
wherever possible by the functions of `convsearch.spaces.arithmetic`.
"""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from convsearch.spaces.architecture import Architecture, Head, Layer
from convsearch.spaces.arithmetic import Padding, Volume, output_size, receptive_field
from convsearch.spaces.drawing.picture import draw_svg
from convsearch.spaces.drawing.svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE_INK,
    PURPLE,
    RED,
    Colour,
    Picture,
    text_width,
)

CELL = 32.0
MARGIN = 28.0
SMALL = 12.0
Grid = list[list[float]]

# The network that docs/arithmetic.md works through by hand.
EXAMPLE = Architecture(
    input=Volume(32, 32, 3),
    layers=(
        Layer(filters=16, kernel_size=5, padding=2, pooling="max", pool_size=2, pool_stride=2),
        Layer(
            filters=32,
            kernel_size=3,
            padding="valid",
            batch_norm=True,
            pooling="average",
            pool_size=2,
            pool_stride=2,
        ),
        Layer(filters=64, kernel_size=3, stride=2, padding="same", one_by_one=16),
    ),
    head=Head(pooling="global_average"),
    classes=10,
)


def number(value: float) -> str:
    """Return a number as a reader writes it: a true minus sign, no needless decimals.

    >>> number(-3.0), number(1.75)
    ('−3', '1.75')
    """
    return f"{value:g}".replace("-", "−")


# ---------------------------------------------------------------------- parts of pictures


def heading(page: Picture, words: str, more: str = "", y: float = MARGIN + 14) -> None:
    """Write a bold line and a plain one at the top, from the left margin."""
    page.text(MARGIN, y, words, 16, anchor="start", bold=True)
    page.text(MARGIN, y + 20, more, SMALL, PALE_INK, "start")


def cells(page: Picture, x: float, y: float, values: Sequence[Sequence[str]], fill: str, edge: str) -> None:
    """Draw a grid of cells with words in them."""
    for row, words in enumerate(values):
        for column, word in enumerate(words):
            cell(page, x, y, row, column, fill, edge, word)


def cell(page: Picture, x: float, y: float, row: int, column: int, fill: str, edge: str, word: str = "") -> None:
    """Draw one cell of the grid whose upper left corner is (x, y)."""
    left, top = x + column * CELL, y + row * CELL
    page.rect(left, top, CELL, CELL, fill, edge)
    if word:
        page.text(left + CELL / 2, top + CELL / 2 + 5, word, bold=True)


def outline(
    page: Picture, x: float, y: float, row: int, column: int, size: int, stroke: str, dashed: bool = False
) -> None:
    """Draw a thick frame around size x size cells of a grid."""
    page.rect(x + column * CELL, y + row * CELL, size * CELL, size * CELL, "none", stroke, 3, dashed)


def bracket_below(page: Picture, x: float, y: float, length: float, words: str, stroke: str = INK) -> None:
    """Draw a measure under something, with words beneath it."""
    page.line((x + 1, y), (x + length - 1, y), stroke)
    page.line((x + 1, y - 4), (x + 1, y + 4), stroke)
    page.line((x + length - 1, y - 4), (x + length - 1, y + 4), stroke)
    page.text(x + length / 2, y + 17, words, SMALL, stroke)


def bracket_left(page: Picture, x: float, y: float, length: float, words: str, stroke: str = INK) -> None:
    """Draw a measure to the left of something, with words before it."""
    page.line((x, y + 1), (x, y + length - 1), stroke)
    page.line((x - 4, y + 1), (x + 4, y + 1), stroke)
    page.line((x - 4, y + length - 1), (x + 4, y + length - 1), stroke)
    page.text(x - 9, y + length / 2 + 4, words, SMALL, stroke, "end")


def conclusion(page: Picture, y: float, words: str) -> None:
    """Write the last line of a picture, under what ends at y, and end the page there."""
    page.text(MARGIN, y + 20, words, 14, anchor="start", bold=True)
    page.height = y + 20 + MARGIN


# ---------------------------------------------------------------------- one filter at one place


def one_filter() -> str:
    """A 3 x 3 filter for vertical edges on a 5 x 5 image, with all numbers."""
    image: Grid = [[0, 0, 0, 9, 9] for _ in range(5)]
    weights: Grid = [[-1, 0, 1] for _ in range(3)]
    size, side = 3, output_size(5, 3)
    answer = [
        [sum(weights[i][j] * image[r + i][c + j] for i in range(size) for j in range(size)) for c in range(side)]
        for r in range(side)
    ]
    page = Picture(
        800,
        330,
        "One filter at one position",
        "A 3 x 3 filter of the weights -1, 0, 1 on a 5 x 5 image; the products of weights and pixels add up to 27.",
    )
    heading(page, "One filter at one position", "Nine products of weight and pixel add up to one number of the output.")
    top = 82.0
    middle = top + 2.5 * CELL
    places = (MARGIN + 20, MARGIN + 20 + 5 * CELL + 70, MARGIN + 20 + 8 * CELL + 180)
    for x, values, colour, words in (
        (places[0], image, GREY, "image, 5 × 5"),
        (places[1], weights, ORANGE, "filter, 3 × 3"),
        (places[2], answer, BLUE, "output, 3 × 3"),
    ):
        y = middle - len(values) * CELL / 2
        cells(page, x, y, [[number(v) for v in row] for row in values], colour.top, colour.edge)
        page.text(x + len(values) * CELL / 2, middle + 2.5 * CELL + 20, words, SMALL, PALE_INK)
    outline(page, places[0], top, 0, 1, size, ORANGE.edge)
    outline(page, places[2], middle - 1.5 * CELL, 0, 1, 1, ORANGE.edge)
    page.text(places[1] - 35, middle + 6, "×", 22)
    page.arrow((places[1] + 3 * CELL + 16, middle), (places[2] - 16, middle), PALE_INK)
    rows = [
        " ".join(f"{'+' if w >= 0 and j else ''} {number(w)}·{number(p)}".strip() for j, (w, p) in enumerate(pairs))
        for pairs in (list(zip(weights[i], image[i][1:4], strict=True)) for i in range(size))
    ]
    page.text(MARGIN + 20, 302, f"({')  +  ('.join(rows)})  =  {number(answer[0][1])}", anchor="start")
    x = places[2] + 3 * CELL + 24
    for i, words in enumerate(
        ("0 where the image is", "flat, 27 where dark", "turns to light: this", "filter finds edges.")
    ):
        page.text(x, middle - 20 + 17 * i, words, SMALL, PALE_INK, "start")
    return page.svg()


# ---------------------------------------------------------------------- a filter that slides


def zeros(side: int, size: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return the zeros before and behind an axis, as Keras adds them."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        whole = max((output_size(side, size, stride, "same") - 1) * stride + size - side, 0)
        return whole // 2, whole - whole // 2
    return padding, padding


def formula(side: int, size: int, stride: int, padding: int) -> str:
    """Return the formula with its numbers, and the rounding where there is a remainder."""
    reach = side - size + 2 * padding
    text = f"O = (W − K + 2P) / S + 1 = ({side} − {size} + 2·{padding}) / {stride} + 1 = "
    exact = reach / stride + 1
    whole = output_size(side, size, stride, padding)
    return text + (number(exact) if exact == whole else f"{number(exact)}, rounded down: {whole}")


def slide(page: Picture, x: float, y: float, side: int, size: int, stride: int, padding: Padding) -> float:
    """Draw input, positions and output of a sliding filter, and return the y below them."""
    before, after = zeros(side, size, stride, padding)
    padded, places = before + side + after, output_size(side, size, stride, padding)
    x += 56
    read = (places - 1) * stride + size
    for row in range(padded):
        for column in range(padded):
            inside = all(before <= at < before + side for at in (row, column))
            unread = row >= read or column >= read
            if not inside:
                left, top = x + column * CELL, y + row * CELL
                page.rect(left, top, CELL, CELL, "none", GREY.side, dashed=True)
                page.text(left + CELL / 2, top + CELL / 2 + 4, "0", SMALL, PALE_INK)
            else:
                cell(page, x, y, row, column, RED.top if unread else GREY.top, RED.edge if unread else GREY.edge)
                if unread:
                    left, top = x + column * CELL, y + row * CELL
                    page.line((left + 9, top + 9), (left + CELL - 9, top + CELL - 9), RED.edge, 1.5)
                    page.line((left + 9, top + CELL - 9), (left + CELL - 9, top + 9), RED.edge, 1.5)
    out_x, out_y = x + padded * CELL + 100, y + (padded - places) * CELL / 2
    for place in range(places * places):
        row, column = divmod(place, places)
        centre = (x + (column * stride + size / 2) * CELL, y + (row * stride + size / 2) * CELL)
        page.text(centre[0], centre[1] + 5, str(place + 1), bold=True)
        cell(page, out_x, out_y, row, column, BLUE.top, BLUE.edge, str(place + 1))
    outline(page, x, y, 0, 0, size, BLUE.edge)
    outline(page, out_x, out_y, 0, 0, 1, BLUE.edge)
    if places > 1:
        outline(page, x, y, 0, stride, size, ORANGE.edge, dashed=True)
        outline(page, out_x, out_y, 0, 1, 1, ORANGE.edge, dashed=True)
        page.arrow((x, y - 14), (x + stride * CELL, y - 14), ORANGE.edge)
        page.text(x + stride * CELL + 8, y - 10, f"S = {stride}", SMALL, ORANGE.edge, "start")
    bracket_left(page, x - 12, y, size * CELL, f"K = {size}", BLUE.edge)
    bottom = y + padded * CELL + 12
    bracket_below(page, x + before * CELL, bottom, side * CELL, f"W = {side}")
    if before:
        bracket_below(page, x, bottom, before * CELL, f"P = {before}", PALE_INK)
    if after:
        words = f"P = {after}" if after == before else f"{after} more"
        bracket_below(page, x + (before + side) * CELL, bottom, after * CELL, words, PALE_INK)
    bracket_below(page, out_x, out_y + places * CELL + 12, places * CELL, f"O = {places}", BLUE.edge)
    middle = y + padded * CELL / 2
    page.arrow((x + padded * CELL + 24, middle), (out_x - 24, middle), PALE_INK)
    return bottom + 30


def sliding_exact() -> str:
    """A filter that covers its padded input exactly."""
    page = Picture(
        640,
        0,
        "A filter that fits exactly",
        "A 3 x 3 filter on a 5 x 5 input with padding 1 and stride 2 stands at 3 x 3 places and reads every pixel.",
    )
    heading(
        page,
        "It fits exactly: K = 3, P = 1, S = 2 on a 5 × 5 input",
        "Each number marks a position of the filter's centre.",
    )
    y = slide(page, MARGIN, 104, 5, 3, 2, 1)
    conclusion(page, y, formula(5, 3, 2, 1))
    return page.svg()


def sliding_remainder() -> str:
    """A filter that leaves a row and a column unread."""
    page = Picture(
        640,
        0,
        "A filter that leaves a remainder",
        "A 3 x 3 filter on a 6 x 6 input without padding at stride 2 stands at 2 x 2 places; the last row and column "
        "are never read.",
    )
    heading(
        page,
        "A remainder: K = 3, P = 0, S = 2 on a 6 × 6 input",
        "A third step would leave the input: pixels with a cross are never read.",
    )
    y = slide(page, MARGIN, 104, 6, 3, 2, "valid")
    conclusion(page, y, formula(6, 3, 2, 0))
    return page.svg()


def sliding_same() -> str:
    """Same padding at strides 1 and 2."""
    page = Picture(
        640,
        0,
        "Same padding",
        "With same padding a 3 x 3 filter at stride 1 turns 5 x 5 into 5 x 5; at stride 2 it turns 6 x 6 into 3 x 3, "
        "with zeros on the right and at the bottom only.",
    )
    heading(
        page,
        "Same padding at stride 1: the output is as large as the input",
        "Every pixel is the centre of the filter once. P = (K − 1) / 2 = 1.",
    )
    y = slide(page, MARGIN, 104, 5, 3, 1, "same")
    conclusion(page, y, formula(5, 3, 1, 1))
    y += 62
    page.line((MARGIN, y - 18), (page.width - MARGIN, y - 18), GREY.top)
    heading(
        page,
        "Same padding at stride 2: W / S, rounded up",
        "Only as many zeros as needed are added, the odd one on the right and at the bottom.",
        y + 14,
    )
    y = slide(page, MARGIN, y + 76, 6, 3, 2, "same")
    conclusion(page, y, f"O = W / S, rounded up = 6 / 2 = {output_size(6, 3, 2, 'same')}")
    return page.svg()


# ---------------------------------------------------------------------- what a value sees


def fields() -> str:
    """The receptive field over three layers, in cross-section."""
    kernel, strides, colours = 3, (1, 2, 1), (BLUE, GREEN, PURPLE)
    field, jump, tale, seen, jumps = 1, 1, [], [], [1]
    for i, stride in enumerate(strides):
        before, field = field, receptive_field(field, jump, kernel)
        tale.append(f"layer {i + 1}:  {before} + (3 − 1) · {jump} = {field}")
        jump *= stride
        seen.append(field)
        jumps.append(jump)
    page = Picture(
        860,
        470,
        "The receptive field over three layers",
        f"Through 3 x 3 filters with strides 1, 2 and 1 a value sees {', '.join(map(str, seen))} pixels of a side.",
    )
    heading(
        page,
        "What one value sees, through three layers of 3 × 3 filters",
        "In cross-section: each row is a line through a volume, the input at the bottom.",
    )
    centre, step, high = 330.0, 30.0, 24.0
    rows = [360.0 - 88 * level for level in range(4)]  # the top of each row, the input first

    def span(level: int, top: int) -> float:
        """Half the width, in pixels of the page, of what one value of layer `top` sees at `level`."""
        reach = jumps[level] / 2
        for layer in range(level, top):
            reach += jumps[layer] * (kernel - 1) / 2
        # Cells are drawn one input pixel wide, however far apart they stand.
        return (reach - jumps[level] / 2) * step + step / 2 - 2

    for top in (3, 2, 1):
        for level in range(top - 1, -1, -1):
            upper, lower = span(level + 1, top), span(level, top)
            page.polygon(
                [
                    (centre - upper, rows[level + 1] + high),
                    (centre + upper, rows[level + 1] + high),
                    (centre + lower, rows[level]),
                    (centre - lower, rows[level]),
                ],
                colours[top - 1].top,
            )
    for level, y in enumerate(rows):
        apart = jumps[level] * step
        for place in range(-int(6 * step // apart), int(6 * step // apart) + 1):
            x = centre + place * apart
            owner = next((top for top in range(max(level, 1), 4) if abs(x - centre) <= span(level, top)), None)
            colour = colours[owner - 1] if owner else None
            page.rect(
                x - step / 2 + 2,
                y,
                step - 4,
                high,
                colour.front if colour else "#ffffff",
                colour.edge if colour else GREY.side,
                radius=3,
            )
        words = f"layer {level}" if level else "input"
        page.text(MARGIN, y + 11, words, anchor="start", bold=True)
        if level:
            page.text(MARGIN, y + 27, f"3 × 3, S = {strides[level - 1]}", SMALL, PALE_INK, "start")
    for top, pixels in enumerate(seen, start=1):
        half = pixels * step / 2
        y = rows[0] + high + 12 + 20 * (top - 1)
        edge = colours[top - 1].edge
        page.line((centre - half + 2, y), (centre + half - 2, y), edge, 2)
        page.text(centre + half + 6, y + 4, f"{pixels}", SMALL, edge, "start", bold=True)
    x = centre + 6.5 * step + 40
    page.text(x, rows[3] + 11, "r + (K − 1) · j", 14, anchor="start", bold=True)
    page.text(x, rows[3] + 31, "r: the field of the layer before", SMALL, PALE_INK, "start")
    page.text(x, rows[3] + 48, "j: the product of all strides before", SMALL, PALE_INK, "start")
    for i, line in enumerate(tale):
        page.text(x, rows[3] + 82 + 24 * i, line, 14, colours[i].edge, "start", bold=True)
    for i, line in enumerate(
        (
            "A value in layer 1 sees the blue pixels,",
            "one in layer 2 the green ones too,",
            "one in layer 3 all coloured pixels.",
        )
    ):
        page.text(x, rows[3] + 168 + 17 * i, line, SMALL, PALE_INK, "start")
    return page.svg()


# ---------------------------------------------------------------------- pools


def pools() -> str:
    """Max, average and l2 pooling of the same numbers."""
    values: Grid = [[3, 4, 1, 1], [0, 0, 1, 1], [5, 1, 1, 2], [1, 3, 2, 4]]
    blocks = [[v for row in values[r : r + 2] for v in row[c : c + 2]] for r in (0, 2) for c in (0, 2)]
    kinds: dict[str, Callable[[list[float]], float]] = {
        "max": max,
        "average": lambda block: sum(block) / len(block),
        "l2": lambda block: math.sqrt(sum(v * v for v in block)),
    }
    colours = (BLUE, GREEN, ORANGE, PURPLE)
    page = Picture(
        800,
        326,
        "Max, average and l2 pooling",
        "Three pools of size 2 and stride 2 on the same 4 x 4 numbers. "
        + "; ".join(f"{name}: {', '.join(f'{kind(block):g}' for block in blocks)}" for name, kind in kinds.items()),
    )
    heading(
        page,
        "Three ways to pool: K = 2, S = 2",
        "A pool has no weights. It works on each channel separately and keeps the depth.",
    )
    x, y = MARGIN + 14, 112.0
    for row in range(4):
        for column in range(4):
            colour = colours[row // 2 * 2 + column // 2]
            cell(page, x, y, row, column, colour.top, colour.edge, number(values[row][column]))
    for i, colour in enumerate(colours):
        outline(page, x, y, i // 2 * 2, i % 2 * 2, 2, colour.edge)
    page.text(x + 2 * CELL, y + 4 * CELL + 22, "4 × 4", SMALL, PALE_INK)
    page.arrow((x + 4 * CELL + 16, y + 2 * CELL), (x + 4 * CELL + 62, y + 2 * CELL), PALE_INK)
    first = [number(v) for v in blocks[0]]
    how = {
        "max": ("the largest value", f"max({', '.join(first)}) = "),
        "average": ("the mean", f"({' + '.join(first)}) / 4 = "),
        "l2": ("root of the sum of squares", f"√({' + '.join(f'{v}²' for v in first)}) = "),
    }
    for i, (name, kind) in enumerate(kinds.items()):
        left, wide = x + 4 * CELL + 90 + i * 182, 1.5 * CELL
        top = y + 2 * CELL - CELL
        page.text(left + wide, top - 40, name, 15, bold=True)
        page.text(left + wide, top - 20, how[name][0], SMALL, PALE_INK)
        for j, colour in enumerate(colours):
            row, column = divmod(j, 2)
            page.rect(left + column * wide, top + row * CELL, wide, CELL, colour.front, colour.edge)
            page.text(left + (column + 0.5) * wide, top + (row + 0.5) * CELL + 5, number(kind(blocks[j])), bold=True)
        page.text(left + wide, top + 2 * CELL + 22, "2 × 2", SMALL, PALE_INK)
        words = how[name][1] + number(kind(blocks[0]))
        page.text(left + wide, y + 4 * CELL + 62, words, SMALL, BLUE.edge, bold=True)
    page.text(x, y + 4 * CELL + 62, "The blue four:", SMALL, BLUE.edge, "start", bold=True)
    return page.svg()


# ---------------------------------------------------------------------- 1 x 1 convolutions


def mixing() -> str:
    """A 1 x 1 convolution that makes two channels of three."""
    channels: list[Grid] = [
        [[2, 0, 1], [1, 0, 2], [0, 1, 1]],
        [[1, 1, 0], [0, 2, 1], [2, 0, 1]],
        [[0, 2, 1], [1, 0, 3], [1, 0, 2]],
    ]
    filters: list[tuple[list[float], Colour]] = [([1, 2, -1], BLUE), ([0, -1, 2], ORANGE)]
    grid, gap = 3 * CELL, 34.0
    page = Picture(
        760,
        0,
        "A 1 x 1 convolution mixes channels",
        "Each output channel is a weighted sum of the three input channels, pixel by pixel.",
    )
    heading(
        page,
        "A 1 × 1 convolution: from three channels to two",
        "Each filter has one weight per channel, the same at every pixel, and sees no neighbours.",
    )
    x, y = MARGIN + 20, 84.0
    tops = [y + i * (grid + gap) for i in range(3)]
    out_x = 590.0
    out_tops = [tops[0] + (grid + gap) * 0.5 + i * (grid + gap) for i in range(2)]
    for i, (weights, colour) in enumerate(filters):
        box_y = out_tops[i] + grid / 2
        terms = [(w, channels[c][1][2]) for c, w in enumerate(weights)]
        words = " + ".join(f"{number(w)}·{number(v)}" if w >= 0 else f"({number(w)})·{number(v)}" for w, v in terms)
        words += f" = {number(sum(w * v for w, v in terms))}"
        wide = text_width(words, 13, bold=True) + 16
        middle = 385.0
        for top in tops:
            start = (x + grid + 2, top + 1.5 * CELL)
            page.line(start, (middle - wide / 2, box_y), colour.edge, 1.5)
        page.rect(middle - wide / 2, box_y - 17, wide, 34, colour.top, colour.edge, radius=6)
        page.text(middle, box_y + 5, words, bold=True)
        page.text(
            middle,
            box_y - 26,
            f"filter {i + 1}: weights {', '.join(map(number, weights))}",
            SMALL,
            colour.edge,
            bold=True,
        )
        page.arrow((middle + wide / 2 + 4, box_y), (out_x - 4, box_y), colour.edge)
    for i, (top, channel) in enumerate(zip(tops, channels, strict=True)):
        cells(page, x, top, [[number(v) for v in row] for row in channel], GREY.top, GREY.edge)
        outline(page, x, top, 1, 2, 1, INK)
        page.text(x + grid / 2, top + grid + 18, f"channel {i + 1}", SMALL, PALE_INK)
    for i, (top, (weights, colour)) in enumerate(zip(out_tops, filters, strict=True)):
        mixed = [
            [sum(w * channels[c][row][column] for c, w in enumerate(weights)) for column in range(3)]
            for row in range(3)
        ]
        cells(page, out_x, top, [[number(v) for v in row] for row in mixed], colour.top, colour.edge)
        outline(page, out_x, top, 1, 2, 1, INK)
        page.text(out_x + grid / 2, top + grid + 18, f"channel {i + 1} of the output", SMALL, PALE_INK)
    conclusion(page, tops[-1] + grid + 34, "3 × 3 × 3 becomes 3 × 3 × 2 with 3 · 2 = 6 weights (and 2 biases, 0 here).")
    return page.svg()


PICTURES: dict[str, Callable[[], str]] = {
    "filter.svg": one_filter,
    "sliding_exact.svg": sliding_exact,
    "sliding_remainder.svg": sliding_remainder,
    "sliding_same.svg": sliding_same,
    "receptive_field.svg": fields,
    "pooling.svg": pools,
    "one_by_one.svg": mixing,
    "network.svg": lambda: draw_svg(EXAMPLE),
}


def write(folder: Path) -> list[Path]:
    """Write all pictures into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name, draw in PICTURES.items():
        path = folder / name
        path.write_text(draw(), encoding="utf-8", newline="\n")
        found.append(path)
    return found


if __name__ == "__main__":
    for written in write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"):
        print(written)
