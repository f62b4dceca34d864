"""Text on pages."""

import pandas as pd

from ...search.study.trial import STATES


def plain(text: str) -> str:
    """Return the text escaped for Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-.!|:$~&@" else letter for letter in text)


def counts(trials: pd.DataFrame) -> str:
    """Return how many trials are in each state, in words."""
    found = trials["state"].value_counts()
    return ", ".join(f"{found[state]:,} {state}" for state in STATES if found.get(state))
