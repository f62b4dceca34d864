"""Names from the data, which may hold anything, as text that stays on its line wherever it is read."""

import unicodedata

_BREAKING = ("Cc", "Zl", "Zp", "Cs")  # control characters, line and paragraph separators, lone surrogates


def one_line(name: str) -> str:
    r"""Return a name with its line breaks, control characters and lone surrogates written as their escapes.

    >>> one_line("a\u2028b\n")
    'a\\u2028b\\n'
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _BREAKING else char for char in name
    )
