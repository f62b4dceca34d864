"""The loop of a search: ask, submit, report, tell; with its budget and its predictions of time."""
