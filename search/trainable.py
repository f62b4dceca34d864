"""For programs of your own: a candidate as a compiled Keras model (docs/guide.md)."""

from .training.model import trainable

__all__ = ["trainable"]
