"""For programs of your own: a space as a HyperModel of KerasTuner (docs/guide.md)."""

from .engines.hypermodel import SpaceHyperModel

__all__ = ["SpaceHyperModel"]
