"""Text from users and from data, written so that Markdown shows it as it is: CommonMark, and what GitHub adds."""

import re

from ...spaces.printable import printable

# What may begin markup anywhere in a line: emphasis, code, links, HTML, entities, cells of a table, mathematics.
_ANYWHERE = re.compile(
    r"""
    [\\`*\[\]<~|$]
    | &(?=\#?\w+;)
    | :(?=//) | (?<=www)\.                # an address, which GitHub makes a link
    | (?<=\s)\#(?=\#*$)                   # the end of a heading
    | (?<![^\W_])_+ | _+(?![^\W_])        # inside of a word, as in `a_b`, it is only a character
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What may begin a heading, a quotation, a rule or a list, but only at the start of a block.
_AT_THE_START = re.compile(r"^(\d*)(\#(?=\#*(?:\s|$))|>|[-+](?=\s|$)|-(?=[-\s]*$)|(?<=\d)[.)](?=\s|$))")
_OUTER_SPACE = re.compile(r"^\s|\s$")


def plain(text: str) -> str:
    r"""Return text as Markdown that is shown as that text: in a paragraph, a heading, a list item or a table's cell.

    Line breaks and other control characters are shown as their escapes.

    >>> plain("small: 90 images (of 3)"), plain("<b>a_b</b>"), plain("# *a*")
    ('small: 90 images (of 3)', '\\<b>a_b\\</b>', '\\# \\*a\\*')
    """
    line = printable(text)
    escaped = _ANYWHERE.sub(lambda found: "".join("\\" + char for char in found[0]), line)
    escaped = _AT_THE_START.sub(r"\1\\\2", escaped)
    return _OUTER_SPACE.sub(lambda found: f"&#{ord(found[0])};", escaped)  # Markdown would strip it
