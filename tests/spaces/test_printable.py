"""Text from outside that is shown: on one line, in UTF-8, with nothing that works on what stands around it."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convsearch.spaces.errors import InputError, WorkError
from convsearch.spaces.printable import is_utf8, printable

ANYTHING = st.text(st.characters(), max_size=30)  # surrogates, which stand for bytes that are not UTF-8, too
PLAIN = "größer Hund, 猫, نمونه‌ها, 👩‍🔬: $[x] <b> {y}\\ #1"


@given(ANYTHING)
@example("a\u2028b\x85c\x1c\r\n")
@example("B\udce4r")
@example("\u202etxt.exe\u200f\ufeff")
@example("\ufffe\U0010ffff")
def test_whatever_is_shown_is_one_printable_line_of_utf8(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert is_utf8(shown)
    kinds = {unicodedata.category(letter) for letter in shown if letter not in "\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown


@given(ANYTHING, ANYTHING)
def test_texts_that_differ_are_shown_differently_unless_one_of_them_has_a_backslash(one: str, other: str) -> None:
    if "\\" not in one + other:
        assert (printable(one) == printable(other)) == (one == other)


def test_names_in_any_language_are_shown_as_they_are() -> None:
    assert printable(PLAIN) == PLAIN


def test_what_cannot_be_shown_is_shown_as_its_escape() -> None:
    assert printable("a\u2028b") == r"a\u2028b"
    assert printable("tab\there") == r"tab\there"
    assert printable("\x1b[2J") == r"\x1b[2J"
    assert printable(b"B\xe4r".decode("utf-8", "surrogateescape")) == r"B\xe4r"


@pytest.mark.parametrize("kind", [InputError, WorkError])
def test_each_line_of_an_error_is_printable(kind: type[InputError | WorkError]) -> None:
    assert str(kind("images:\n  B\udce4r.png\x1b[2J: damaged")) == "images:\n  B\\xe4r.png\\x1b[2J: damaged"
