"""Shared by all pages: their address, when they are redrawn, how figures and text are shown."""
