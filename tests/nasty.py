"""Names as bad as users and their data can give them: markup of every kind, breaks of lines, bytes that are no text."""

import unicodedata

from hypothesis import strategies as st

from convsearch.spaces.printable import is_utf8

NASTY = [
    "<img src=x onerror=alert(1)>",
    "<!-- gone -->",
    "<script>",
    "&lt;b&gt; &#60; &amp",
    "# heading #",
    "> quoted",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "---",
    "===",
    "***",
    "`code` ``",
    "*a* **b** _c_ __d__ ~~e~~",
    "_a_b_ a__b",
    "[link](http://x)",
    "![image](x.png)",
    "[ref]: http://x",
    "[ ] to do",
    "<http://x.org>",
    "a | b | c",
    "| --- |",
    "back\\slash\\",
    "\\|",
    "\\`",
    "two\n\n# lines",
    "a\r\n- b",
    "a\u2028b\x85c",
    "a\v\f\x1c\x1d\x1e\u2029b",
    "    code",
    "\tcode",
    "end  ",
    "\u3000wide\u3000",
    "```",
    "~~~",
    "$a$",
    "\"double\" 'single'",
    "[red]red[/red] [/x]",
    ":material/bolt: :streamlit: :smile: :red[red]",
    "a http://x.org www.x.org a@x.org",
    "a -- b -> c <- d",
    "%{x} {x} %s",
    "two\n\n    code\n===",
    "CON",
    "con.txt. ",
    "\u202egnp.exe\u200f\ufeff",
    "B\udce4r",
    "\U0001f469\u200d\U0001f52c \u0646\u0645\u0648\u0646\u0647\u200c\u0647\u0627",
    "\ufffe\U0010ffff",
    "x" * 255,
    "\0nul\x1b",
    "\ud800",
]
MARKS = "\\`*_{}[]<>()#+-.!|&~=:;$\"'/ \t\n\r\u2028ab1é"
NAMES = st.one_of(st.sampled_from(NASTY), st.text(MARKS, min_size=1), st.text(min_size=1))
"""Any text; surrogates stand for bytes that are not UTF-8, as in the name of a file."""


def require_printable(text: str) -> None:
    """Every line is one that is shown as it is, for every reader."""
    assert is_utf8(text)
    kinds = {unicodedata.category(letter) for letter in text if letter not in "\n\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}, text
