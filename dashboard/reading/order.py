"""The order of an option's values: numbers and sizes of images by size, words by their letters."""

from typing import Any

import pandas as pd

from ...spaces.sizes import size_of


def rank(value: Any) -> tuple[int, float, str]:
    """Return what to sort values of an option by: numbers first, then sizes such as `64x96` by pixels, then words."""
    word = str(value)
    if (size := size_of(word)) is not None:
        return 1, size.pixels, word
    try:
        return 0, float(word), word
    except ValueError:
        return 2, 0.0, word


def sortable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return what to sort the rows of a table by: for a column of sizes of images their pixels, otherwise itself."""
    sizes = column.map(size_of, na_action="ignore")
    known = sizes.dropna()
    if known.empty or len(known) < column.count():
        return column
    return sizes.map(lambda size: size.pixels, na_action="ignore")
