"""A page of SVG for the pictures of this package: boxes, cells, arrows and words, as self-contained text.

The page has its own white background, so that it is legible in light and dark themes, and uses no font that would have
to be loaded. All text is escaped, and printable: XML does not allow some characters even as escapes.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from ..printable import printable

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
INK, PALE_INK, GROUND, FRAME = "#1f2937", "#4b5563", "#ffffff", "#d1d5db"
SIZE = 13.0
_WIDEST_LETTER = 0.62  # of the size, on average, in the widest of the fonts above; bold ones are wider
_BOLDER = 1.1

Anchor = Literal["start", "middle", "end"]
_Attributes = dict[str, str | float]


class Colour(NamedTuple):
    """The shades of one box: its front, its right side, its top, and its edges."""

    front: str
    side: str
    top: str
    edge: str


GREY = Colour("#e5e7eb", "#cbd5e1", "#f3f4f6", "#475569")
BLUE = Colour("#93c5fd", "#60a5fa", "#dbeafe", "#1d4ed8")
GREEN = Colour("#86efac", "#4ade80", "#dcfce7", "#15803d")
ORANGE = Colour("#fdba74", "#fb923c", "#ffedd5", "#c2410c")
PURPLE = Colour("#c4b5fd", "#a78bfa", "#ede9fe", "#6d28d9")
RED = Colour("#fca5a5", "#f87171", "#fee2e2", "#b91c1c")


def text_width(words: str, size: float = SIZE, bold: bool = False) -> float:
    """Estimate the width of a text in pixels; rather too wide than too narrow."""
    return len(words) * size * _WIDEST_LETTER * (_BOLDER if bold else 1)


class Picture:
    """A drawing of `width` x `height` pixels that can be enlarged at will; y grows downwards.

    `title` is what a screen reader announces, `description` the longer version.
    """

    def __init__(self, width: float, height: float, title: str, description: str = "") -> None:
        self.width, self.height = width, height
        self.title, self.description = title, description
        self._parts: list[str] = []

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "none",
        stroke: str = "none",
        thickness: float = 1,
        dashed: bool = False,
        radius: float = 0,
    ) -> None:
        """Draw a rectangle by its upper left corner."""
        place = _Attributes(x=x, y=y, width=width, height=height, rx=radius, fill=fill)
        self._part("rect", place | _stroke(stroke, thickness, dashed))

    def polygon(self, points: Iterable[tuple[float, float]], fill: str, stroke: str = "none") -> None:
        """Draw a closed shape by its corners."""
        corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        place = _Attributes(points=corners, fill=fill, stroke_linejoin="round")
        self._part("polygon", place | _stroke(stroke, 1, False))

    def line(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        stroke: str = INK,
        thickness: float = 1,
        dashed: bool = False,
    ) -> None:
        """Draw a straight line."""
        place = _Attributes(x1=start[0], y1=start[1], x2=end[0], y2=end[1])
        self._part("line", place | _stroke(stroke, thickness, dashed))

    def arrow(self, start: tuple[float, float], end: tuple[float, float], stroke: str = INK) -> None:
        """Draw an arrow, of any direction, whose head ends at `end`."""
        (x1, y1), (x2, y2) = start, end
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        along = ((x2 - x1) / length, (y2 - y1) / length)
        neck = (x2 - 8 * along[0], y2 - 8 * along[1])
        aside = (-4 * along[1], 4 * along[0])
        self.line(start, neck, stroke, 1.5)
        self.polygon([end, (neck[0] + aside[0], neck[1] + aside[1]), (neck[0] - aside[0], neck[1] - aside[1])], stroke)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = SIZE,
        colour: str = INK,
        anchor: Anchor = "middle",
        bold: bool = False,
    ) -> None:
        """Write one line of text; `y` is its baseline."""
        place = _Attributes(x=x, y=y, font_size=size, fill=colour, text_anchor=anchor)
        self._part("text", place | (_Attributes(font_weight="bold") if bold else {}), words)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        behind: tuple[float, float],
        colour: Colour,
    ) -> None:
        """Draw a solid box in oblique projection.

        Its front has the upper left corner (x, y); its back is the same front moved right and up by `behind`.
        """
        right, up = behind
        self.rect(x, y, width, height, colour.front, colour.edge)
        self.polygon(
            [(x, y), (x + right, y - up), (x + right + width, y - up), (x + width, y)], colour.top, colour.edge
        )
        self.polygon(
            [
                (x + width, y),
                (x + width + right, y - up),
                (x + width + right, y - up + height),
                (x + width, y + height),
            ],
            colour.side,
            colour.edge,
        )

    def svg(self) -> str:
        """Return the whole picture as the text of an SVG file."""
        width, height = _number(self.width), _number(self.height)
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" font-family="{FONT}">',
            f"<title>{_escaped(self.title)}</title>",
            f"<desc>{_escaped(self.description)}</desc>" if self.description else "",
            f'<rect x="0.5" y="0.5" width="{_number(self.width - 1)}" height="{_number(self.height - 1)}" rx="10" '
            f'fill="{GROUND}" stroke="{FRAME}"/>',
            *self._parts,
            "</svg>",
        ]
        return "\n".join(line for line in lines if line) + "\n"

    def _part(self, tag: str, attributes: _Attributes, words: str = "") -> None:
        written = " ".join(
            f"{key.replace('_', '-')}={quoteattr(value if isinstance(value, str) else _number(value))}"
            for key, value in attributes.items()
        )
        self._parts.append(f"<{tag} {written}>{_escaped(words)}</{tag}>" if words else f"<{tag} {written}/>")


def _escaped(text: str) -> str:
    return escape(printable(text))


def _stroke(stroke: str, thickness: float, dashed: bool) -> _Attributes:
    found = _Attributes(stroke=stroke, stroke_width=thickness)
    return found | (_Attributes(stroke_dasharray="4 3") if dashed else {})


def _number(value: float) -> str:
    """Return a number with at most one decimal."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # adding 0 turns -0 into 0
