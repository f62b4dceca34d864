"""Colours with an order or a meaning, the same in all figures, and legible in light and dark themes."""

STATES = {
    "complete": "#2e9e5b",
    "pruned": "#d9a321",
    "failed": "#d64545",
    "interrupted": "#8f6bd1",
    "running": "#3b82d6",
}
SCALE = ["#3b82f6", "#14b8a6", "#84a912", "#f59e0b", "#ef4444"]  # from the least to the most
MISSING = "#9ca3af"
