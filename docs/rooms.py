"""Draws the rooms of the code and what they import: `python -m docs.rooms` writes docs/images/rooms.svg.

A room is a folder of `spaces/`, `search/` or `dashboard/`; the files directly in one of these three make another room.
Everything is read from the code: the imports by grimp, a room's purpose from its `__init__.py`, and its layer from the
imports, because a room stands one above the highest room that it imports. An arrow is an import. Arrows that follow
from others are left out: where A imports B and B imports C, there is no arrow from A to C.

The layout is the usual one for layered graphs. An arrow that skips layers gets a place in each of them; the order in a
layer is the one with the fewest crossings found; then every place moves as near to its neighbours as its row allows.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import grimp

from convsearch.spaces.drawing.svg import (
    BLUE,
    GREEN,
    INK,
    PALE_INK,
    PURPLE,
    SIZE,
    Colour,
    Picture,
    text_width,
)

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
PACKAGE = "convsearch"
HOUSES: dict[str, Colour] = {"dashboard": PURPLE, "search": BLUE, "spaces": GREEN}
BASE = "spaces"  # the room of what everything stands on, drawn with its modules
FOR_USERS = {"search"}  # its own two files only re-export names for users' programs, so they are not drawn as a room

Edge = tuple[str, str]


# ---------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Rooms:
    """All rooms, named by their folders (`search/loop`), with the rooms that each imports."""

    imports: Mapping[str, frozenset[str]]
    modules: Mapping[str, Mapping[str, frozenset[str]]]  # a house's own files, each with those that it imports

    @classmethod
    def read(cls) -> "Rooms":
        """Read the imports of the code."""
        graph = grimp.build_graph(*(f"{PACKAGE}.{house}" for house in HOUSES), cache_dir=None)
        folders = {module for module in graph.modules if graph.find_children(module)}
        room_of = {module: _room(module, folders) for module in graph.modules}
        imports: dict[str, set[str]] = {room: set() for room in room_of.values()}
        modules: dict[str, dict[str, frozenset[str]]] = {house: {} for house in HOUSES}
        for module, room in sorted(room_of.items()):
            found = graph.find_modules_directly_imported_by(module)
            imports[room] |= {room_of[imported] for imported in found} - {room}
            if room in HOUSES and (ROOT / room / f"{_short(module)}.py").exists():
                modules[room][_short(module)] = frozenset(_short(other) for other in found if room_of[other] == room)
        for room in FOR_USERS:
            del imports[room]
        return cls({room: frozenset(imports[room]) for room in sorted(imports)}, modules)

    @cached_property
    def layers(self) -> dict[str, int]:
        """The layer of each room, counted from 0 at the bottom."""
        return layers(self.imports)

    @cached_property
    def arrows(self) -> list[Edge]:
        """The imports that do not follow from others."""
        below = {room: _reached(room, self.imports) for room in self.imports}
        return [
            (room, imported)
            for room, found in self.imports.items()
            for imported in sorted(found)
            if not any(imported in below[other] for other in found)
        ]

    def between(self, upper: str, lower: str) -> int:
        """Return the number of layers from one room down to another, both included."""
        return self.layers[upper] - self.layers[lower] + 1


def layers(imports: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return the layer of each name: one above the highest that it imports, 0 where it imports nothing.

    >>> layers({"a": ["b", "c"], "b": ["c"], "c": []})
    {'a': 2, 'b': 1, 'c': 0}

    Raises:
        graphlib.CycleError: some import each other in a circle.
    """
    found: dict[str, int] = {}
    for name in TopologicalSorter(imports).static_order():
        found[name] = 1 + max((found[imported] for imported in imports[name]), default=-1)
    return {name: found[name] for name in imports}


def purpose(room: str) -> str:
    """Return the first sentence of a room's `__init__.py`.

    Raises:
        ValueError: the file has no docstring.
    """
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{room}/__init__.py does not say what the room is for")
    return re.split(r"(?<=[.!?])\s", " ".join(text.split()), maxsplit=1)[0]


def _room(module: str, folders: set[str]) -> str:
    parts = module.removeprefix(f"{PACKAGE}.").split(".")
    return "/".join(parts[:2]) if ".".join([PACKAGE, *parts[:2]]) in folders else parts[0]


def _short(module: str) -> str:
    return module.rpartition(".")[2]


def _reached(name: str, imports: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = set(imports[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


# ---------------------------------------------------------------------- where it stands

WIDTH, HEIGHT = 172.0, 74.0  # of a box, in pixels
ACROSS, DOWN = 18.0, 46.0  # free between two boxes of a layer, and between two layers
THIN = 10.0  # width that an arrow takes up in a layer that it passes
MARGIN, TOP, BOTTOM = 28.0, 150.0, 50.0
SWEEPS = 60
LINES = 3  # of a purpose in a box
NARROWER = 1.12  # `text_width` estimates for the widest of the fonts


@dataclass(frozen=True)
class Layout:
    """The rows of a graph, the x of each node, and the nodes that each edge passes, from its upper end to its lower."""

    rows: Sequence[Sequence[str]]  # from the bottom layer up, each from left to right
    bends: Mapping[Edge, Sequence[str]]
    x: Mapping[str, float]

    @property
    def width(self) -> float:
        """How wide all of it is."""
        return max(x + _half(node) for node, x in self.x.items()) - min(x - _half(n) for n, x in self.x.items())


def laid_out(layer: Mapping[str, int], arrows: Sequence[Edge]) -> Layout:
    """Return places for rooms and for the imports between them."""
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    # The dashboard begins on the right.
    for room in sorted(layer, key=lambda room: (room.startswith("dashboard"), room)):
        rows[layer[room]].append(room)
    bends: dict[Edge, list[str]] = {}
    for upper, lower in arrows:
        between = [f"{upper}>{lower}@{level}" for level in range(layer[upper] - 1, layer[lower], -1)]
        bends[upper, lower] = [upper, *between, lower]
        for level, node in zip(range(layer[upper] - 1, layer[lower], -1), between, strict=True):
            rows[level].append(node)
    below: dict[str, list[str]] = {node: [] for row in rows for node in row}
    above: dict[str, list[str]] = {node: [] for row in rows for node in row}
    for path in bends.values():
        for upper, lower in pairwise(path):
            below[upper].append(lower)
            above[lower].append(upper)
    rows = _ordered(rows, below, above)
    return Layout(rows, bends, _placed(rows, below, above))


def _ordered(rows: list[list[str]], below: Mapping[str, list[str]], above: Mapping[str, list[str]]) -> list[list[str]]:
    """Return the rows in the order with the fewest crossings that sweeps up and down, then swaps, find."""
    best = [list(row) for row in rows]
    for sweep in range(SWEEPS):
        up = sweep % 2 == 0
        for level in range(1, len(rows)) if up else range(len(rows) - 2, -1, -1):
            fixed = {node: place for place, node in enumerate(rows[level - 1 if up else level + 1])}
            rows[level] = _by_neighbours(rows[level], below if up else above, fixed)
        if _crossings(rows, below) < _crossings(best, below):
            best = [list(row) for row in rows]
    while _swapped(best, below):
        pass
    return best


def _by_neighbours(row: list[str], beside: Mapping[str, list[str]], fixed: Mapping[str, int]) -> list[str]:
    """Return a row in the order of the mean place of each node's neighbours, whose row is fixed."""
    now = {node: float(place) for place, node in enumerate(row)}
    means = {node: fmean(fixed[other] for other in beside[node]) if beside[node] else now[node] for node in row}
    return sorted(row, key=lambda node: (means[node], now[node]))


def _swapped(rows: list[list[str]], below: Mapping[str, list[str]]) -> bool:
    """Swap the first two nodes of a row for which that means fewer crossings; return whether there were such two."""
    now = _crossings(rows, below)
    for row in rows:
        for i in range(len(row)):
            for j in range(i + 1, len(row)):
                row[i], row[j] = row[j], row[i]
                if _crossings(rows, below) < now:
                    return True
                row[i], row[j] = row[j], row[i]
    return False


def _crossings(rows: Sequence[Sequence[str]], below: Mapping[str, list[str]]) -> int:
    count = 0
    for lower, upper in pairwise(rows):
        place = {node: i for i, node in enumerate(lower)}
        lines = [(i, place[other]) for i, node in enumerate(upper) for other in below[node]]
        count += sum(a < c and b > d for a, b in lines for c, d in lines)
    return count


def _placed(
    rows: Sequence[Sequence[str]], below: Mapping[str, list[str]], above: Mapping[str, list[str]]
) -> dict[str, float]:
    """Return an x for each node: as near to the mean of its neighbours as the others in its row leave room for."""
    x: dict[str, float] = {}
    for row in rows:
        place = 0.0
        for node in row:
            x[node] = place + _half(node)
            place += 2 * _half(node) + ACROSS
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wishes, weights = [], []
            for node in row:
                pulls = [(x[other], _pull(node, other)) for other in (*below[node], *above[node])]
                weight = sum(pull for _, pull in pulls)
                wishes.append(sum(place * pull for place, pull in pulls) / weight if pulls else x[node])
                weights.append(max(weight, 1.0))
            x |= dict(zip(row, _apart(row, wishes, weights), strict=True))
    left = min(place - _half(node) for node, place in x.items())
    return {node: round(place - left, 1) for node, place in x.items()}


def _apart(row: Sequence[str], wishes: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the places nearest to the wishes (least squares) at which nothing overlaps.

    With the widths subtracted this is isotonic regression: neighbours that would swap places share their mean.
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + _half(left) + ACROSS + _half(right))
    blocks: list[tuple[float, float, int]] = []  # the mean, its weight, how many
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        blocks.append((wish - offset, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one, heavy, many), (other, light, few) = blocks[-2:]
            mean = (one * heavy + other * light) / (heavy + light)
            blocks[-2:] = [(mean, heavy + light, many + few)]
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _pull(node: str, other: str) -> float:
    """Return how strongly two neighbours pull each other; an arrow that skips layers should be straight."""
    return (1.0, 3.0, 12.0)[(not _is_room(node)) + (not _is_room(other))]


def _is_room(node: str) -> bool:
    return ">" not in node


def _half(node: str) -> float:
    return (WIDTH if _is_room(node) else THIN) / 2


# ---------------------------------------------------------------------- how it is drawn


class _Page(Picture):
    """A picture with curves."""

    def curve(self, points: Sequence[tuple[float, float]], stroke: str) -> None:
        """Draw an arrow that leads smoothly down through some points."""
        text = "M{:.1f} {:.1f}".format(*points[0])
        for (x1, y1), (x2, y2) in pairwise([*points[:-1], (points[-1][0], points[-1][1] - 7)]):
            middle = (y1 + y2) / 2
            text += f" C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"
        self._part("path", {"d": text, "fill": "none", "stroke": stroke, "stroke-width": 1.4})
        x, y = points[-1]
        self.polygon([(x, y), (x - 3.5, y - 8), (x + 3.5, y - 8)], stroke)


def draw(rooms: Rooms) -> str:
    """Return the picture, as the text of an SVG file."""
    layout = laid_out(rooms.layers, rooms.arrows)
    width = layout.width + 2 * MARGIN
    count = len(layout.rows)
    page = _Page(
        width,
        TOP + count * HEIGHT + (count - 1) * DOWN + BOTTOM,
        "The rooms of the code and what they import",
        f"{len(rooms.imports)} rooms in {count} layers; every arrow, an import, leads down.",
    )
    _legend(page)

    def top(level: int) -> float:
        return TOP + (count - 1 - level) * (HEIGHT + DOWN)

    level_of = {node: level for level, row in enumerate(layout.rows) for node in row}
    ports = _ports(layout)
    for edge, path in layout.bends.items():
        points = []
        for node in path:
            x, y = MARGIN + layout.x[node], top(level_of[node])
            if node == edge[0]:
                points.append((x + ports[edge, node], y + HEIGHT))
            elif node == edge[1]:
                points.append((x + ports[edge, node], y))
            else:  # straight through the layer
                points += [(x, y), (x, y + HEIGHT)]
        if edge[1] == BASE:  # whose box is as wide as the page
            points[-1] = (points[-2][0], points[-1][1])
        page.curve(points, HOUSES[edge[0].partition("/")[0]].edge)
    for room in rooms.imports:
        if room == BASE:
            _base(page, rooms, MARGIN, top(rooms.layers[room]), width - 2 * MARGIN)
        else:
            _box(page, room, rooms, MARGIN + layout.x[room] - WIDTH / 2, top(rooms.layers[room]))
    return page.svg()


def _ports(layout: Layout) -> dict[tuple[Edge, str], float]:
    """Return how far from a box's middle each arrow leaves or reaches it: side by side, ordered by where they lead."""
    found: dict[tuple[Edge, str], float] = {}
    for end, other in ((0, 1), (-1, -2)):
        of: dict[str, list[tuple[float, Edge]]] = {}
        for edge, path in layout.bends.items():
            of.setdefault(path[end], []).append((layout.x[path[other]], edge))
        for node, lines in of.items():
            apart = min(26.0, (WIDTH - 24) / max(1, len(lines) - 1))
            for i, (_, edge) in enumerate(sorted(lines)):
                found[edge, node] = (i - (len(lines) - 1) / 2) * apart
    return found


def _box(page: Picture, room: str, rooms: Rooms, x: float, y: float) -> None:
    house, _, name = room.partition("/")
    colour = HOUSES[house]
    page.rect(x, y, WIDTH, HEIGHT, colour.top, colour.edge, radius=6)
    if room in HOUSES:
        lines = _wrapped(", ".join(one for one in rooms.modules[room] if not one.startswith("_")), 11, WIDTH - 12)
    else:
        lines = _brief(room)
    first = y + HEIGHT / 2 - 7 * len(lines) + 4
    page.text(x + WIDTH / 2, first, name or f"{house}/*.py", 14, bold=True)
    for i, line in enumerate(lines):
        page.text(x + WIDTH / 2, first + 16 + 14 * i, line, 11, PALE_INK)


def _base(page: Picture, rooms: Rooms, x: float, y: float, width: float) -> None:
    colour = HOUSES[BASE]
    page.rect(x, y, width, HEIGHT + 22, colour.top, colour.edge, radius=6)
    page.text(x + width / 2, y + 21, f"{BASE}/*.py", 14, bold=True)
    page.text(x + width / 2, y + 40, purpose(BASE), 11.5, PALE_INK)
    level = layers(rooms.modules[BASE])
    rows = [sorted(m for m in level if level[m] == i) for i in range(max(level.values()), -1, -1)]
    words = "    ▸    ".join(", ".join(row) for row in rows)
    page.text(x + width / 2, y + 66, words, 12.5, INK)
    page.text(x + width / 2, y + 84, "each imports from those on its right only", 11, PALE_INK)


def _legend(page: Picture) -> None:
    page.text(MARGIN, 40, "Rooms, and what they import", 17, anchor="start", bold=True)
    page.text(
        MARGIN,
        61,
        "A box is a folder. An arrow is an import, and leads down; imports that follow from other arrows are left out.",
        12,
        PALE_INK,
        "start",
    )
    for i, (house, colour) in enumerate(HOUSES.items()):
        y = 76 + 20 * i
        page.rect(MARGIN, y, 22, 13, colour.top, colour.edge, radius=3)
        page.text(MARGIN + 32, y + 11, f"{house}/", SIZE, anchor="start", bold=True)
        page.text(MARGIN + 128, y + 11, purpose(house), 12, PALE_INK, "start")


def _brief(room: str) -> list[str]:
    """Return the purpose of a room in lines that fit into its box; if need be, only what precedes the colon."""
    whole = purpose(room).replace("`", "").rstrip(".")
    for words in (whole, whole.partition(":")[0]):
        lines = _wrapped(words, 11, WIDTH - 12)
        if len(lines) <= LINES:
            return lines
    raise ValueError(f"{room}/__init__.py: the first sentence, up to its colon, is too long for a box: {whole}")


def _wrapped(words: str, size: float, width: float) -> list[str]:
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width * NARROWER:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


if __name__ == "__main__":
    PICTURE.write_text(draw(Rooms.read()), encoding="utf-8", newline="\n")
    print(PICTURE.relative_to(ROOT))
