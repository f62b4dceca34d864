"""The colours of the states of trials, the same in all figures."""

COLOURS = {
    "complete": "#2e9e5b",
    "pruned": "#d9a321",
    "failed": "#d64545",
    "interrupted": "#8f6bd1",
    "running": "#3b82d6",
}
