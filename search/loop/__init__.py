"""The loop of a search: ask, submit, report, tell; with its budget and what it foretells."""
