"""Where images come from: one file for each kind of source, all brought to one form."""

from .open import open_data

__all__ = ["open_data"]
