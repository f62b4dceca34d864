"""Text from outside that is about to be shown: names of files and classes, what libraries say."""

import unicodedata

JOINERS = "\u200c\u200d"  # of letters in Persian and Indian scripts, and of emoji: without a width, but with a meaning
UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control and format characters, surrogates, separators of lines


def printable(text: str) -> str:
    r"""Return a text on one line, with escapes for what cannot be shown, or would change what is shown around it.

    Escaped are control characters, separators of lines, characters without a width or that turn the direction of
    writing, and bytes that are not UTF-8, which Python keeps as surrogates (PEP 383). Doing it twice changes nothing
    more. Two names become the same only if one of them contains the other's escape literally.

    >>> print(printable("a\u2028b"), printable("B\udce4r"), printable("naïve 图"))
    a\u2028b B\xe4r naïve 图
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(letter) if _is_unprintable(letter) else letter for letter in text)


def printable_lines(text: str) -> str:
    """Return a text in which each line is printable; only a line feed separates lines."""
    return "\n".join(map(printable, text.split("\n")))


def is_utf8(text: str) -> bool:
    """Whether a text can be stored as UTF-8: a name on the disk may have other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_unprintable(letter: str) -> bool:
    code = ord(letter)
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF  # which XML does not allow
    return (unicodedata.category(letter) in UNPRINTABLE and letter not in JOINERS) or is_noncharacter


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode()
